"""What a change does again, after a finished run: that, and nothing else. The rows are those of docs/changes.md."""

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from scripts.core.errors import DISK_FULL, NO_LIST, TOO_MANY_DROPPED
from tests.toy import labels
from tests.toy.demo import HOME, HUMAN, MOUSE
from tests.workflow.changed import (
    CELL,
    HOMO,
    LIBRARY,
    MUS,
    OWN,
    PLATE,
    SHARDS,
    by_table,
    changed,
    run,
    write_configuration,
)
from tests.workflow.dry_runs import dry_run, jobs

pytestmark = pytest.mark.tools

FIRST = PLATE[0]
SPECIES = HUMAN | MOUSE
KEY = "0123456789abcdef0123456789abcdef0123"
OTHER = LIBRARY.replace("homo", "mus")
SCPRINT = {
    "atlas.backend": "scprint2",
    "atlas.checkpoint": "mine/probes.csv",
    "atlas.references": {},
    "atlas.labels": [],
    "atlas.train": {},
}
OF_LETTER = {
    "P": {"resolve"},
    "R": {"reference", "star_index", "count_index", "inclusion_list", "kmers"},
    "F": {"download", "fastq"},
    "A": {"align", "read_roles", "solo"},
    "C": {"count", "solo"},
}
"""Letter of the page → rules; T is of all others."""
OF_UNITS = ("download", "fastq", "align", "count", "read_roles", "solo", "bam")
NOT_TABLES = {"all", "retry", "bam"}.union(*OF_LETTER.values())
ALWAYS = {"report", "checksums", "all"}
ATLAS = {"atlas_model", "atlas_embed", "atlas_pack", "atlas_check", "atlas_distribution", "atlas_agreement"}
ATLAS |= {"atlas_train"}


class Change(NamedTuple):
    """One change: other values of keys, or something that is done to the files of the analysis."""

    keys: Mapping[str, Any] = {}
    units: Collection[str] = ()
    """Whose reads are fetched again."""
    do: Callable[[Path], object] | None = None
    tables: Collection[str] = ()
    """Rules that make tables, where they are not all of them."""
    letters: str = ""
    """What is made again, where it is less than the row of the page says."""
    of_series: bool = False
    """Whether it is a change of the analysis that was looked up."""


def cells(run: str, /, **values: str) -> Callable[[Path], None]:
    """Return what writes values into a row of the run table; without values it removes the row."""

    def write(folder: Path) -> None:
        table = folder / "mine/runs.tsv"
        header, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
        at = header.index("run")
        for row in rows:
            for column, value in values.items() if row[at] == run else ():
                row[header.index(column)] = value
        kept = [row for row in rows if values or row[at] != run]
        table.write_text("".join("\t".join(row) + "\n" for row in (header, *kept)), encoding="utf-8")

    return write


