"""The droplet kits of config/chemistries.yaml: where barcode and UMI are, and which inclusion list proves the kit.

The file explains its own keys; here they are checked, all faults at once, and given types. Paths of public lists in it
are relative to its folder.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from scripts.core.errors import InputError, raise_faults
from scripts.core.yaml_text import load_yaml
from scripts.plan.hints import kit_hint

STRANDS = ("Forward", "Reverse", "Unstranded")
PROOFS = ("list", "pinned")


class BarcodeSegment(NamedTuple):
    """A part of the barcode: ``start`` counts from 1 on the barcode read; ``list`` is empty where none is known."""

    start: int
    length: int
    list: str


class BarcodeLayout(NamedTuple):
    """Where a kit keeps its barcode; barcodes cannot distinguish kits of the same layout and lists.

    ``shift``: the barcode starts up to so many bases late, from spot to spot. ``split``: so many of its first bases are
    a read of their own, which is put before the other one; ``segments`` count from the first base of the joined reads.
    """

    segments: tuple[BarcodeSegment, ...]
    shift: int = 0
    split: int = 0

    @property
    def end(self) -> int:
        """Last base of the barcode, counted from 1, where it does not start late."""
        return max(segment.start + segment.length - 1 for segment in self.segments)


class Oligo(NamedTuple):
    """Bases of a barcode, from ``start`` (counted from 1) on, that only the oligo for RNA or for features has."""

    start: int
    rna: str
    feature: str


class Probes(NamedTuple):
    """The cDNA read of a kit of ligated probes: bases of the probe, and where the sample's barcode is, from 1."""

    length: int
    start: int
    bases: int
    list: str


class Chemistry(NamedTuple):
    """A droplet kit; ``umi_length`` 0: it has no UMI; ``umi_own_read``: the UMI is a read of its own.

    ``umi_least``: so many bases of the UMI are enough, where the barcode read was sequenced no further.
    ``shift`` and ``split`` are those of its :class:`BarcodeLayout`. ``found``: without its list, the barcodes of the
    reads are the list. ``prefix``: first base and number of the bases of the cDNA read that are put before the barcode
    read; ``cdna_start``: the base with which the cDNA begins, counted from 1; ``cdna_length``: so many bases of the
    read are aligned, 0 for all. ``probes``: counted on a probe set, where one is configured. ``features``: of the
    oligo that captures features.
    """

    name: str
    title: str
    barcode: tuple[BarcodeSegment, ...]
    umi_start: int = 0
    umi_length: int = 0
    umi_own_read: bool = False
    umi_least: int = 0
    strand: str = ""
    mates: bool = False
    proof: str = "list"
    refused: str = ""
    oligo: Oligo | None = None
    shift: int = 0
    split: int = 0
    solo: tuple[tuple[str, str], ...] = ()
    source: str = ""
    found: bool = False
    prefix: tuple[int, int] = (1, 0)
    cdna_start: int = 1
    cdna_length: int = 0
    probes: Probes | None = None
    features: bool = False

    @property
    def lists(self) -> tuple[str, ...]:
        """The names of the inclusion lists, each once, in the order of the segments."""
        return tuple(dict.fromkeys(segment.list for segment in self.barcode if segment.list))

    @property
    def layout(self) -> BarcodeLayout:
        """Where the barcode is."""
        return BarcodeLayout(self.barcode, self.shift, self.split)

    @property
    def read_end(self) -> int:
        """Last base that the barcode read needs, counted from 1: that of the barcode or of the UMI behind it."""
        return self.layout.end if self.umi_own_read else max(self.layout.end, self.umi_start + self.umi_length - 1)

    @property
    def read_least(self) -> int:
        """Last base that the barcode read needs at least, counted from 1; a shorter one has lost barcode or UMI."""
        if self.umi_own_read or not self.umi_least:
            return self.read_end
        return max(self.layout.end, self.umi_start + self.umi_least - 1)

    def umi_bases(self, length: float, offset: int = 0) -> int:
        """Return how many bases of the UMI a barcode read of this length holds; its barcode starts ``offset`` late."""
        room = int(length) - (offset + self.umi_start - 1)
        return self.umi_length if not self.umi_least else max(self.umi_least, min(self.umi_length, room))

    @property
    def before(self) -> int:
        """Bases of other reads that come before those of the barcode read when the reads are joined."""
        return self.split + self.prefix[1]

    @property
    def simple(self) -> bool:
        """Whether STARsolo takes it as CB_UMI_Simple: one barcode of fixed position and length."""
        return len(self.barcode) == 1


