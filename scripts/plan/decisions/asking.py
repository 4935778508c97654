"""What is asked for: options of the commands that look accessions up and download their archives."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError
from scripts.plan.lists import is_empty_list, is_path


def as_words(options: Mapping[str, Sequence[str]]) -> list[str]:
    """Return options that have values as words of a command line."""
    return [word for option, values in options.items() if values for word in (option, *values)]


class AskedFor:
    """What the checked configuration ``config`` asks of the archives, as options of commands."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def accession_files(self) -> list[str]:
        """Return the files of accessions that ``series`` names, whose change makes a new plan."""
        return [word for word in self.asked() if is_path(word)]

    def asked_digest(self) -> str:
        """Return the digest of the files that say what is asked for: the run table or the lists of accessions.

        Raises InputError where nothing is asked for.
        """
        table = self.config["run_table"]
        if not table and not self.asked():
            listed = f"{self.config['discover']['accept']} is empty yet: `snakemake discover` fills it; or " * bool(
                self._words("series")
            )
            raise InputError(f"series: nothing is asked for; {listed}name at least one accession, e.g. GSE67835.")
        return " ".join(map(hash_file, [table] if table else self.accession_files()))

    def asked(self) -> list[str]:
        """Return the words of ``series``; the list that ``discover`` writes is one of them when it has an accession."""
        accepted = self.config["discover"]["accept"]
        return [word for word in self._words("series") if word != accepted or not is_empty_list(word)]

    def _words(self, key: str) -> Sequence[str]:
        value = self.config[key]
        return [value] if isinstance(value, str) else value

    def plan_options(self) -> list[str]:
        """Return the choices that decide what is planned, as options of the command ``resolve``."""
        config = self.config
        options = {
            "--series": [] if config["run_table"] else self.asked(),
            "--run-table": [config["run_table"]] if config["run_table"] else [],
        }
        withdrawn = [] if config["run_table"] or config["withdrawn"] == "keep" else [config["withdrawn"]]
        return [*as_words(options), *self._choices(config["species"]), *as_words({"--withdrawn": withdrawn})]

    def discover_options(self) -> list[str]:
        """Return what is looked for and how it is judged, as options of the command ``discover``."""
        wanted = self.config["discover"]
        options = {f"--{name}": [wanted[name]] if wanted[name] else [] for name in ("since", "until", "query")}
        options |= {
            "--date": [wanted["date"]],
            "--types": wanted["types"],
            "--limit": [str(wanted["limit"])],
            "--accept": [wanted["accept"]] if wanted["accept"] else [],
            "--accept-gb": [f"{wanted['accept_gb']:g}"],
            "--series": [] if self.config["run_table"] else [*self._words("series")],
        }
        outside = [] if wanted["sra"] else ["--no-sra"]
        return [*as_words(options), *outside, *self._choices(wanted["species"] or self.config["species"])]

    def _choices(self, species: Iterable[str]) -> list[str]:
        """Return how runs are judged, with these species, as options of a command."""
        config = self.config
        pairs = config["assay"].items() if isinstance(config["assay"], Mapping) else ()
        options = {
            "--species": [f"{label}={config['species'][label]['tax_id']}" for label in species],
            "--assay": [f"{name}={assay}" for name, assay in pairs] or [config["assay"] or "auto"],
            "--leave-out": [f"{accession}={reason}" for accession, reason in config["leave_out"].items()],
            "--chemistry": [config["droplets"]["chemistry"]],
            "--exp-id": [config["exp_id"]],
        }
        return as_words(options)

    def refresh_options(self) -> list[str]:
        """Return which kept records are asked for again, as options of the command ``resolve``."""
        words = [] if self.config["run_table"] else self._words("refresh")
        return ["--refresh", *words] if words else []

    def download_options(self) -> list[Any]:
        """Return how the archives are asked, as options of the command ``download``."""
        archives = self.config["archives"]
        return [
            *("--order", *archives["order"], "--resolver", archives["sra"], "--ena", archives["ena"]),
            *("--more-passes", archives["retries"], "--parallel", archives["parallel"]),
            *("--per-host", archives["per_host"], "--limit-gb", self.config["scratch"]["limit_gb"]),
        ]
