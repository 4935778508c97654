"""The table of counts: equal, cell by cell, to that of the most straightforward program."""

import csv
import gzip
import io
import shutil
import subprocess
import zlib

import h5py
import numpy as np
import pandas
import polars
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.formats import csv_gz
from scripts.harvest import counts_table
from scripts.harvest.gene_tables import gene_rows
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Cut, cut_into_units, write_units
from scripts.plates.shard_counts import TALLIES, ShardCounts, write_shard_counts

GENES = ["A,1", 'B"2"', "ENSG01.3", "Z", "[x", "_a", "__z", "`", "a", "ERCC-00002", "ENSMUSG00000000001.4", "ä"]


class Dataset:
    """A plan, its ledger, and the counts of every cell; written as shards, as text files and, plainly, as a table."""

    def __init__(self, folder, rows, genes, counts, tallies, shard_size=3):
        self.folder, self.rows, self.genes, self.shard_size = folder, rows, sorted(genes, key=str.encode), shard_size
        self.counts, self.tallies = counts, tallies  # experiment → list in the order of self.genes; experiment → list
        self.planned = None  # rows of another plan than that of the ledger
        write_runs(folder / "runs.tsv", rows)

    def write_shards(self, reference="mm10 sha256:1", random=None):
        """Write the counts of each shard; ``random`` shuffles its cells."""
        experiments: dict[tuple[str, str], set[str]] = {}
        for row in self.rows:
            experiments.setdefault((row.series, row.species), set()).add(row.experiment)
        for (series, species), names in experiments.items():
            names = sorted(names)
            for number in range(0, len(names), self.shard_size):
                part = [name for name in names[number : number + self.shard_size] if self.counted(name)]
                if random is not None:
                    random.shuffle(part)
                shard = ShardCounts(
                    self.genes,
                    part,
                    [";".join(self.runs(name)) for name in part],
                    scipy.sparse.csc_matrix(
                        np.array([self.counts[name] for name in part], np.int64).reshape(len(part), len(self.genes))
                    ),
                    np.array([self.tallies[name] for name in part], np.int64).reshape(len(part), 5),
                    [{} for _ in part],
                    reference,
                )
                unit = f"{series}.{species}.{number // self.shard_size:04d}"
                write_shard_counts(self.folder / f"{unit}.h5ad", shard)

    def runs(self, experiment):
        return sorted(row.run for row in self.rows if row.experiment == experiment)

    def counted(self, experiment):
        return all(row.status == "counted" for row in self.rows if row.experiment == experiment)

    def write_texts(self):
        folder = self.folder / "texts"
        folder.mkdir()
        for row in self.rows:
            if row.status == "counted":
                only = row.run == self.runs(row.experiment)[0]  # all counts are in the first run's file
                lines = zip(self.genes, self.counts[row.experiment], strict=True)
                lines = [*lines, *zip(TALLIES, self.tallies[row.experiment], strict=True)]
                text = "".join(f"{name}\t{count if only else 0}\n" for name, count in lines)
                (folder / f"{row.run}.{row.species}.htseq-count.txt").write_text(text)
        return folder

    def plain_table(self, species):
        """Return the text of the table, in the way of 2017 less its CRLF."""
        cells = {}
        for row in self.rows:
            if row.species == species and row.status == "counted":
                cells.setdefault((row.series, self.runs(row.experiment)[0]), row)
        ordered = [cells[key] for key in sorted(cells)]
        table = {}
        for row in ordered:
            named = [*zip(self.genes, self.counts[row.experiment], strict=True)]
            for name, count in [*named, *zip(TALLIES, self.tallies[row.experiment], strict=True)]:
                table.setdefault(name, []).append(count)
        if not ordered:
            table = {name: [] for name in [*self.genes, *TALLIES]}
        output = io.StringIO()
        writer = csv.writer(output, lineterminator="\n")
        writer.writerow(["GENENAME", *(";".join(self.runs(row.experiment)) for row in ordered)])
        writer.writerow(["EXP_ID", *(row.exp_id for row in ordered)])
        writer.writerow(["TAXON", *(row.species for row in ordered)])
        writer.writerow(["GSM", *(row.sample for row in ordered)])
        for name in sorted(table, key=str.encode):
            writer.writerow([name, *table[name]])
        return output.getvalue()

    def arguments(self, species="mus", output="table.csv.gz"):
        planned = [row._replace(status="planned") for row in self.planned or self.rows]
        write_units(self.folder / "units", cut_into_units(planned, Cut(self.shard_size)), "experiment")
        return [
            *("--units", str(self.folder / "units"), "--ledger", str(self.folder / "runs.tsv")),
            *("--counts", str(self.folder / "{unit}.h5ad")),
            *("--species", species, "--output", str(self.folder / output)),
        ]

    def make(self, species="mus", more=()):
        counts_table.main([*self.arguments(species), *more])
        return gzip.decompress((self.folder / "table.csv.gz").read_bytes()).decode()


