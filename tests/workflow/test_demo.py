"""The whole workflow on the toy archives: what is counted is what was made, and nothing that entered is lost."""

import fnmatch
import gzip
import io
import json
import re
import shutil
import stat
import subprocess
import tarfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.plan.run_table import Run, read_runs
from tests.checksums import sums
from tests.toy import catalogue, labels
from tests.toy.demo import HOME, run_workflow
from tests.toy.server import Server
from tests.toy.world import World

pytestmark = pytest.mark.tools

GENE_ROWS = 4  # header rows above the genes, the first of them the column names


class Demo:
    """A finished run of the workflow on the toy archives."""

    def __init__(
        self, world: World, folder: Path, *options: str, place: Mapping[str, Any] | None = None, **changes: dict
    ) -> None:
        """``place`` are the limits and the environment of :func:`run_workflow`."""
        self.world = world
        self.results = folder / "results"
        with Server(world) as server:
            configuration = labels.ask_for_atlas(world, folder, world.configuration(server))
            configuration.update(changes)
            self.status = run_workflow(folder, configuration, options, **(place or {}))
            self.requests = list(server.requests)

    @property
    def ledger(self) -> list[Run]:
        return read_runs(self.results / "runs.tsv")

    def table(self, species: str):
        import pandas

        return pandas.read_csv(self.results / f"{species}.htseq-count.csv.gz", index_col=0, low_memory=False)

    def sums(self) -> dict[str, str]:
        return sums(self.results)


@pytest.fixture(scope="module")
def demo(world, tmp_path_factory) -> Demo:
    finished = Demo(world, tmp_path_factory.mktemp("demo"), "--cores", "2", "--quiet")
    assert finished.status == 0
    return finished


@pytest.mark.parametrize("species", ["mus", "homo"])
def test_the_count_of_every_gene_and_cell_is_the_count_made(demo, species):
    truth = demo.world.plate_truth()
    table = demo.table(species)
    experiments = {row.run: row.experiment for row in demo.ledger if row.assay == "plate" and row.species == species}
    counted = 0
    for column in table:
        experiment = experiments[column.split(";")[0]]
        made = truth.get(experiment) or truth[f"{experiment}.{species}"]
        counts = table[column].iloc[GENE_ROWS - 1 :].astype(int)
        assert {gene: count for gene, count in counts.items() if count} == {
            gene: count for gene, count in made.items() if count
        }, column
        counted += 1
    assert counted == {"mus": 46, "homo": 7}[species]


def test_counts_and_what_star_dropped_are_the_reads_made(demo):
    made, dropped = demo.world.reads_made(), demo.world.dropped()
    for species in ("mus", "homo"):
        table = demo.table(species)
        experiments = {row.run: row.experiment for row in demo.ledger if row.species == species}
        for column in table:
            runs = column.split(";")
            experiment = experiments[runs[0]]
            lost = dropped.get(experiment, dropped.get(f"{experiment}.{species}", 0))
            assert table[column].iloc[GENE_ROWS - 1 :].astype(int).sum() + lost == sum(made[run] for run in runs)


def test_rows_above_the_genes_say_whose_column_it_is(demo):
    table = demo.table("mus")
    assert table.index.name == "GENENAME"
    assert list(table.index[:3]) == ["EXP_ID", "TAXON", "GSM"]
    genes = list(table.index[3:])
    assert genes == sorted(genes, key=str.encode)
    column = table["SRR9000007;SRR9000045"]
    assert list(column.iloc[:3]) == ["GSE900004", "mus", "GSM9000007"]
    rows = {row.run: (row.series, row.run) for row in demo.ledger}
    places = [rows[name.split(";")[0]] for name in table]
    assert places == sorted(places)


def test_an_empty_cell_is_a_column_of_zeros_with_its_log(demo):
    import pandas

    runs = demo.world.experiments[catalogue.EMPTY].runs
    assert demo.table("mus")[runs[0]].iloc[3:].astype(int).sum() == 0
    logs = pandas.read_csv(demo.results / "mus.log.csv.gz", index_col=0, low_memory=False)
    assert logs.index.name == "FIELD_NAMES"
    assert logs.loc["Number of input reads", runs[0]] == "0"
    assert logs.loc["Started job on"].isna().all()


