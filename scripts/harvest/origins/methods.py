"""The paragraph for a paper (methods.txt), made from provenance.json alone.

The text has the numbers of its references in brackets; the list of them follows, then the options that are not the
default and the calls of STAR.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripts.harvest.origins.citations import WORKS
from scripts.plan.decisions.analysis import STARSOLO

_MOST_NAMED = 12  # series, or experiments of a call of STAR, that are named
_STRANDS = {
    "none": "without regard to the strand",
    "forward": "on the strand of the gene",
    "reverse": "on the strand opposite to the gene",
    "auto": "on the strand that the reads of each cell show",
}


_PRESETS = {
    ("plates", "census2017"): "the options with which the plates of 2017 were aligned",
    ("plates", "encode"): "the options of ENCODE for long RNA",
    ("plates", "star_defaults"): "STAR's own options",
    ("droplets", "encode"): "the options of ENCODE's single-cell pipeline",
    ("droplets", "cellranger4"): "options that match Cell Ranger 4",
    ("droplets", "star_defaults"): "STAR's own options",
}


class Citations:
    """The works that a text cites, numbered in the order in which they first appear."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def cite(self, *names: str) -> str:
        """Return the numbers of works in brackets, ``[1, 2]``."""
        self.names += [name for name in dict.fromkeys(names) if name not in self.names]
        return f"[{', '.join(str(self.names.index(name) + 1) for name in dict.fromkeys(names))}]"

    def lines(self) -> Iterator[str]:
        """Yield a line for each cited work."""
        for number, name in enumerate(self.names, 1):
            yield f"{number}. {WORKS[name].entry} doi:{WORKS[name].doi}"


def write_methods(facts: Mapping[str, Any]) -> str:
    """Return the text of methods.txt."""
    works = Citations()
    sentences = [
        *_data(facts, works),
        *_references(facts, works),
        *_plates(facts, works),
        *_droplets(facts, works),
        *_further(facts, works),
    ]
    parts = ["Methods", "", " ".join(sentences), "", "References", "", *works.lines()]
    papers = sorted({identifier for series in facts["series"] for identifier in series["pubmed_ids"]}, key=int)
    if papers:
        parts += ["", f"Articles of the series (PubMed ids), which are cited too: {', '.join(papers)}."]
    parts += ["", "Options that are not the default", ""]
    parts += [f"{option['key']}: {_value(option['value'])}" for option in facts["options"]] or ["none"]
    if facts["star"]:
        parts += ["", "Calls of STAR (reads, index, threads and folders are left out)", ""]
    for call in facts["star"]:
        whose = "plate cells" if call["assay"] == "plate" else _some(call["experiments"], "libraries")
        parts.append(f"{whose}: {call['arguments']}")
    return "\n".join(parts) + "\n"


def versions_of(facts: Mapping[str, Any], program: str, assay: str = "") -> str:
    """Return a program with its versions, ``STAR 2.7.10b and 2.7.11b``; empty where no run was made with it.

    ``assay`` is that of the runs, any where it is empty.
    """
    versions = [
        tool["version"]
        for tool in facts["tools"]
        if tool["program"] == program and (not assay or assay in tool["assays"])
    ]
    return f"{program} {_and(versions)}" if versions else ""