def cell(experiment, runs, series="GSE1", species="mus", status="counted", **more):
    row = Run(series, f"20{series[3:]}", f"GSM{experiment}", experiment, species=species, assay="plate", status=status)
    return [row._replace(run=run, **more) for run in runs]


def make_random(folder, seed, cells=12, genes=GENES, species=("mus",), series=3, greatest=2000, failed=0.0):
    """Make a data set in which the order of experiments is not that of runs and some cells have two runs."""
    random = np.random.default_rng(seed)
    rows, counts, tallies = [], {}, {}
    numbers = random.permutation(cells * 2)
    for number in range(cells):
        experiment = f"SRX{number:04d}"
        runs = [f"SRR{numbers[number * 2 + more]:05d}" for more in range(random.integers(1, 3))]
        status = "failed" if random.random() < failed else "counted"
        of_series = f"GSE{random.integers(1, series + 1)}"
        rows += cell(experiment, sorted(runs), of_series, species[number % len(species)], status)
        values = np.exp(random.random(len(genes)) * np.log(greatest)).astype(np.int64)
        counts[experiment] = np.where(random.random(len(genes)) < 0.4, values, 0).tolist()
        tallies[experiment] = random.integers(0, 10**6, 5).tolist()
    return Dataset(folder, rows, genes, counts, tallies)