class InclusionList(NamedTuple):
    """What is known of an inclusion list; ``address`` and ``sha256`` may be empty, a ``length`` of 0 means several.

    ``packaged`` is a file of the package ngs-tools and ``bases`` the first and last base of its barcodes that make the
    list, counted from 1 (empty: all); ``contents`` maps the digest of a list that is known
    (:func:`scripts.droplets.inclusion_lists.content_digest`) to what it holds. ``file`` is the path of a public list
    that comes with the workflow. ``wells``: barcode i of its first half and barcode i of its second half are the two
    primers of one well.
    """

    name: str
    address: str
    sha256: str
    barcodes: int
    length: int
    packaged: str = ""
    bases: tuple[int, ...] = ()
    contents: Mapping[str, str] = MappingProxyType({})
    file: str = ""
    wells: bool = False


_LIST_KEYS = ("address", "sha256", "barcodes", "length", "packaged", "contents", "file", "wells", "source")
_CHEMISTRY_KEYS = (
    *("title", "barcode", "umi", "strand", "mates", "proof", "refused", "oligo", "shift", "split", "solo"),
    *("source", "found", "prefix", "cdna_start", "probes", "features"),
)
_PREFIX_KEYS = ("start", "length")
_UMI_KEYS = ("start", "length", "own_read", "least")
_PACKAGED = re.compile(r"(\S+?)(?: (\d+)-(\d+))?")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_BASES = re.compile(r"[ACGT]+")


def _block_faults(
    key: str, block: Any, known: Sequence[str], positive: Sequence[str] = (), optional: Sequence[str] = ()
) -> Iterator[str]:
    """Yield a sentence for unknown keys of a block, and for ``positive`` keys that are no whole number above 0."""
    if not isinstance(block, dict):
        yield f"{key}: it must be a block of keys, but is {block!r}."
        return
    for name in block:
        if name not in known:
            yield f"{key}.{name}: unknown key; known are {', '.join(sorted(known))}."
    for name in (*positive, *(name for name in optional if name in block)):
        value = block.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"{key}.{name}: it must be a whole number above 0, but is {value!r}."


def _list_faults(key: str, block: Any, folder: Path) -> Iterator[str]:
    several = isinstance(block, dict) and block.get("length") == "any"
    yield from _block_faults(key, block, _LIST_KEYS, ["barcodes"] if several else ["barcodes", "length"])
    if not isinstance(block, dict):
        return
    if block.get("file") and not (folder / str(block["file"])).is_file():
        yield f"{key}.file: there is no file {block['file']!r} beside the chemistries."
    if not _PACKAGED.fullmatch(str(block.get("packaged") or "-")):
        yield f"{key}.packaged: it must be a file, or file and bases like 'FILE 1-9', not {block['packaged']!r}."
    contents = block.get("contents") or {}
    if not isinstance(contents, dict):
        yield f"{key}.contents: it must be a block of digests, each with what it is of, but is {contents!r}."
        return
    for digest in contents:
        if not _DIGEST.fullmatch(str(digest)):
            yield f"{key}.contents: a digest has 16 hexadecimal digits, but {digest!r} is none."


def _chemistry_faults(key: str, block: Any, lists: Mapping[str, Any]) -> Iterator[str]:
    yield from _block_faults(key, block, _CHEMISTRY_KEYS)
    if not isinstance(block, dict):
        return
    yield from _barcode_faults(f"{key}.barcode", block.get("barcode"), lists)
    yield from _block_faults(key, block, tuple(block), optional=("shift", "split", "cdna_start"))
    if "prefix" in block:
        yield from _block_faults(f"{key}.prefix", block["prefix"], _PREFIX_KEYS, _PREFIX_KEYS)
    umi = block.get("umi")
    if umi is not None:
        yield from _block_faults(f"{key}.umi", umi, _UMI_KEYS, ("start", "length"), ("least",))
    if not block.get("refused"):
        if block.get("strand") not in STRANDS:
            yield f"{key}.strand: {block.get('strand')!r} is not one of {', '.join(STRANDS)}."
        if umi is None:
            yield f"{key}.umi: missing; a kit that is counted needs start and length of its UMI."
    if "probes" in block:
        yield from _block_faults(f"{key}.probes", block["probes"], Probes._fields, ("length", "start", "bases"))
    if block.get("found") and isinstance(block.get("barcode"), list) and len(block["barcode"]) > 1:
        yield f"{key}.found: only a barcode in one part is found in the reads."
    if block.get("oligo") is not None:
        yield from _oligo_faults(f"{key}.oligo", block["oligo"])
    if block.get("proof", "list") not in PROOFS:
        yield f"{key}.proof: {block['proof']!r} is not one of {', '.join(PROOFS)}."
    if not isinstance(block.get("solo", {}), dict):
        yield f"{key}.solo: it must be a block of options of STARsolo, but is {block['solo']!r}."