def test_every_run_that_entered_has_a_final_row(demo):
    rows = demo.ledger
    assert {row.status for row in rows} == {"counted", "left_out", "failed"}
    reasons = {row.run: row.reason for row in rows if row.status == "failed"}
    assert reasons == {catalogue.CORRUPT: "ARCHIVE_CORRUPT", catalogue.GONE: "DOWNLOAD_FAILED"}
    left_out = Counter(row.reason for row in rows if row.status == "left_out")
    assert left_out["OTHER_SPECIES"] == left_out["NO_RUN"] == left_out["CONTROLLED_ACCESS"] == 1
    assert left_out["NOT_RNA"] == 2
    known = {run for experiment in demo.world.experiments.values() for run in experiment.runs}
    assert {row.run for row in rows} - {""} == known
    planned = read_runs(demo.results / "plan.tsv")
    assert {(row.series, row.sample, row.experiment, row.run, row.species) for row in planned} == {
        (row.series, row.sample, row.experiment, row.run, row.species) for row in rows
    }


def test_counted_rows_are_the_columns_and_the_libraries(demo):
    counted = {(row.run, row.species) for row in demo.ledger if row.status == "counted"}
    columns = {
        (run, species) for species in ("mus", "homo") for column in demo.table(species) for run in column.split(";")
    }
    libraries = {folder.name for folder in (demo.results / "mex").iterdir() if any(folder.glob("*.tar.gz"))}
    assert libraries == {catalogue.LIBRARY_V3, catalogue.LIBRARY_V2}
    in_libraries = {
        (row.run, row.species) for row in demo.ledger if row.experiment in libraries and row.status == "counted"
    }
    assert counted == columns | in_libraries
    assert not columns & in_libraries


@pytest.mark.parametrize("library", [catalogue.LIBRARY_V3, catalogue.LIBRARY_V2])
@pytest.mark.parametrize("feature", ["Gene", "GeneFull"])
def test_the_umis_of_every_gene_and_barcode_are_those_made(demo, library, feature):
    from scripts.droplets.mex.mex_reader import read_archive

    archive = read_archive(demo.results / "mex" / library / f"{feature}_Unique_raw.tar.gz")
    matrix = archive.matrix.tocoo()
    genes = [row[0] for row in archive.features]
    counted = {
        (archive.barcodes[column].decode(), genes[row]): int(value)
        for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
        if value
    }
    assert counted == demo.world.droplet_truth(library)[feature]


def test_libraries_have_every_matrix(demo):
    made = {path.name for path in (demo.results / "mex" / catalogue.LIBRARY_V3).iterdir()}
    assert made == {
        f"{feature}_{multireads}_{matrix}.tar.gz"
        for feature in ("Gene", "GeneFull", "GeneFull_Ex50pAS")
        for multireads in ("Unique", "EM")
        for matrix in ("raw", "filtered")
    } | {"SJ_Unique_raw.tar.gz"}


def test_cells_of_a_droplet_series_are_the_cells_made(demo):
    import anndata

    cells = anndata.read_h5ad(demo.results / "droplets" / "GSE900004.homo.h5ad")
    made = {
        f"{library}_{barcode}"
        for library in (catalogue.LIBRARY_V3, catalogue.LIBRARY_V2)
        for barcode in demo.world.cells(library)
    }
    assert set(cells.obs_names) == made
    assert cells.X.sum() > 0


def test_anndata_reads_the_plate_counts(demo):
    import anndata

    cells = anndata.read_h5ad(demo.results / "mus.h5ad")
    table = demo.table("mus").iloc[3:]
    genes = [gene for gene in table.index if not gene.startswith("__")]
    assert cells.shape == (46, len(genes))
    assert list(cells.var_names) == genes
    assert cells.X.tocoo().nnz == cells.X.nnz  # scipy's conversions take it
    assert (cells.X.toarray() == table.loc[genes].astype(int).to_numpy().T).all()


