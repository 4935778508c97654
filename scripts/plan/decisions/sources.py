"""Where the references and the lists of an analysis come from, and what identifies their content."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.plan.configuration import is_address, source_address, source_sha256
from scripts.plan.local_files import FileDigests
from scripts.plan.sizes.forecast import PACKAGE, PROBE_SET, kit_fault


class ConfiguredSources:
    """The sources that a configuration names: of references, of inclusion lists, probe sets and tables of features.

    ``config`` is the checked configuration, ``kits`` the content of config/chemistries.yaml. ``files`` knows the
    digests of local files.
    """

    def __init__(self, config: Mapping[str, Any], kits: Mapping[str, Any], files: FileDigests) -> None:
        self.config = config
        self.kits = kits
        self._files = files

    # References

    def reference_of_species(self, species: str) -> str:
        """Return the name of the reference of a species."""
        return str(self.config["species"][species]["reference"])

    def references(self) -> list[str]:
        """Return the names of the references of all species, sorted."""
        return sorted({species["reference"] for species in self.config["species"].values()})

    def of_reference(self, reference: str) -> dict[str, Any]:
        """Return the sources of a reference by role: fasta, gtf and, where configured, those of the spike-ins."""
        configured = self.config["references"][reference]
        sources = {role: configured[role] for role in ("fasta", "gtf")}
        for role, source in (configured.get("spike_ins") or {}).items():
            sources[f"spike_in_{role}"] = source
        return sources

    def local_sources(self, reference: str) -> list[str]:
        """Return those sources of a reference that are local files, whose change rebuilds the reference."""
        addresses = [source_address(source) or "" for source in self.of_reference(reference).values()]
        return [address for address in addresses if not is_address(address)]

    def local_fasta(self, reference: str) -> str:
        """Return the path of the sequence of a reference, empty where it is fetched."""
        address = self.fasta(reference)
        return "" if is_address(address) else address

    def fasta(self, reference: str) -> str:
        """Return the path or address of the sequence of a reference."""
        return source_address(self.of_reference(reference)["fasta"]) or ""

    def options(self, reference: str) -> list[str]:
        """Return the sources of a reference as options of the command ``reference``."""
        options = []
        for role, source in self.of_reference(reference).items():
            options += [f"--{role.replace('_', '-')}", source_address(source) or ""]
            if checksum := source_sha256(source):
                options += [f"--{role.replace('_', '-')}-sha256", checksum]
        return options

    def identity(self, reference: str) -> str:
        """Return 16 hex digits of a reference: its name, its sources, and how it is indexed."""
        return self._identities[reference]

    @functools.cached_property
    def _identities(self) -> dict[str, str]:
        """Reference → its identity, taken once: it is asked for by every job of every unit."""
        identities = {}
        for reference in self.references():
            facts = self.config["references"][reference]
            words = [reference, str(facts.get("sjdb_overhang", 100)), Path(facts.get("index") or "").name]
            words += map(source_identity, self.of_reference(reference).values())
            words.append(self._files.digest(self.local_sources(reference)))
            identities[reference] = hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]
        return identities

    # Lists

    def inclusion_list_source(self, name: str) -> Any:
        """Return where an inclusion list comes from: the configuration, else config/chemistries.yaml."""
        known = self.kits["lists"][name]
        configured = self.config["droplets"]["inclusion_lists"].get(name)
        return configured or {key: known[key] for key in ("address", "sha256") if known.get(key)}

    def list_identity(self, name: str) -> str:
        """Return what identifies the content of an inclusion list: checksum or name, and of a local file the digest."""
        source = self.inclusion_list_source(name)
        return " ".join(filter(None, [source_identity(source), self.content(self.local_list(name))]))

    def local_list(self, name: str) -> list[str]:
        """Return the path of an inclusion list that is a local file; none of an address or a package."""
        address = source_address(self.inclusion_list_source(name)) or ""
        return [] if is_address(address) or address.partition(":")[0] == PACKAGE else [address]

    def content(self, paths: Sequence[str]) -> str:
        """Return the digest of the content of local files, which is noticed whatever their time; empty of none."""
        return self._files.digest(paths) if paths else ""

    def inclusion_lists(self) -> list[str]:
        """Return the names of the inclusion lists that have a source, sorted."""
        shipped = {name for name, known in self.kits["lists"].items() if known.get("address")}
        return sorted(shipped | set(self.config["droplets"]["inclusion_lists"]))

    def fault_of_kit(self, kit: str) -> str:
        """Return why libraries of a kit surely cannot be counted with these lists; empty where they may be."""
        return self._fault_of_kit(kit)

    @functools.cached_property
    def _fault_of_kit(self) -> Callable[[str], str]:
        """The same as a function, which finds it once for each kit."""
        addresses = self.addresses_of_lists()
        return functools.cache(lambda kit: kit_fault(kit, addresses, self.kits))

    def features_reference(self) -> list[str]:
        """Return the table of features as a list; empty without one."""
        path = self.config["droplets"]["features_reference"]
        return [path] if path else []

    def addresses_of_lists(self) -> dict[str, str]:
        """Return inclusion list, or the word for the probe sets, → its path, address or package."""
        probe_sets = self.config["droplets"]["probe_sets"]
        return ({PROBE_SET: next(iter(probe_sets.values()))} if probe_sets else {}) | {
            name: source_address(self.inclusion_list_source(name)) or "" for name in self.inclusion_lists()
        }


def source_identity(source: str | Mapping[str, str]) -> str:
    """Return what identifies a version of a source: its checksum, else the last part of its address."""
    return source_sha256(source) or (source_address(source) or "").rpartition("/")[2]


def public_name(address: str) -> str:
    """Return what results call a file or an address: others have neither the folders nor the servers of a machine.

    An address on this machine and an absolute path become the name of the file.
    """
    if is_address(address):
        here = urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
        return address.rpartition("/")[2] if here else address
    return Path(address).name if Path(address).is_absolute() else address


def public_value(value: Any) -> Any:
    """Return a value of the configuration with the paths and addresses in it as results have them."""
    if isinstance(value, list):
        return [public_value(part) for part in value]
    return " ".join(map(public_name, value.split(" "))) if isinstance(value, str) else value