def append(name: str) -> Callable[[Path], None]:
    """Return what gives a file another content and an old time."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
        os.utime(folder / name, (1, 1))

    return write


def failed(unit: str, reason: str, cause: str = "", **settings: str) -> Callable[[Path], None]:
    """Return what says in the record of a unit that a run failed, and what was configured then."""

    def write(folder: Path) -> None:
        path = folder / f"units/counted/{unit}.json"
        record = json.loads(path.read_text())
        record["failed"] = [[reason, cause]]
        record["settings"] |= settings
        path.write_text(json.dumps(record))

    return write


def dropped(share: float) -> Callable[[Path], None]:
    """Return what says in the record of the library that this share of its spots lacked a read."""

    def write(folder: Path) -> None:
        path = folder / f"units/counted/{LIBRARY}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dropped": share}))

    return write


def plates(key: str, *values: Any, units: Collection[str] = SHARDS, **more: Any) -> list[Change]:
    return [Change({f"plates.{key}": value}, units, **more) for value in values]


def droplets(key: str, *values: Any, **more: Any) -> list[Change]:
    return [Change({f"droplets.{key}": value}, {LIBRARY}, **more) for value in values]


def of_tables(key: str, value: Any, *tables: str, **more: Any) -> list[Change]:
    return [Change({key: value}, tables=tables, **more)]


FILE = "{url}/files/references"
MODEL = "results/atlas/homo/model.npz"
LITE = {"archives.accept_lite": True}
OF_LISTS = "droplets.inclusion_lists.3M-february-2018"
HERE = {"file": "file:mine/cell_1.fastq.gz;mine/cell_2.fastq.gz"}
ROW, DROPLET_ROW = "SRR9000001", "SRR9000103"
COLUMNS = {
    "series": [Change({}, {"GSE9.mus.0000"}, cells(ROW, series="GSE9"))],
    "exp_id": [Change({}, do=cells(ROW, exp_id="200000009"))],
    "sample": [Change({}, do=cells(ROW, sample="GSM9"))],
    "experiment": [Change({}, {"GSE900001.mus.0003"}, cells(ROW, experiment="SRX9"))],
    "run": [Change({}, {FIRST}, cells(ROW, run="SRR9000040"))],
    "tax_id": [Change({}, {OTHER}, cells(DROPLET_ROW, tax_id="10090", species=""))],
    "organism": [Change({}, do=cells(ROW, organism="mouse"))],
    "species": [Change({}, {OTHER}, cells(DROPLET_ROW, tax_id="", species="mus"))],
    "assay": [Change({}, {f"GSE900001.mus.{CELL}"}, cells(ROW, assay="droplet"))],
    "chemistry": [Change({}, {LIBRARY}, cells(DROPLET_ROW, chemistry="10x_3p_v2"))],
    "layout": [Change({}, {FIRST}, cells(ROW, layout="single"))],
    "read_roles": [Change({}, {LIBRARY}, cells(DROPLET_ROW, read_roles=""))],
    **{name: [Change({}, {FIRST}, cells(ROW, **{name: "7"}))] for name in ("spots", "bases", "bytes")},
    "md5": [Change({}, {FIRST}, cells(ROW, md5="0" * 32))],
    "source": [
        Change({}, {FIRST}, cells(ROW, source=HERE["file"])),
        Change({}, do=cells(ROW, source="ena"), letters="PT"),
    ],
    "status": [Change({}, do=cells(ROW, status="left_out"))],
    "reason": [Change({}, do=cells(ROW, status="left_out", reason="NOT_RNA"))],
    "detail": [Change({}, do=cells(ROW, detail="a word"))],
    "a column of your own": [Change({}, do=cells(ROW, donor="D2"))],
    "a row that is removed": [Change({}, do=cells(ROW))],
    "a local file": [
        Change({}, {OWN}, append("mine/cell_1.fastq.gz")),
        Change({}, do=lambda folder: (folder / "mine/cell_1.fastq.gz").touch(), letters="—"),
        Change({}, do=lambda folder: (folder / "mine/cell_1.fastq.gz").unlink(), letters="—"),
    ],
}
"""Column of a run table, or what else is on it → changes."""
CHANGES = {
    # what is asked for
    "series": [
        Change({"series": ["GSE900001"]}, letters="PT", of_series=True),
        Change({"series": "SRX9000008", "leave_out": {}}, {"GSE900001.mus.0003"}, of_series=True),
    ],
    "a file of accessions": [
        Change(
            {}, do=lambda folder: (folder / "mine/series.txt").write_text("GSE900001\n"), letters="PT", of_series=True
        )
    ],
    "run_table": [Change({"run_table": "mine/runs.tsv", "leave_out": {}}, {OWN}, of_series=True)],
    "leave_out": [
        Change({"leave_out": {CELL: "bad"}}),
        Change({"leave_out": {"SRX9000102": "bad"}}),
        Change({"leave_out": {"SRX9000201": "bad", "SRX9000213": "bad"}}),
    ],
    "assay": [Change({"assay": {CELL: "droplet"}}, {f"GSE900001.mus.{CELL}"})],
    "refresh": [Change({"refresh": ["GSE900001"]}, letters="P", of_series=True)],
    "withdrawn": [Change({"withdrawn": "remove"}, tables={"provenance"}, of_series=True)],  # nothing is gone
    "retry": [
        Change({"retry": ["DOWNLOAD_FAILED"]}, {FIRST}, failed(FIRST, "DOWNLOAD_FAILED")),
        Change({"retry": ["EMPTY_READS"]}, do=failed(FIRST, "DOWNLOAD_FAILED"), letters="—"),
        Change({"scratch.limit_gb": 300}, {FIRST}, failed(FIRST, "DISK_LIMIT")),
        Change({}, {FIRST}, failed(FIRST, "DISK_LIMIT", DISK_FULL)),
        Change(LITE, {FIRST}, failed(FIRST, "QUALITY_LITE")),
        Change({"droplets.max_dropped": 0.1}, {LIBRARY}, failed(LIBRARY, "READS_MISSING", TOO_MANY_DROPPED)),
        Change({OF_LISTS: "mine/list.txt"}, {LIBRARY}, failed(LIBRARY, "CHEMISTRY_UNKNOWN"), letters="RFACT"),
        Change({}, {LIBRARY}, failed(LIBRARY, "CHEMISTRY_UNKNOWN", NO_LIST)),
        Change({"archives.order": ["ena_fastq", "sra"]}, {FIRST}, failed(FIRST, "DOWNLOAD_FAILED")),
        Change(
            {},
            {OWN},
            lambda folder: [failed(OWN, "REFERENCE_MISSING", "NC_1.1")(folder), (folder / "mine/NC_1.1").touch()],
        ),
        Change(
            {}, {OWN}, lambda folder: [failed(OWN, "ARCHIVE_CORRUPT")(folder), append("mine/cell_2.fastq.gz")(folder)]
        ),
    ],
    "max_failed": [Change({"max_failed": 0.4})],
    "exp_id": [Change({"exp_id": "gds_uid"}, of_series=True)],
    "count_by": [Change({"count_by": "run"}, SHARDS - {OWN})],  # whose run has the name of its experiment
    # references
    "species": [
        Change(
            {"species": SPECIES | {"homo": {"tax_id": 9606, "reference": "mm10"}}}, {*HOMO, LIBRARY}, letters="FACT"
        ),
        Change(
            {"species": SPECIES | {"fish": {"tax_id": 7955, "reference": "hg38", "look_for": True}}},
            {"GSE900003.fish.0000"},
            of_series=True,
        ),
    ],
    "references.fasta": [
        Change({"references.hg38.fasta": f"{FILE}/mm10.fa.gz"}, {*HOMO, LIBRARY}),
        Change({}, MUS, append("mine/mm10.fasta.gz")),
    ],
    "references.gtf": [
        Change({"references.hg38.gtf": {"address": f"{FILE}/hg38.gtf.gz", "sha256": "0" * 64}}, {*HOMO, LIBRARY}),
        Change({}, MUS, append("mine/mm10.gtf.gz")),
    ],
    "references.spike_ins": [
        Change({"references.mm10.spike_ins": None}, MUS),
        Change({}, MUS, append("mine/spike_ins.gtf")),
        Change(
            {
                "references.hg38.spike_ins.fasta": f"{FILE}/hg38.fa.gz",
                "references.hg38.spike_ins.gtf": f"{FILE}/hg38.gtf.gz",
            },
            {*HOMO, LIBRARY},
        ),
    ],
    "references.sjdb_overhang": [Change({"references.mm10.sjdb_overhang": 50}, MUS)],
    "references.index": [Change({"references.mm10.index": "resources/mm10/star"}, MUS)],
    # plates
    "plates.shard_size": plates("shard_size", 3, units=(), of_series=True),
    "plates.mode": plates("mode", "union"),
    "plates.strand": [*plates("strand", "reverse"), *plates("strand", {"GSE900001": "auto"}, units=PLATE)],
    "plates.type": plates("type", "gene"),
    "plates.id_attribute": plates("id_attribute", "gene_name"),
    "plates.nonunique": plates("nonunique", "all"),
    "plates.seed": [
        Change({"plates.seed": 1, "plates.nonunique": "random"}, SHARDS),
        *plates("seed", 1, units=(), letters="T", tables={"provenance"}),
    ],
    "plates.secondary_alignments": plates("secondary_alignments", "score"),
    "plates.supplementary_alignments": plates("supplementary_alignments", "score"),
    "plates.min_quality": plates("min_quality", 0),
    "plates.counter": plates("counter", "native", "starsolo"),
    "plates.preset": plates("preset", "encode"),
    "plates.star_options": plates("star_options", {"outFilterMismatchNmax": 3}),
    "plates.keep_bam": plates("keep_bam", True),
    "plates.min_mapped": plates("min_mapped", 0.5, units=()),
    "plates.min_reads": plates("min_reads", 10, units=()),
    # droplets
    "droplets.chemistry": droplets("chemistry", "10x_3p_v2"),
    "droplets.inclusion_lists": [
        *droplets("inclusion_lists.737K-august-2016", "{url}/files/inclusion_lists/737K-august-2016.txt"),
        Change({}, {LIBRARY}, append("mine/list.txt")),
        Change({OF_LISTS: "mine/list.txt"}, letters="T", tables={"provenance"}),  # a further list, for no library
    ],
    "droplets.features_reference": [
        *droplets("features_reference", None),
        Change({}, {LIBRARY}, append("mine/tags.csv")),
    ],
    "droplets.probe_sets": [*droplets("probe_sets", {}), Change({}, {LIBRARY}, append("mine/probes.csv"))],
    "droplets.join_wells": droplets("join_wells", False),
    "droplets.features": [
        Change({"droplets.features": ["Gene", "SJ"]}),
        *droplets("features", ["Gene", "Velocyto"], letters="FACT"),
    ],
    "droplets.multireads": [
        Change({"droplets.multireads": ["Unique"]}),
        *droplets("multireads", ["Unique", "Rescue"], letters="FACT"),
    ],
    "droplets.cell_filter": [Change({"droplets.cell_filter": name}) for name in ("TopCells 5", "None")],
    "droplets.counts": of_tables("droplets.counts", "GeneFull", "droplets_h5ad", "libraries_table", *ATLAS),
    "droplets.keep_bam": droplets("keep_bam", True),
    "droplets.preset": droplets("preset", "cellranger4"),
    "droplets.min_valid_barcodes": [Change({"droplets.min_valid_barcodes": 0.2})],
    "droplets.min_gene_share": [Change({"droplets.min_gene_share": 0.04})],
    "droplets.max_dropped": [
        Change({"droplets.max_dropped": 0.001}, {LIBRARY}, dropped(0.005)),
        Change({"droplets.max_dropped": 0.001}, letters="T", tables={"provenance"}),
    ],
    "droplets.bounds": [
        *(
            Change({f"droplets.bounds.max_{name}_share": 0.2})
            for name in ("tr", "ig", "top_gene", "mitochondrial", "ribosomal")
        ),
        Change({"droplets.bounds.min_genes_per_1000": 9}),
    ],
    "droplets.star_options": droplets("star_options", {"outFilterScoreMin": 20}),
    "droplets.layers": of_tables("droplets.layers", ["Gene_EM"], "droplets_h5ad", "libraries_table", *ATLAS),
    "mex.metadata_name": of_tables(
        "mex.metadata_name", "manifest.tsv", "mex_archive", "droplets_h5ad", "libraries_table", *ATLAS
    ),
    # tables
    "harvest.clock": of_tables("harvest.clock", "keep", "log_table"),
    "harvest.gene_name": of_tables("harvest.gene_name", True, "counts_table", "tpm_table"),
    "harvest.tpm": of_tables("harvest.tpm", False, "counts_h5ad", *ATLAS),
    # archives and scratch
    # archives
    "archives.api_key": [Change({"archives.api_key": KEY, "refresh": ["GSE900001"]}, letters="P", of_series=True)],
    # atlas
    "atlas.enabled": of_tables("atlas.enabled", False),
    "atlas.backend": [Change(SCPRINT, tables=ATLAS)],
    "atlas.checkpoint": [Change(SCPRINT | {"atlas.checkpoint": MODEL}, tables=ATLAS)],
    "atlas.models": of_tables("atlas.models", {"homo": MODEL}, *ATLAS),
    "atlas.components": of_tables("atlas.components", 3, *ATLAS),
    "atlas.fit_cells": of_tables("atlas.fit_cells", 5, *ATLAS),
    "atlas.references": [
        Change({"atlas.references": {}, "atlas.labels": []}, tables=ATLAS),
        Change({}, do=append(labels.LABELLED), tables=ATLAS),
    ],
    "atlas.labels": of_tables("atlas.labels", ["cell_type", "batch"], *ATLAS),
    "atlas.train": [
        Change({"atlas.train": {}}, tables=("-",)),
        Change({}, do=append(labels.TABLE), tables=("atlas_train",)),
    ],
    "atlas.shard_rows": of_tables("atlas.shard_rows", 2, *ATLAS),
    "atlas.seed": of_tables("atlas.seed", 1, *ATLAS),
}
"""Key or file → changes of it."""
QUIET = {
    "plates.keep_alignments": (True, "--alignments units/align/", "count"),
    "scratch.directory": ("elsewhere", "--output elsewhere/", "download fastq"),
    "scratch.limit_gb": (77, "--limit-gb 77", "download fastq"),
    "archives.geo": ("https://a.b/geo", "--geo https://a.b/geo", "resolve discover"),
    "archives.eutils": ("https://a.b/eutils", "--eutils https://a.b/eutils", "resolve discover"),
    "archives.ena": ("https://a.b/ena", "--ena https://a.b/ena", "resolve discover download"),
    "archives.sra": ("https://a.b/sdl", "--resolver https://a.b/sdl", "download"),
    "archives.order": (["ena", "sra"], "--order ena sra", "resolve discover download"),
    "archives.retries": (1, "s 1 ", "resolve discover download"),
    "archives.parallel": (7, "--parallel 7", "download"),
    "archives.per_host": (9, "--per-host 9", "download"),
    "archives.accept_lite": (True, "--accept-lite", "download"),
    "atlas.python": ("/bin/sh", "--python /bin/sh", "atlas_embed"),
    "discover.since": ("2020-01-01", "--since 2020-01-01", "discover"),
    "discover.until": ("2020-02-01", "--until 2020-02-01", "discover"),
    "discover.date": ("updated", "--date updated", "discover"),
    "discover.species": (["mus"], "--species mus=10090", "discover"),
    "discover.types": (["plates"], "--types plates", "discover"),
    "discover.query": ("cortex", "--query cortex", "discover"),
    "discover.limit": (7, "--limit 7", "discover"),
    "discover.sra": (False, "--no-sra", "discover"),
    "discover.accept": ("mine/accepted.txt", "--accept mine/accepted.txt", "discover"),
    "discover.accept_gb": (5, "--accept-gb 5", "discover"),
}
"""Key of which a change makes nothing again → value, and what is in the commands of these rules then, and only then."""


def page() -> dict[str, str]:
    """Return key or file → what the page says is made again, as letters; columns of a run table as ``run table: …``."""
    rows, above = {}, ""
    for line in (HOME / "docs/changes.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            above = "run table: " if line.startswith("## A run table") else ""
        elif found := re.fullmatch(r"\| ([^|]+) \| ([PRFACT]+|—) \| .*\|", line):
            rows[above + found[1].replace("`", "")] = found[2]
    return rows


ROWS = CHANGES | {key: [] for key in QUIET} | {f"run table: {column}": changes for column, changes in COLUMNS.items()}
CASES = [
    pytest.param(row, change, id=f"{row} {number}")
    for row, changes in ROWS.items()
    for number, change in enumerate(changes)
]


def schema_keys(schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield every key of the schema, joined by dots; ``*`` stands for names that the user gives."""
    inner = dict(schema.get("properties", {}))
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping) and "properties" in more:
        inner["*"] = more
    if not inner:
        yield above.removesuffix(".")
    for name, facts in inner.items():
        yield from schema_keys(facts, f"{above}{name}.")