def test_the_sound_cells_and_libraries_have_no_flag_but_the_empty_well(demo):
    import pandas

    tables = [
        pandas.read_csv(demo.results / "quality" / name, dtype=str, keep_default_na=False)
        for name in ("cells.csv.gz", "libraries.csv")
    ]
    flagged = {(table.experiment[row], flags) for table in tables for row, flags in table["flags"].items() if flags}
    skipped = {(library, "EMPTYDROPS_SKIPPED") for library in (catalogue.LIBRARY_V2, catalogue.LIBRARY_V3)}
    assert flagged == {(catalogue.EMPTY, "EMPTY_WELL")} | skipped
    of_one_species = tables[0][~tables[0].experiment.isin([catalogue.TWO_SPECIES, catalogue.EMPTY])]
    assert set(of_one_species.pct_own_species) == {"100.00"}
    assert set(tables[0].pct_mates_agree) == {"100.00", ""}
    assert min(map(float, filter(None, tables[0].pct_runs_agree))) > 90


def test_metadata_join_by_experiment_and_sample(demo):
    with tarfile.open(demo.results / "mus_meta.tgz") as archive:
        names = archive.getnames()
        reported = json.load(archive.extractfile("mus_meta/GSE900004.metadata.json"))
    assert "mus_meta/GSE900004.metadata.json" in names
    sample = reported["GSM9000007"]
    assert set(sample) == {"series_data", "platform_data", "sample_data"}
    assert sample["sample_data"]["geo_accession"] == ["GSM9000007"]
    samples = (demo.results / "mus.metadata.samples.csv").read_text(encoding="utf-8")
    assert "Müller glia" in samples


def matrices(demo, species: str):
    """Yield every matrix of a species, as anndata reads it."""
    import anndata

    for path in [demo.results / f"{species}.h5ad", *sorted((demo.results / "droplets").glob(f"*.{species}.h5ad"))]:
        yield anndata.read_h5ad(path)


@pytest.mark.parametrize("species", ["mus", "homo"])
def test_every_row_of_the_atlas_is_a_counted_cell_and_back(demo, species):
    from scripts.atlas.store.row_map import SEGMENTS, AtlasMap, read_segments

    atlas = AtlasMap(demo.results / "atlas" / species)
    found = []
    for number in range(atlas.atlas.rows_total):
        row = atlas.cell_at(number)
        name = f"{row.experiment}_{row.barcode}" if row.barcode else row.experiment
        assert atlas.cell_of(row.shard, row.row) == row
        assert list(atlas.rows_of(row.experiment, row.barcode or None)) == [row]
        for run in row.run.split(";"):
            assert row in list(atlas.rows_of(run))
        found.append(name)
    cells = [name for matrix in matrices(demo, species) for name in matrix.obs_names]
    dropped = [cell.experiment for cell in atlas.dropped_of(catalogue.EMPTY)] if species == "mus" else []
    assert dropped == {"mus": [catalogue.EMPTY], "homo": []}[species]
    assert sorted(found + dropped) == sorted(cells)
    runs = {row.run for row in demo.ledger if row.status == "counted" and row.species == species}
    segments = read_segments(atlas.atlas.path / SEGMENTS)  # with those that have no rows
    assert runs == {run for segment in segments for run in segment.run.split(";")}