def test_a_table_known_beforehand(tmp_path):
    rows = cell("SRX2", ["SRR1"]) + cell("SRX1", ["SRR3", "SRR4"]) + cell("SRX3", ["SRR2"], status="failed")
    counts = {"SRX2": [0, 12, 0], "SRX1": [3, 0, 100], "SRX3": [9, 9, 9]}
    tallies = {"SRX2": [1, 0, 0, 0, 2], "SRX1": [0, 0, 0, 7, 0]}
    data = Dataset(tmp_path, rows, ["Actb,2", "Zfp", "actb"], counts, tallies)
    data.write_shards()
    assert data.make() == (
        "GENENAME,SRR1,SRR3;SRR4\nEXP_ID,201,201\nTAXON,mus,mus\nGSM,GSMSRX2,GSMSRX1\n"
        '"Actb,2",0,3\nZfp,12,0\n__alignment_not_unique,2,0\n__ambiguous,0,0\n__no_feature,1,0\n'
        "__not_aligned,0,7\n__too_low_aQual,0,0\nactb,0,100\n"
    )
    assert data.plain_table("mus") == data.make()


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_plain_program(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(gene_rows, "PIECE", [100, 400, 1 << 20][seed % 3])
    monkeypatch.setattr("scripts.harvest.gene_tables.counts_text.BLOCK", [50, 200, 1 << 20][seed % 3])
    data = make_random(tmp_path, seed, species=("mus", "homo"), greatest=[9, 2000, 2**40][seed % 3], failed=0.2)
    data.write_shards()
    for species in ("mus", "homo"):
        assert data.make(species) == data.plain_table(species)


def test_300_cells_of_three_species(tmp_path):
    genes = [*GENES, *(f"ENSG{number:011d}.{number % 9}" for number in range(500))]
    data = make_random(tmp_path, 5, cells=300, genes=genes, species=("mus", "homo", "rat"))
    data.shard_size = 48
    data.write_shards()
    for species in ("mus", "homo", "rat"):
        assert data.make(species) == data.plain_table(species)


def test_one_member_and_the_same_bytes_for_any_number_of_processes(tmp_path, monkeypatch):
    data = make_random(tmp_path, 1, cells=60, genes=[f"g{number}" for number in range(400)])
    data.write_shards()
    monkeypatch.setattr(gene_rows, "PIECE", 4000)
    data.make()
    written = (tmp_path / "table.csv.gz").read_bytes()
    for workers in ("2", "5"):  # a thread that deflates; two processes with one each
        data.make(more=["--workers", workers])
        assert (tmp_path / "table.csv.gz").read_bytes() == written
    assert written[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # no name, no time
    member = zlib.decompressobj(31)
    assert member.decompress(written).decode() == data.plain_table("mus")
    assert member.eof
    assert member.unused_data == b""
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("level", csv_gz.LEVELS)
def test_every_level_gives_the_same_text(tmp_path, level):
    data = make_random(tmp_path, 2)
    data.write_shards()
    assert data.make(more=["--level", str(level)]) == data.plain_table("mus")


def test_pandas_reads_it(tmp_path):
    data = make_random(tmp_path, 3)
    data.write_shards()
    data.make()
    table = pandas.read_csv(tmp_path / "table.csv.gz", index_col=0, header=None, low_memory=False)
    assert list(table.index[:4]) == ["GENENAME", "EXP_ID", "TAXON", "GSM"]
    for _, column in table.items():
        experiment = column["GSM"].removeprefix("GSM")
        assert column[data.genes].astype(int).tolist() == data.counts[experiment]
        assert column[list(TALLIES)].astype(int).tolist() == data.tallies[experiment]


def test_zcat_reads_it(tmp_path):
    data = make_random(tmp_path, 3)
    data.write_shards()
    data.make()
    table = tmp_path / "table.csv.gz"
    assert subprocess.run(["zcat", table], capture_output=True, check=True).stdout.decode() == data.plain_table("mus")


def test_polars_reads_it(tmp_path):
    data = make_random(tmp_path, 3)
    data.write_shards()
    data.make()
    table = polars.read_csv(tmp_path / "table.csv.gz", has_header=False, infer_schema=False)
    assert [list(row) for row in table.rows()] == list(csv.reader(io.StringIO(data.plain_table("mus"))))


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_reads_it(tmp_path):
    data = make_random(tmp_path, 3)
    data.write_shards()
    data.make()
    read = 'x <- read.csv("table.csv.gz", header = FALSE, colClasses = "character", na.strings = NULL)'
    write = 'writeLines(do.call(paste, c(x, sep = "\\t")), "table.tsv", useBytes = TRUE)'
    subprocess.run(["Rscript", "-e", read, "-e", write], cwd=tmp_path, capture_output=True, check=True)
    lines = (tmp_path / "table.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t") for line in lines] == list(csv.reader(io.StringIO(data.plain_table("mus"))))


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_cells_in_shards_and_of_rows_in_the_ledger_is_no_matter(tmp_path, seed):
    data = make_random(tmp_path, seed, cells=20, species=("mus", "homo"), failed=0.1)
    data.write_shards()
    expected = [data.make(species) for species in ("mus", "homo")]
    written = (tmp_path / "table.csv.gz").read_bytes()
    assert expected == [data.plain_table("mus"), data.plain_table("homo")]
    random = np.random.default_rng(seed)
    data.write_shards(random=random)
    header, *lines = (tmp_path / "runs.tsv").read_text().splitlines(keepends=True)
    random.shuffle(lines)
    (tmp_path / "runs.tsv").write_text(header + "".join(lines))
    assert [data.make(species) for species in ("mus", "homo")] == expected
    assert (tmp_path / "table.csv.gz").read_bytes() == written


def test_counts_beyond_31_bits(tmp_path):
    rows = cell("SRX1", ["SRR1"]) + cell("SRX2", ["SRR2"])
    counts = {"SRX1": [2**31 - 1, 2**31], "SRX2": [2**32 + 7, 0]}
    data = Dataset(tmp_path, rows, ["A,1", "B"], counts, {"SRX1": [2**33, 0, 0, 0, 0], "SRX2": [0] * 5})
    data.write_shards()
    lines = data.make().splitlines()
    assert lines[4:6] == ['"A,1",2147483647,4294967303', "B,2147483648,0"]
    assert "__no_feature,8589934592,0" in lines


def test_a_species_of_which_every_cell_failed_has_a_table_without_cells(tmp_path):
    data = make_random(tmp_path, 4, cells=5, failed=1)
    data.write_shards()
    assert data.make() == data.plain_table("mus")
    assert data.make().startswith('GENENAME\nEXP_ID\nTAXON\nGSM\n"A,1"\n')
    names = [line.split(",")[0] for line in data.make().splitlines()]
    table = pandas.read_csv(tmp_path / "table.csv.gz", index_col=0)
    assert table.shape == (len(names) - 1, 0)
    assert list(table.index[3:]) == sorted([*data.genes, *TALLIES], key=str.encode)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_reads_a_table_without_cells(tmp_path):
    data = make_random(tmp_path, 4, cells=5, failed=1)
    data.write_shards()
    data.make()
    read = 'x <- read.csv("table.csv.gz", row.names = 1, encoding = "UTF-8"); cat(dim(x), rownames(x)[4:5], sep = "|")'
    done = subprocess.run(["Rscript", "-e", read], cwd=tmp_path, capture_output=True, check=True, text=True)
    assert done.stdout == f'{len(GENES) + len(TALLIES) + 3}|0|A,1|B"2"'


def test_one_cell(tmp_path):
    data = make_random(tmp_path, 4, cells=1)
    data.write_shards()
    assert data.make() == data.plain_table("mus")


def test_a_species_that_is_not_planned_is_reported(tmp_path):
    data = make_random(tmp_path, 4)
    with pytest.raises(InputError, match="no plate runs of species 'homo' are planned, so there is no table to make"):
        data.make("homo")


def test_two_references_never_meet(tmp_path):
    data = make_random(tmp_path, 8, series=1)
    data.write_shards("mm10 sha256:1")
    kept = (tmp_path / "GSE1.mus.0000.h5ad").read_bytes()
    data.write_shards("mm39 sha256:2")
    (tmp_path / "GSE1.mus.0000.h5ad").write_bytes(kept)
    with pytest.raises(InputError) as error:
        data.make()
    assert "A table is of one reference, but counts are of two:" in str(error.value)
    assert "GSE1.mus.0000.h5ad: reference mm10 sha256:1, gene list " in str(error.value)
    assert "GSE1.mus.0001.h5ad: reference mm39 sha256:2, gene list " in str(error.value)
    assert not (tmp_path / "table.csv.gz").exists()


def test_shards_that_are_not_those_of_the_ledger_are_reported(tmp_path):
    data = make_random(tmp_path, 9, cells=3, series=1)
    data.write_shards()
    unit = "GSE1.mus.0000"
    more = cell("SRX0000a", ["SRR99999"])
    write_runs(tmp_path / "runs.tsv", data.rows + more)
    data.planned, data.shard_size = data.rows + more, 4
    with pytest.raises(InputError, match="SRX0000a: counted in the ledger, but the shard has no such column"):
        data.make()
    write_runs(tmp_path / "runs.tsv", data.rows)
    with pytest.raises(InputError, match="SRX0000a: the ledger does not have all its runs"):
        data.make()
    (tmp_path / f"{unit}.h5ad").unlink()
    data.planned = None
    with pytest.raises(InputError, match=r"GSE1\.mus\.0000\.h5ad: the counts of a shard cannot be read"):
        data.make()


@pytest.mark.parametrize("workers", ["1", "2", "4"])
def test_a_damaged_shard_is_reported_and_leaves_nothing(tmp_path, workers, monkeypatch):
    data = make_random(tmp_path, 1, cells=60, genes=[f"g{number}" for number in range(400)])
    data.write_shards()
    monkeypatch.setattr(gene_rows, "PIECE", 4000)
    path = sorted(tmp_path.glob("*.mus.0001.h5ad"))[0]
    with h5py.File(path) as file:
        found = file["X/data"].id.get_chunk_info(0)
    whole = path.read_bytes()
    middle = found.byte_offset + found.size // 2
    path.write_bytes(whole[:middle] + bytes(8) + whole[middle + 8 :])
    data.arguments()  # writes the run tables of the units
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"0001\.h5ad: damaged, it cannot be inflated: .+ Count its cells again\."):
        data.make(more=["--workers", workers])
    path.write_bytes(whole[:middle])
    with pytest.raises(InputError, match=r"0001\.h5ad: "):
        data.make(more=["--workers", workers])
    assert sorted(tmp_path.iterdir()) == before


def test_no_input_is_an_error(tmp_path):
    with pytest.raises(InputError, match="give --units, --ledger and --counts, or --htseq-counts with a folder"):
        counts_table.main(["--species", "mus", "--output", str(tmp_path / "x")])