def touched(key: str, value: Any) -> Iterator[str]:
    """Yield the keys of the schema of which a change has another value, and those above and below them."""
    names = key.split(".")
    if names[0] in ("species", "references") and len(names) > 1:
        names[1] = "*"
    for depth in range(len(names)):
        yield ".".join(names[: depth + 1])
    for name, inner in value.items() if isinstance(value, Mapping) else ():
        yield from touched(f"{key}.{name}", inner)


def test_every_row_of_the_page_has_a_change_and_every_key_a_row():
    assert page().keys() == ROWS.keys()
    keys = set(schema_keys(yaml.safe_load((HOME / "config/config.schema.yaml").read_text(encoding="utf-8"))))
    changes = [item for changes in CHANGES.values() for change in changes for item in change.keys.items()]
    changes += [(key, value) for key, (value, *_) in QUIET.items()]
    assert keys <= {path for key, value in changes for path in touched(key, value)}
    for key in keys:  # bounds have one row, and so have the spike-ins
        row = re.sub(r"\*\.|(?<=bounds)\..*|(?<=spike_ins)\..*", "", key)
        assert row in page() or row.partition(".")[0] == "species"


@pytest.fixture
def plan(request, tmp_path, archives):
    """Return what a dry run plans after a change, and what it prints; files are changed in a copy."""

    def plan(change: Change, *options: str) -> tuple[dict[str, set[str]], str]:
        folder, configuration = request.getfixturevalue("of_series" if change.of_series else "finished")
        if change.do or change.of_series:
            shutil.copytree(folder, tmp_path / "analysis", symlinks=True)
            folder = tmp_path / "analysis"
        for do in filter(None, [change.do]):
            do(folder)
        new = changed(configuration, with_url(dict(change.keys), archives.url))
        if "run_table" in change.keys:
            by_table(new, folder)
        write_configuration(folder, new)
        status, printed = dry_run(folder, options)
        assert status == 0, printed
        found = jobs(printed)
        if change.of_series and "resolve" in found and "run_table" not in change.keys:
            run(folder, new, "resolve")
            write_configuration(folder, {**new, "refresh": []})  # each call with it asks again
            status, printed = dry_run(folder)
            assert status == 0, printed
            found = jobs(printed) | {"resolve": {""}}
        return found, printed

    return plan