@pytest.mark.parametrize("species", ["mus", "homo"])
def test_embeddings_and_labels_are_those_of_a_direct_computation(demo, species):
    import numpy as np

    folder = demo.results / "atlas" / species
    model = np.load(folder / "model.npz")
    genes = [gene.decode() for gene in model["gene_ids"]]
    embedded, names = [], []
    for matrix in matrices(demo, species):
        counts = matrix[:, genes].X.toarray().astype(float)
        kept = counts.sum(axis=1) > 0
        normalised = np.log1p(counts[kept] / counts[kept].sum(axis=1, keepdims=True) * 10_000)
        embedded.append(normalised @ model["components"].T.astype(float))
        names += list(matrix.obs_names[kept])
    direct = np.concatenate(embedded)
    stored = np.load(folder / "step_0_svdbaseline_predict_part_0_0_embs.npz")["arr_0"]
    assert stored.dtype == np.float16
    assert stored.shape == direct.shape == (len(names), 16)
    assert np.abs(stored - direct).max() <= np.spacing(np.float16(np.abs(direct).max()))
    if species != labels.SPECIES:
        assert not list(folder.glob("*_top3.npz"))
        return
    centroids = model["centroids_cell_type"]
    cosines = direct @ centroids.T
    cosines /= np.linalg.norm(direct, axis=1, keepdims=True) * np.linalg.norm(centroids, axis=1)
    codes = np.load(folder / "step_0_svdbaseline_predict_part_0_0_top3.npz")["arr_0"]
    assert (codes == np.argsort(-cosines, axis=1)[:, :3]).all()
    decoders = json.loads((folder / "label_decoders.json").read_text(encoding="utf-8"))
    assert set(decoders["cell_type"].values()) == set(labels.cell_types(demo.world).values())