def _barcode_faults(key: str, segments: Any, lists: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(segments, list) or not segments:
        yield f"{key}: it must list the parts of the barcode, each with start, length and list."
        return
    for number, segment in enumerate(segments):
        yield from _block_faults(f"{key}.{number}", segment, BarcodeSegment._fields, ["start", "length"])
        if isinstance(segment, dict) and segment.get("list") is not None and segment["list"] not in lists:
            yield f"{key}.{number}.list: {segment['list']!r} is not one of lists."


def _oligo_faults(key: str, oligo: Any) -> Iterator[str]:
    yield from _block_faults(key, oligo, Oligo._fields, ["start"])
    if isinstance(oligo, dict):
        for name in ("rna", "feature"):
            if not _BASES.fullmatch(str(oligo.get(name))):
                yield f"{key}.{name}: it must be bases of A, C, G and T, but is {oligo.get(name)!r}."


def _make_chemistry(name: str, block: Mapping[str, Any]) -> Chemistry:
    same: tuple[str, ...] = ("title", "strand", "mates", "proof", "refused", "shift", "split")
    same += ("source", "found", "cdna_start", "features")
    prefix = block.get("prefix") or {}
    return Chemistry(
        **{"name": name, "title": name} | {key: block[key] for key in same if block.get(key)},
        barcode=tuple(
            BarcodeSegment(part["start"], part["length"], part.get("list") or "") for part in block["barcode"]
        ),
        **{f"umi_{key}": value for key, value in (block.get("umi") or {}).items()},
        oligo=Oligo(**block["oligo"]) if block.get("oligo") else None,
        probes=Probes(**block["probes"]) if block.get("probes") else None,
        prefix=(prefix.get("start", 1), prefix.get("length", 0)),
        solo=tuple((str(key), str(value)) for key, value in block.get("solo", {}).items()),
    )


def _make_list(name: str, block: Mapping[str, Any], folder: Path) -> InclusionList:
    packaged = _PACKAGED.fullmatch(block.get("packaged") or "-")
    assert packaged is not None
    return InclusionList(
        name=name,
        address=block.get("address") or "",
        sha256=block.get("sha256") or "",
        barcodes=block["barcodes"],
        length=0 if block["length"] == "any" else block["length"],
        packaged=packaged[1] if block.get("packaged") else "",
        bases=(int(packaged[2]), int(packaged[3])) if packaged[2] else (),
        contents={str(digest): str(words) for digest, words in (block.get("contents") or {}).items()},
        file=str(folder / block["file"]) if block.get("file") else "",
        wells=bool(block.get("wells")),
    )


def read_chemistries(path: str | Path) -> tuple[dict[str, Chemistry], dict[str, InclusionList]]:
    """Return the kits and the inclusion lists of a chemistries file, by name, in the order of the file.

    Raises InputError for an unreadable file, and one for all faults inside it.
    """
    import yaml

    title = f"The chemistries ({path})"
    try:
        content = load_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{title} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{title} are not UTF-8; byte {error.start} is no text.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{title} are not YAML: {' '.join(str(error).split())}.") from error
    raise_faults(title, _block_faults("file", content, ("lists", "chemistries")))
    lists, kits = content.get("lists") or {}, content.get("chemistries") or {}
    folder = Path(path).parent
    faults = [fault for name, block in lists.items() for fault in _list_faults(f"lists.{name}", block, folder)]
    faults += [
        fault for name, block in kits.items() for fault in _chemistry_faults(f"chemistries.{name}", block, lists)
    ]
    if not kits:
        faults.append("chemistries: missing; it must name at least one kit.")
    raise_faults(title, faults)
    return (
        {name: _make_chemistry(name, block) for name, block in kits.items()},
        {name: _make_list(name, block, folder) for name, block in lists.items()},
    )


def chemistry_named(name: str, chemistries: Mapping[str, Chemistry]) -> Chemistry:
    """Return the kit of this name; raises InputError that names the nearest known one."""
    if name in chemistries:
        return chemistries[name]
    raise InputError(f"{name!r} is not a chemistry of config/chemistries.yaml{kit_hint(name, chemistries)}")