def _data(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    series, runs = [row["series"] for row in facts["series"]], facts["runs"]
    if not series:
        yield "No run was counted."
        return
    of_geo = works.cite("GEO") if any(name.startswith("GSE") for name in series) else ""
    named = _some(series, "series")
    workflow = versions_of(facts, "sra2matrix") or f"sra2matrix {facts['workflow']['harvested_with']}"
    yield _joined(
        f"Single-cell RNA-seq data of {named}",
        of_geo,
        "were processed with",
        workflow,
        ", a Snakemake workflow",
        works.cite("Snakemake"),
        ".",
    )
    missing = [
        f"{runs[status]:,} {words}"
        for status, words in (("failed", "failed"), ("left_out", "left out"))
        if runs[status]
    ]
    yield _joined(
        f"{_number(runs['counted'], 'run was', 'runs were')} counted", f", {_and(missing)}" if missing else "", "."
    )
    if missing:
        yield "The ledger (results/runs.tsv) has the reason of each."
    sources: dict[str, int] = {}
    for read in facts["reads"]:
        sources[read["from"]] = sources.get(read["from"], 0) + read["runs"]
    cited = {"SRA" if "Sequence Read Archive" in source else "ENA" for source in sources if "Archive" in source}
    listed = _and([f"{source} ({_number(number, 'run', 'runs')})" for source, number in sources.items()])
    converted = versions_of(facts, "sra-tools")
    yield _joined(
        f"Reads were taken from {listed}",
        works.cite(*sorted(cited, reverse=True)) if cited else "",
        f"; archives were converted with {converted}" if converted else "",
        ".",
    )


def _references(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    counted = {row["species"] for row in facts["counted"]}
    known = {reference["name"]: reference for reference in facts["references"]}
    for species in facts["species"]:
        reference = known.get(species["reference"])
        if species["label"] not in counted or reference is None:
            continue
        release = reference["release"]
        files = {source["role"]: source["address"].rpartition("/")[2] for source in reference["sources"]}
        genome, annotation, spikes = (files.get(role, "") for role in ("fasta", "gtf", "spike_in_fasta"))
        cited = works.cite(release["provider"]) if release["provider"] in WORKS else ""
        organism = species["organism"] or species["label"]
        yield _joined(
            f"The reference of {organism} ({reference['name']}) was the genome {genome} with the annotation",
            annotation,
            f"({release['words']})" if release["words"] else "",
            cited,
            f"and the spike-in sequences {spikes}" if spikes else "",
            ".",
        )


def _plates(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    rows = [row for row in facts["counted"] if row["assay"] == "plate"]
    if not rows:
        return
    settings = facts["settings"]
    by_run = settings.get("count_by") == "run"
    cells = sum(row["runs" if by_run else "experiments"] for row in rows)
    star = versions_of(facts, "STAR", "plate") or "STAR"
    preset = settings["plates.preset"]
    yield _joined(
        f"The reads of {_number(cells, 'plate cell', 'plate cells')} were aligned with {star}",
        works.cite("STAR"),
        f"with {_PRESETS['plates', preset]} (preset {preset}), listed below.",
    )
    if settings["plates.counter"] == STARSOLO:
        yield _joined(
            "They were counted by STARsolo (soloType SmartSeq, all copies of a molecule)",
            works.cite("STARsolo"),
            f", {_strand(settings)}.",
        )
    else:
        yield _counting(facts, works)
    share = 100 * float(settings["plates.min_mapped"])
    if share:
        yield f"Cells of 100 reads or more of which less than {share:.3g} % mapped were excluded."
    if settings["plates.min_reads"]:
        yield f"Cells of fewer than {settings['plates.min_reads']:,} reads were left out."
    if settings["harvest.tpm"]:
        yield _joined(
            "Transcripts per million were computed from the lengths of the union of exons", works.cite("TPM"), "."
        )


def _counting(facts: Mapping[str, Any], works: Citations) -> str:
    """Return the sentence on how plate cells were counted by the rules of htseq-count."""
    settings = facts["settings"]
    program = versions_of(facts, "HTSeq", "plate")
    rules = [
        f"mode {settings['plates.mode']}",
        _strand(settings),
        f"features {settings['plates.type']} by {settings['plates.id_attribute']}",
        f"mapping quality of {settings['plates.min_quality']} or more",
    ]
    if settings["plates.nonunique"] != "none":
        rules.append(f"reads of several genes: {settings['plates.nonunique']}")
    counter = settings["plates.counter"]
    if counter == "htseq-count":
        who = f"with htseq-count ({program or 'HTSeq'})"
    else:
        who = "by the rules of htseq-count with the counter of the workflow"
    checked = f", compared with {program} in each group of cells" if counter == "auto" and program else ""
    return _joined(f"Fragments were counted {who}", works.cite("HTSeq"), f"{checked} ({'; '.join(rules)}).")


def _strand(settings: Mapping[str, Any]) -> str:
    strand = settings.get("plates.strand")
    return _STRANDS.get(str(strand), "on the strand that was given for each series or sample")


def _droplets(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    rows = [row for row in facts["counted"] if row["assay"] == "droplet"]
    if not rows:
        return
    settings = facts["settings"]
    libraries = sum(row["experiments"] for row in rows)
    kits = _and([f"{kit['title']}: {kit['libraries']:,}" for kit in facts["kits"]])
    star = versions_of(facts, "STAR", "droplet") or "STAR"
    preset = settings["droplets.preset"]
    features, ways = (", ".join(settings[f"droplets.{key}"]) for key in ("features", "multireads"))
    yield _joined(
        _number(libraries, "droplet library", "droplet libraries"),
        f"({kits})" if kits else "",
        f"{'was' if libraries == 1 else 'were'} counted with STARsolo ({star})",
        works.cite("STAR", "STARsolo"),
        f"with {_PRESETS['droplets', preset]} (preset {preset}), listed below; features {features}; molecules of"
        f" several genes: {ways}.",
    )
    if "Velocyto" in settings["droplets.features"]:
        yield _joined("Spliced and unspliced molecules were counted as velocyto does", works.cite("velocyto"), ".")
    yield from _cells(facts, works)
    floors = ("min_valid_barcodes", "min_gene_share")
    barcodes, genes = (f"{100 * float(settings[f'droplets.{key}']):.3g} %" for key in floors)
    yield f"Libraries with less than {barcodes} of reads with a valid barcode, or {genes} in genes, were excluded."


def _cells(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    """Yield how cells were separated from empty droplets."""
    rows, configured = facts["cell_filters"], facts["settings"]["droplets.cell_filter"]
    if not rows:
        return
    of_drops = any(row["filter"].startswith("EmptyDrops") for row in rows)
    filters = _and([f"{row['filter']} ({_number(row['libraries'], 'library', 'libraries')})" for row in rows])
    yield _joined(f"Cells were called by STAR's filter {filters}", works.cite("EmptyDrops") if of_drops else "", ".")
    others = sum(row["libraries"] for row in rows if row["filter"].split()[:1] != configured.split()[:1])
    if others:
        whose = _number(others, "library has", "libraries have")
        yield f"The filter is not the configured {configured} where it needs more barcodes: {whose} too few."


def _further(facts: Mapping[str, Any], works: Citations) -> Iterator[str]:
    if not facts["series"]:
        return
    if sorter := versions_of(facts, "samtools"):
        yield _joined(f"Alignments were sorted with {sorter}", works.cite("samtools"), ".")
    if backend := facts["settings"].get("atlas.backend"):
        yield f"Cells were embedded as vectors with {backend}."
    yield _joined("Counts are given as tables and as AnnData", works.cite("anndata"), ".")


def _joined(*parts: str) -> str:
    """Return parts with a blank between them, but none before a comma, a semicolon or a full stop."""
    text = ""
    for part in filter(None, parts):
        text += part if not text or part[0] in ",;." else f" {part}"
    return text


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _number(number: int, one: str, several: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else several}"


def _some(names: Sequence[str], noun: str) -> str:
    """Return names, or how many there are where they are too many to name."""
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return f"{len(names):,} {noun}"


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