def test_sums_are_of_every_result(demo):
    reported = dict(
        reversed(line.split("  ")) for line in (demo.results / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    )
    assert reported == {path: digest for path, digest in demo.sums().items() if path != "SHA256SUMS"}
    assert list(reported) == sorted(reported)


def test_a_second_call_does_nothing(demo):
    with Server(demo.world) as server:  # on another port: an address is no reason to do anything again
        configuration = labels.ask_for_atlas(demo.world, demo.results.parent, demo.world.configuration(server))
        triggers = ["--rerun-triggers", "mtime", "params", "code", "input", "software-env"]  # whatever is asked for
        assert run_workflow(demo.results.parent, configuration, ["--cores", "2", *triggers]) == 0
        assert not server.requests


def test_no_result_names_the_machine(demo):
    words = [b"127.0.0.1", str(demo.results.parent).encode(), str(Path.home()).encode() + b"/"]
    for path in sorted(demo.results.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            assert content[3:8] == bytes(5), f"{path}: name or time in the gzip header"
            content = gzip.decompress(content)
        for word in words:
            assert word not in content, path


def test_other_threads_and_shards_make_the_same_bytes_wherever_it_runs(demo, tmp_path):
    """A folder of any name, files that nobody else can read, few open files, neither a home nor a temporary folder."""
    place = {
        "limits": "umask 077; ulimit -n 64",
        "environment": {"HOME": "/proc", "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": "/proc/none"},
    }
    folder = tmp_path / """a {b} {unit} 'c' "d" $(e) ü"""
    other = Demo(demo.world, folder, "--cores", "1", "--quiet", place=place, plates={"shard_size": 7})
    assert other.status == 0
    assert other.sums() == demo.sums()
    assert {stat.S_IMODE(path.stat().st_mode) for path in other.results.rglob("*")} == {0o700, 0o600}
    # With the umask of the tests, others can read what is shared; notes of the rate of requests are a user's own.
    shared = [path for path in (demo.results.parent / "resources").rglob("*") if ".rates" not in str(path)]
    assert [path for path in shared if not path.stat().st_mode & 0o044] == []


def test_the_published_reader_takes_archives_with_its_own_metadata_name(demo, tmp_path):
    from mex_gene_archive.reader import read_mex_archive

    from scripts.droplets.mex.mex_reader import read_archive
    from scripts.plan.run_table import write_runs

    rows = [row for row in read_runs(demo.results / "plan.tsv") if row.experiment == catalogue.LIBRARY_V2]
    write_runs(tmp_path / "runs.tsv", rows)
    published = Demo(
        demo.world,
        tmp_path / "published",
        "--cores",
        "2",
        "--quiet",
        run_table=str(tmp_path / "runs.tsv"),
        mex={"metadata_name": "manifest.tsv"},
    )
    assert published.status == 0
    name = f"mex/{catalogue.LIBRARY_V2}/Gene_Unique_filtered.tar.gz"
    content = (published.results / name).read_bytes()
    theirs = read_mex_archive(fileobj=io.BytesIO(content))
    ours = read_archive(demo.results / name)
    assert list(theirs["barcodes"]) == list(ours.barcodes.astype(str))
    assert (theirs["matrix"] != ours.matrix).nnz == 0


def blocks_of(language: str) -> list[str]:
    """Return the lines of a language that docs/outputs.md shows, block by block."""
    page = (HOME / "docs/outputs.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_page_names_every_result(demo):
    page = (HOME / "docs/outputs.md").read_text(encoding="utf-8")
    files = page[: page.index("\n## ")]
    rows = [line.split("|")[1] for line in files.splitlines() if line.startswith("| `")]
    named = [re.sub(r"\{\w+\}|…", "*", name) for name in re.findall(r"`([^`]+)`", " ".join(rows))]
    assert [path for path in demo.sums() if not any(fnmatch.fnmatchcase(path, name) for name in named)] == []
    of_libraries = Counter(path.split("/")[1] for path in demo.sums() if path.startswith("mex/"))
    assert set(of_libraries.values()) == {13} and "has thirteen archives" in page


def test_the_lines_of_python_that_the_page_shows_read_every_result(demo, monkeypatch):
    monkeypatch.chdir(demo.results)
    read: dict = {}
    for block in blocks_of("python"):
        exec(block, read)
    whole = demo.table("mus").iloc[GENE_ROWS - 1 :].astype(int).to_numpy().sum()
    assert read["counts"].to_numpy().sum() + read["tallies"].to_numpy().sum() == whole
    assert read["counts"].to_numpy().sum() == read["plates"].X.sum()
    assert (read["counts"].shape[1], len(read["tallies"])) == (46, 5)
    assert len(read["mapped"]) == len(read["plates"].obs) == 46
    assert 0 < len(read["good"].obs) < 46  # the empty well has a flag
    assert read["matrix"].shape == (len(read["droplets"].var), len(read["barcodes"]))
    assert len(read["droplets"].obs) == sum(
        map(len, map(demo.world.cells, (catalogue.LIBRARY_V3, catalogue.LIBRARY_V2)))
    )
    assert read["title"] == read["samples"].loc["GSM9000007", "title"]
    assert len(read["cells"]) == 53
    assert read["why"]["ARCHIVE_CORRUPT"] == read["used"]["format"] == 1


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_the_lines_of_r_that_the_page_shows_read_every_result(demo):
    def r(text: str) -> str:
        done = subprocess.run(["Rscript", "-"], cwd=demo.results, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    known = {
        name: r(f"cat(requireNamespace('{name}', quietly = TRUE))") == "TRUE"
        for name in ("Matrix", "rhdf5", "jsonlite")
    }
    figures = {
        "tallies": ("cat(sum(counts), dim(tallies))", f"{int(next(matrices(demo, 'mus')).X.sum())} 5 46"),
        "mapped": ("cat(length(mapped))", "46"),
        "plates": ("cat(sum(plates))", f"{int(next(matrices(demo, 'mus')).X.sum())}"),
        "droplets": ("cat(dim(droplets)[1])", "73"),
        "matrix": ("cat(dim(matrix))", f"73 {len(demo.world.cells(catalogue.LIBRARY_V3))}"),
        "title": ("cat(used$format)", "1"),
        "why": ("cat(why[['ARCHIVE_CORRUPT']], nrow(cells))", "1 53"),
    }
    found = []
    for block in blocks_of("r"):
        name = next(name for name in figures if f"\n{name} <-" in block)
        if all(known[package] for package in re.findall(r"library\((\w+)\)", block)):
            assert r(f"{block}\n{figures[name][0]}").split("\n")[-1] == figures[name][1]
        found.append(name)
    assert sorted(found) == sorted(figures)