def with_url(value: Any, url: str) -> Any:
    return json.loads(json.dumps(value).replace("{url}", url))


def commands(printed: str) -> dict[str, set[str]]:
    """Return rule → the commands of its jobs, from what a dry run with all jobs and their commands printed."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"^(?:local)?(?:rule|checkpoint) (?=\w+:$)", printed, flags=re.M)[1:]:
        command = re.search(r"python -m scripts .+?(?=\n\S|\n\n|\Z)", block, re.S)
        found.setdefault(block.partition(":")[0], set()).add(command[0] if command else "")
    return found


def test_keys_that_make_nothing_again_are_in_commands(finished):
    folder, configuration = finished
    options = ["--forceall", "-p", "all", "discover"]
    new = changed(configuration, {key: value for key, (value, *_) in QUIET.items()})
    write_configuration(folder, configuration)
    status, usual = dry_run(folder, options)
    assert status == 0, usual
    write_configuration(folder, new)
    status, printed = dry_run(folder)
    assert (status, jobs(printed)) == (0, {}), printed
    status, other = dry_run(folder, options)
    assert status == 0, other
    before, after = commands(usual), commands(other)
    for key, (_, words, rules) in QUIET.items():
        assert page()[key] == "—"
        for rule in rules.split():
            assert all(words in command for command in after[rule]), (key, rule, after[rule])
            assert not any(words in command for command in before[rule]), (key, rule)


@pytest.mark.parametrize(("row", "change"), CASES)
def test_a_change_makes_again_what_its_row_says(row, change, finished, plan, archives):
    asked = len(archives.requests)
    found, _ = plan(change)
    letters = change.letters or page()[row]
    assert not [request.path for request in archives.requests[asked:] if "sra-pub" in request.path]
    for letter, rules in OF_LETTER.items():
        assert bool(rules & found.keys()) == (letter in letters), (letter, found)
    tables = found.keys() - NOT_TABLES
    if "T" not in letters:
        assert tables <= {"evidence"}, found
    elif change.tables:
        assert tables - ALWAYS <= {*change.tables, "wanted", "provenance"} and found.keys() >= ALWAYS, found
    else:
        assert found.keys() >= ALWAYS, found
    keys = [request for request in archives.requests[asked:] if KEY in request.path + request.form]
    assert bool(keys) == (KEY in change.keys.values())
    units = {name for rule in OF_UNITS for name in found.get(rule, ())}
    assert units == set(change.units)
