"""The droplet path with the real programs, from .sra files to archives and h5ad, against counts that were made."""

import gzip
import hashlib
import json
import re
import shutil
import statistics
import subprocess
from pathlib import Path

import pytest

from scripts.core.disk.gzip_files import unpack_file
from scripts.core.errors import Interrupted, RunFault
from scripts.droplets import droplets_h5ad, inclusion_list, mex_archive, read_roles
from scripts.droplets.mex.mex_reader import read_archive
from scripts.harvest.ledger import settle_unit
from scripts.plan.matrices import archives_of
from scripts.plan.run_table import Run, spots_of, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plan.units import cut_into_units, write_units
from scripts.reads.partial_runs import settle_parts
from tests.droplets.counting import count_library, folder_of_cells
from tests.toy import archives, catalogue
from tests.toy.world import World

CHEMISTRIES = str(Path(__file__).parents[2] / "config/chemistries.yaml")
LIBRARIES = (catalogue.LIBRARY_V3, catalogue.LIBRARY_V2)
FEATURES = ("Gene", "GeneFull", "GeneFull_Ex50pAS", "SJ")
WAYS = ("Unique", "EM", "Rescue")

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]


class Analysis:
    """An analysis folder with plan, reads, index and inclusion lists, in which the commands are run."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self.rows = [
            Run(
                series=one.series,
                exp_id=one.series,
                sample=one.sample,
                experiment=library,
                run=run,
                tax_id="9606",
                organism="Homo sapiens",
                species="homo",
                assay="droplet",
                spots=str(world.reads_made()[run]),
                status="planned",
            )
            for library in LIBRARIES
            for one in [world.experiments[library]]
            for run in one.runs
        ]
        (folder / "results").mkdir(parents=True)
        write_runs(folder / "results/plan.tsv", self.rows)
        write_units(folder / "units/runs", cut_into_units(self.rows, 16), "experiment")
        for name, path in world.inclusion_lists.items():
            inclusion_list.main(["--source", str(path), "--output", str(folder / f"lists/{name}.txt")])
        self.make_index()

    def make_index(self) -> None:
        """Index the genome with its annotation."""
        files = self.world.references["hg38"]
        for kind in ("fasta", "gtf"):
            content = gzip.decompress(files[kind].read_bytes()) + self.world.spike_ins[kind].read_bytes()
            (self.folder / kind).write_bytes(content)
        command = ["STAR", "--runMode", "genomeGenerate", "--genomeDir", "index", "--genomeFastaFiles", "fasta"]
        command += ["--sjdbGTFfile", "gtf", "--sjdbOverhang", "75", "--genomeSAindexNbases", "7"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    @staticmethod
    def unit(library: str) -> str:
        return f"{catalogue.DROPLET}.homo.{library}"

    def fastq(self, library: str) -> Path:
        return self.folder / "work/fastq" / self.unit(library)

    def dump(self, library: str) -> None:
        """Write the reads of a library, all of them, and its status table."""
        target = self.fastq(library)
        target.mkdir(parents=True)
        runs = [row.run for row in self.rows if row.experiment == library]
        for run in runs:
            command = ["fasterq-dump", "--split-files", "--include-technical", "-e", "1", "-O", target]
            command += ["-t", self.folder / "temp", self.world.sra / f"{run}.sra"]
            settings = archives.environment(self.folder)
            subprocess.run(list(map(str, command)), check=True, capture_output=True, env=settings)
        for path in target.glob("*.fastq") if len(runs) > 1 else ():  # some plain, some compressed
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
        write_statuses(target / "status.tsv", [RunStatus(run, spots=str(self.world.reads_made()[run])) for run in runs])

    def common(self, library: str) -> list[str]:
        return ["--runs", str(self.folder / f"units/runs/{self.unit(library)}.tsv")]

    def read_roles(self, library: str, *more: str) -> dict:
        output = self.folder / "units/read_roles" / f"{library}.json"
        read_roles.main(
            [
                *self.common(library),
                *("--fastq", str(self.fastq(library)), "--chemistries", CHEMISTRIES),
                *("--inclusion-lists", str(self.folder / "lists"), "--output", str(output), *more),
            ]
        )
        return json.loads(output.read_text())

    def status(self, library: str, work: str = "work") -> Path:
        """The status table of a library; ``work`` says in which of several tries."""
        return self.folder / ("units" if work == "work" else work) / "status" / f"{self.unit(library)}.tsv"

    def solo(self, library: str, *more: str, work: str = "work") -> dict[str, RunStatus]:
        status = self.status(library, work)
        count_library(
            [
                *self.common(library),
                *("--fastq", str(self.fastq(library)), "--index", str(self.folder / "index")),
                *("--roles", str(self.folder / f"units/read_roles/{library}.json"), "--chemistries", CHEMISTRIES),
                *("--inclusion-lists", str(self.folder / "lists"), "--multireads", *WAYS),
                *("--output", str(self.folder / work / "solo" / library), "--status", str(status), *more),
            ]
        )
        return read_statuses(status)

    def pack(self, library: str, *more: str, work: str = "work", to: str = "results/mex") -> Path:
        output, solo = self.folder / to / library, self.folder / work / "solo" / library
        mex_archive.main(
            [
                *("pack", *self.common(library), "--solo", str(solo), "--cells", str(folder_of_cells(solo))),
                *("--status", str(self.status(library, work))),
                *("--records", str(self.folder / "records"), "--features", *FEATURES, "--multireads", *WAYS),
                *("--output", str(output), *more),
            ]
        )
        return output

    def gather(self, name: str, *more: str) -> Path:
        output = self.folder / name
        droplets_h5ad.main(
            [
                *("--units", str(self.folder / "units/runs"), "--series", catalogue.DROPLET, "--species", "homo"),
                *("--records", str(self.folder / "records"), "--output", str(output)),
                *("--archives", str(self.folder / "results/mex/{experiment}")),
                *("--statuses", str(self.folder / "units/status/{unit}.tsv"), *more),
            ]
        )
        return output


@pytest.fixture(scope="module")
def analysis(world: World, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Both libraries, counted and packed."""
    made = Analysis(tmp_path_factory.mktemp("droplets with blanks, and a comma"), world)
    made.verdicts = {}
    world.records.write(made.folder / "records", [catalogue.DROPLET])
    soft = made.folder / "records" / catalogue.DROPLET / f"{catalogue.DROPLET}_family.soft.gz"
    if not soft.exists():
        soft.parent.mkdir(parents=True, exist_ok=True)
        soft.write_bytes(gzip.compress(world.records.soft(catalogue.DROPLET)))
    for library in LIBRARIES:
        made.dump(library)
        made.verdicts[library] = made.read_roles(library)
        assert all(status.ok for status in made.solo(library).values())
        made.pack(library)
    return made


def test_reads_prove_roles_and_kit(analysis):
    v3, v2 = (analysis.verdicts[library]["runs"] for library in LIBRARIES)
    assert [verdict["roles"] for verdict in v3.values()] == ["index,barcode,cdna"] * 2
    assert [verdict["chemistry"] for verdict in v3.values()] == ["10x_3p_v3"] * 2
    assert v2["SRR9000103"]["roles"] == "barcode,cdna"
    assert v2["SRR9000103"]["candidates"] == ["10x_3p_v2", "10x_5p_v2"]  # one list: the strand decides later
    assert {verdict["rank"] for verdict in (*v3.values(), *v2.values())} == {3}


def test_detail_has_the_verdict(analysis):
    statuses = read_statuses(analysis.folder / f"units/status/{analysis.unit(catalogue.LIBRARY_V3)}.tsv")
    for status in statuses.values():
        assert (status.chemistry, status.read_roles) == ("10x_3p_v3", "index,barcode,cdna")
        assert re.fullmatch(
            r"Proved by barcodes: read 2 on 3M-february-2018 \(9\d\.\d% of spots, chance \d\.\d\d%\); strand"
            r" Forward\. EmptyDrops_CR was skipped, it needs more than 45000 barcodes \(Gene has \d+, GeneFull has \d+,"
            r" GeneFull_Ex50pAS has \d+\): cells by CellRanger2\.2 3000 0\.99 10\.",
            status.detail,
        )


def test_strand_decides_between_kits_of_one_list(analysis):
    statuses = read_statuses(analysis.folder / f"units/status/{analysis.unit(catalogue.LIBRARY_V2)}.tsv")
    assert statuses["SRR9000103"].chemistry == "10x_3p_v2"
    detail = statuses["SRR9000103"].detail
    assert detail.startswith("Proved by barcodes: read 1 on 737K-august-2016 (")
    assert "; strand Forward. 10x Chromium 3′ v2 and 10x Chromium 5′ v1 or v2 share their barcodes;" in detail
    assert "the strand tells 10x Chromium 3′ v2: of the probed reads" in detail
    assert statuses["SRR9000103"].read_roles == "barcode,cdna"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("feature", ["Gene", "GeneFull"])
def test_counts_of_every_umi_are_those_made(analysis, world, library, feature):
    archive = read_archive(analysis.folder / f"results/mex/{library}/{feature}_Unique_raw.tar.gz")
    matrix = archive.matrix.tocoo()
    counted = {
        (archive.barcodes[column].decode(), archive.features[row][0]): int(value)
        for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
    }
    assert counted == world.droplet_truth(library)[feature]


@pytest.mark.parametrize("library", LIBRARIES)
def test_cells_are_those_made(analysis, world, library):
    archive = read_archive(analysis.folder / f"results/mex/{library}/Gene_Unique_filtered.tar.gz")
    assert [barcode.decode() for barcode in archive.barcodes] == world.cells(library)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("feature", ["Gene", "GeneFull", "GeneFull_Ex50pAS"])
def test_reads_of_several_genes_only_add_and_cells_keep_their_sums(analysis, library, feature):
    """EM and Rescue share out molecules that Unique leaves away: no entry gets less, each molecule counts once."""
    folder = analysis.folder / "results/mex" / library
    unique = read_archive(folder / f"{feature}_Unique_raw.tar.gz").matrix
    shared = {way: read_archive(folder / f"{feature}_{way}_raw.tar.gz") for way in ("EM", "Rescue")}
    for archive in shared.values():
        assert (archive.matrix - unique).min() > -1e-4
        added = archive.matrix.sum(axis=0) - unique.sum(axis=0)
        assert abs(added - added.round()).max() < 1e-3
    assert shared["EM"].matrix.sum() == pytest.approx(shared["Rescue"].matrix.sum(), abs=0.01)
    for way, raw in shared.items():
        cells = read_archive(folder / f"{feature}_{way}_filtered.tar.gz")
        indices = {barcode: index for index, barcode in enumerate(raw.barcodes.tolist())}
        wanted = raw.matrix[:, [indices[barcode] for barcode in cells.barcodes.tolist()]]
        assert (cells.matrix != wanted).nnz == 0
        assert cells.matrix.nnz == wanted.nnz


def test_a_library_in_halves_and_with_runs_aside_has_the_counts_made(analysis, world, tmp_path):
    """Barcodes and cDNA in a run each, a run of index reads, an empty one: the counts are those of the library."""
    library, run = catalogue.LIBRARY_V2, "SRR9000103"
    (row,) = (row for row in analysis.rows if row.run == run)
    rows = [row._replace(run=name, spots=row.spots) for name in (run, "SRR9000104", "SRR9000105", "SRR9000106")]
    table = tmp_path / f"{analysis.unit(library)}.tsv"
    write_runs(table, rows)
    fastq = tmp_path / "fastq"
    fastq.mkdir()
    whole = analysis.fastq(library)
    shutil.copyfile(whole / f"{run}_1.fastq", fastq / f"{run}_1.fastq")
    reads = (
        (whole / f"{run}_2.fastq").read_text().replace(f"@{run}.", "@SRR9000104.").replace(f"+{run}.", "+SRR9000104.")
    )
    (fastq / "SRR9000104_1.fastq").write_text(reads)
    (fastq / "SRR9000105_1.fastq").write_text(f"@SRR9000105.1 1\nACGTACGT\n+\n{'F' * 8}\n" * int(row.spots))
    statuses = {one.run: RunStatus(one.run, spots=row.spots) for one in rows}
    statuses["SRR9000106"] = RunStatus("SRR9000106").failed(RunFault("EMPTY_READS", "no spot."))
    statuses = settle_parts({library: rows}, statuses, fastq)
    write_statuses(fastq / "status.tsv", statuses.values())
    common = ["--runs", str(table), "--fastq", str(fastq), "--chemistries", CHEMISTRIES]
    common += ["--inclusion-lists", str(analysis.folder / "lists")]
    read_roles.main([*common, "--output", str(tmp_path / "roles.json")])
    status = tmp_path / "status.tsv"
    count_library(
        [
            *common,
            *("--index", str(analysis.folder / "index"), "--roles", str(tmp_path / "roles.json")),
            *("--features", "Gene", "--output", str(tmp_path / "solo"), "--status", str(status)),
        ]
    )
    after = read_statuses(status)
    assert {name: (one.state, one.reason) for name, one in after.items()} == {
        run: ("ok", ""),
        "SRR9000104": ("joined", ""),
        "SRR9000105": ("left_out", "INDEX_READS_ONLY"),
        "SRR9000106": ("left_out", "EMPTY_READS"),
    }
    assert (after[run].read_roles, after[run].chemistry) == ("barcode,cdna", "10x_3p_v2")
    arguments = ["--records", str(tmp_path), "--features", "Gene", "--multireads", "Unique"]
    arguments += ["--solo", str(tmp_path / "solo"), "--cells", str(folder_of_cells(tmp_path / "solo"))]
    arguments += ["--status", str(status), "--output", str(tmp_path / "mex")]
    mex_archive.main(["pack", "--runs", str(table), *arguments])
    archive = read_archive(tmp_path / "mex" / "Gene_Unique_raw.tar.gz")
    whole = read_archive(analysis.folder / f"results/mex/{library}/Gene_Unique_raw.tar.gz")
    assert (archive.matrix != whole.matrix).nnz == 0
    settled = {row.run: row for row in settle_unit([rows], after)}
    assert [settled[one.run].status for one in rows] == ["counted", "counted", "left_out", "left_out"]
    assert spots_of(row for row in settled.values() if row.status == "counted") == [row.spots]


def test_every_matrix_of_the_specification_is_there(analysis):
    for library in LIBRARIES:
        names = {path.name for path in (analysis.folder / "results/mex" / library).iterdir()}
        assert names == {f"{'_'.join(one)}.tar.gz" for one in archives_of(FEATURES, WAYS)}
        assert len(names) == 3 * 3 * 2 + 1


def test_metadata_describe_the_library_and_no_folder_of_this_machine(analysis, world):
    library = catalogue.LIBRARY_V3
    metadata = read_archive(analysis.folder / f"results/mex/{library}/GeneFull_EM_filtered.tar.gz").metadata
    one = world.experiments[library]
    assert metadata["description"] == one.title
    assert metadata["experiment_accession"] == library
    assert metadata["library_accession"] == one.sample
    assert metadata["output_type"] == "sparse gene count matrix of all reads"
    assert metadata["software"] == "STAR"
    assert metadata["software_version"].startswith("2.")
    arguments = metadata["arguments"]
    assert arguments.startswith("STAR --readFilesIn SRR9000101_cdna.fastq,SRR9000102_cdna.fastq SRR9000101_barcode")
    assert "--soloUMIfiltering MultiGeneUMI_CR" in arguments
    assert "--soloCellFilter EmptyDrops_CR" in arguments
    assert re.search(
        r" ; EmptyDrops_CR was skipped \(\d+ barcodes, it needs more than 45000\): CellRanger2\.2 3000 0\.99 10$",
        arguments,
    )
    raw = read_archive(analysis.folder / f"results/mex/{library}/GeneFull_EM_raw.tar.gz").metadata["arguments"]
    assert arguments.startswith(f"{raw} ; ")
    assert "/" not in arguments
    assert "Thread" not in arguments


def test_junctions_are_a_file_of_nine_columns(analysis):
    path = analysis.folder / "work/solo" / catalogue.LIBRARY_V3 / "Solo.out/SJ/raw/features.tsv.gz"
    assert not path.is_symlink()
    archive = read_archive(analysis.folder / f"results/mex/{catalogue.LIBRARY_V3}/SJ_Unique_raw.tar.gz")
    assert archive.metadata["output_type"] == "unfiltered sparse splice junction count matrix of unique reads"
    assert {len(row) for row in archive.features} == {9}
    assert archive.feature_columns[0] == "contig"
    assert archive.to_anndata().var["unique"].sum() > 0


def test_other_folder_and_threads_give_the_same_bytes(analysis, world, tmp_path):
    library = catalogue.LIBRARY_V2
    analysis.solo(library, "--threads", "2", work="again")
    first = analysis.folder / "results/mex" / library
    second = analysis.pack(library, "--threads", "2", work="again", to="again/mex")
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_published_reader_reads_archives_with_its_name(analysis):
    from mex_gene_archive.reader import read_mex_archive

    library = catalogue.LIBRARY_V3
    folder = analysis.pack(library, "--metadata-name", "manifest.tsv", to="published")
    for name in ("Gene_Unique_raw", "GeneFull_EM_filtered", "SJ_Unique_raw"):
        theirs = read_mex_archive(folder / f"{name}.tar.gz")
        ours = read_archive(analysis.folder / f"results/mex/{library}/{name}.tar.gz")
        assert (theirs["matrix"].tocsc() != ours.matrix).nnz == 0
        assert list(theirs["barcodes"]) == ours.barcodes.astype(str).tolist()
        assert theirs["features"].iloc[:, 0].tolist() == [row[0] for row in ours.features]
        assert {key: theirs["metadata"][key] for key in ours.metadata} == ours.metadata


def test_we_read_archives_of_the_published_writer(analysis, monkeypatch, tmp_path):
    from mex_gene_archive.starsolo import archive_star_solo

    library = catalogue.LIBRARY_V3
    kept = analysis.folder / "work/solo" / library
    unpacked = tmp_path / "Solo.out/Gene/raw"
    unpacked.mkdir(parents=True)
    for path in (kept / "Solo.out/Gene/raw").iterdir():
        unpack_file(path, unpacked / path.stem)
    unpack_file(kept / "Solo.out/barcodes.tsv.gz", unpacked / "barcodes.tsv")
    shutil.copyfile(kept / "Log.out", tmp_path / "Log.out")
    monkeypatch.chdir(tmp_path)
    config = {"experiment_accession": library, "description": "its own", "library_accession": "GSM1"}
    theirs = archive_star_solo(Path("Solo.out"), config, "Gene", "EM", "raw", destination=analysis.folder / "x.tar.gz")
    archive = read_archive(theirs)
    ours = read_archive(analysis.folder / f"results/mex/{library}/Gene_EM_raw.tar.gz")
    assert (archive.matrix != ours.matrix).nnz == 0
    assert archive.digests == ours.digests  # the three members are the same bytes
    assert archive.features == ours.features
    assert archive.metadata["output_type"] == ours.metadata["output_type"]


def test_h5ad_holds_the_cells_of_all_libraries(analysis, world):
    import anndata

    path = analysis.gather("cells.h5ad", "--layers", "GeneFull_Unique", "Gene_EM")
    data = anndata.read_h5ad(path)
    expected = [f"{library}_{barcode}" for library in sorted(LIBRARIES) for barcode in world.cells(library)]
    assert data.obs_names.tolist() == expected
    truth = {
        (f"{library}_{barcode}", gene): count
        for library in LIBRARIES
        for (barcode, gene), count in world.droplet_truth(library)["Gene"].items()
        if barcode in world.cells(library)
    }
    matrix = data.X.tocoo()
    names, genes = data.obs_names.to_numpy(), data.var_names.to_numpy()
    counted = {
        (names[row], genes[column]): int(value)
        for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
    }
    assert counted == truth
    assert data.obs["run"].unique().tolist() == ["SRR9000101;SRR9000102", "SRR9000103"]
    assert data.obs["spots"].unique().tolist()[0] == sum(
        world.reads_made()[run] for run in ("SRR9000101", "SRR9000102")
    )
    assert data.obs["geo_tissue"].unique().tolist() == ["brain organoid"]
    assert data.obs["chemistry"].unique().tolist() == ["10x_3p_v3", "10x_3p_v2"]
    assert (data.layers["Gene_EM"] - data.X).min() > -1e-4
    assert path.read_bytes() == analysis.gather("again.h5ad", "--layers", "GeneFull_Unique", "Gene_EM").read_bytes()


def test_failed_run_leaves_its_library_uncounted(analysis):
    library = catalogue.LIBRARY_V3
    before = read_statuses(analysis.fastq(library) / "status.tsv")
    failed = before["SRR9000102"]._replace(state="failed", reason="ARCHIVE_CORRUPT", detail="checked twice.")
    write_statuses(analysis.fastq(library) / "status.tsv", [before["SRR9000101"], failed])
    try:
        statuses = analysis.solo(library, work="incomplete")
    finally:
        write_statuses(analysis.fastq(library) / "status.tsv", before.values())
    assert statuses["SRR9000102"] == failed._replace(chemistry="10x_3p_v3", read_roles="index,barcode,cdna")
    assert statuses["SRR9000101"].reason == "INCOMPLETE_EXPERIMENT"
    assert statuses["SRR9000101"].detail == (
        "run SRR9000102 of the same library failed (ARCHIVE_CORRUPT): checked twice."
    )
    assert not (analysis.folder / "incomplete/solo" / library / "Solo.out").exists()
    assert not analysis.pack(library, work="incomplete", to="incomplete/mex").exists()


def test_a_killed_star_fails_the_job_and_no_run(analysis, monkeypatch):
    library = catalogue.LIBRARY_V2
    front = analysis.folder / "front"
    front.mkdir()
    meets = f'[[ "$*" == *soloType* ]] && mkdir "{front}/met" 2>&-'
    real = shutil.which("STAR")
    (front / "STAR").write_text(f'#!/bin/bash\nif {meets}; then kill -KILL $$; fi\nexec {real} "$@"\n')
    (front / "STAR").chmod(0o755)
    monkeypatch.setenv("PATH", str(front), prepend=":")
    with pytest.raises(Interrupted, match="STAR was ended by SIGKILL; was there too little memory"):
        analysis.solo(library, work="killed")
    assert not (analysis.folder / "killed/solo" / library).exists()
    assert not (analysis.folder / "killed/status").exists()
    assert all(status.ok for status in analysis.solo(library, work="killed").values())
    made, again = (analysis.folder / work / "solo" / library / "Solo.out" for work in ("work", "killed"))
    names = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    assert names
    assert all((made / name).read_bytes() == (again / name).read_bytes() for name in names)


def test_log_describes_the_cells(analysis, world, capsys):
    library = catalogue.LIBRARY_V2
    analysis.solo(library, work="described")
    counts = world.droplet_truth(library)["Gene"]
    cells = [[count for (barcode, _), count in counts.items() if barcode == cell] for cell in world.cells(library)]
    genes = statistics.median_high(map(len, cells))
    umis = sorted(map(sum, cells), reverse=True)[len(cells) // 2]
    expected = f"Gene: {len(cells)} cells, in the median {umis} UMIs of {genes} genes"
    assert expected in capsys.readouterr().err.splitlines()
    analysis.solo(library, "--cell-filter", "None", work="described")
    assert " cells, in" not in capsys.readouterr().err


def test_velocyto_is_packed_on_request(analysis, world):
    """Exonic molecules are those of Gene or fewer; STAR leaves UMIs of several genes in, so that all are no fewer."""
    library = catalogue.LIBRARY_V3
    features = ("--features", "Gene", "Velocyto")
    assert all(status.ok for status in analysis.solo(library, *features, work="velocyto").values())
    folder = analysis.pack(library, *features, work="velocyto", to="velocyto/mex")
    own = {path.name for path in folder.glob("Velocyto_*")}
    ways = ("spliced", "unspliced", "ambiguous")
    assert own == {f"Velocyto_{way}_{matrix}.tar.gz" for way in ways for matrix in ("raw", "filtered")}
    left = analysis.folder / "velocyto/solo" / library / "Solo.out/Velocyto/raw"
    every = 0
    for way in ways:
        raw = read_archive(folder / f"Velocyto_{way}_raw.tar.gz")
        names = ("barcodes.tsv", "features.tsv", f"{way}.mtx")
        assert list(raw.digests) == [f"Velocyto/raw/{name}" for name in names]
        texts = [left.parents[1] / "barcodes.tsv.gz", *(left / f"{name}.gz" for name in names[1:])]
        digests = [hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest() for path in texts]
        assert list(raw.digests.values()) == digests
        assert raw.metadata["output_type"] == f"unfiltered sparse {way} transcript count matrix of unique reads"
        assert "--soloFeatures Gene Velocyto" in raw.metadata["arguments"]
        cells = read_archive(folder / f"Velocyto_{way}_filtered.tar.gz")
        assert cells.folder == "Velocyto/filtered"
        assert " ; EmptyDrops_CR was skipped (" in cells.metadata["arguments"]
        assert cells.barcodes.astype(str).tolist() == world.cells(library)
        indices = {barcode: index for index, barcode in enumerate(raw.barcodes.tolist())}
        assert (cells.matrix != raw.matrix[:, [indices[one] for one in cells.barcodes.tolist()]]).nnz == 0
        every = every + raw.matrix
    results = analysis.folder / "results/mex" / library
    spliced = read_archive(folder / "Velocyto_spliced_raw.tar.gz").matrix
    assert spliced.sum() > 0
    assert (spliced - read_archive(results / "Gene_Unique_raw.tar.gz").matrix).max() <= 0
    assert (every - read_archive(results / "GeneFull_Unique_raw.tar.gz").matrix).min() >= 0


def read_as_10x(analysis, name, folder):
    path = analysis.folder / f"results/mex/{catalogue.LIBRARY_V3}/{name}.tar.gz"
    mex_archive.main(["unpack", "--tenx", str(path), "--output", str(folder)])
    return folder / name.partition("_")[0] / name.rpartition("_")[2]


@pytest.mark.parametrize("name", ["Gene_Unique_filtered", "GeneFull_EM_raw"])
def test_unpacked_files_are_those_of_10x(analysis, tmp_path, name):
    import pandas
    import scipy.io

    folder = read_as_10x(analysis, name, tmp_path)
    archive = read_archive(analysis.folder / f"results/mex/{catalogue.LIBRARY_V3}/{name}.tar.gz")
    with gzip.open(folder / "matrix.mtx.gz") as handle:
        assert (scipy.io.mmread(handle).tocsc() != archive.matrix).nnz == 0
    barcodes, features = (
        pandas.read_csv(folder / f"{part}.tsv.gz", header=None, sep="\t") for part in ("barcodes", "features")
    )
    assert barcodes[0].tolist() == archive.barcodes.astype(str).tolist()
    assert list(features.itertuples(index=False, name=None)) == archive.features


@pytest.mark.parametrize("name", ["Gene_Unique_filtered", "GeneFull_EM_raw"])
@pytest.mark.filterwarnings("ignore")
def test_scanpy_reads_unpacked_files(analysis, tmp_path, name):
    scanpy = pytest.importorskip("scanpy")
    data = scanpy.read_10x_mtx(read_as_10x(analysis, name, tmp_path), var_names="gene_ids")
    archive = read_archive(analysis.folder / f"results/mex/{catalogue.LIBRARY_V3}/{name}.tar.gz")
    assert data.obs_names.tolist() == archive.barcodes.astype(str).tolist()
    assert data.var_names.tolist() == [row[0] for row in archive.features]
    assert abs(data.X.T - archive.matrix).max() < 1e-4


def test_floors_of_barcodes_and_genes(analysis):
    library = catalogue.LIBRARY_V3
    statuses = analysis.solo(library, "--min-valid-barcodes", "0.999", work="floor")
    assert {status.reason for status in statuses.values()} == {"LOW_VALID_BARCODES"}
    assert "have a barcode of the inclusion list; the floor is 99.9%." in statuses["SRR9000101"].detail
    statuses = analysis.solo(library, "--min-gene-share", "0.999", work="floor")
    assert {status.reason for status in statuses.values()} == {"LOW_GENE_SHARE"}
    assert "of the reads are in a gene (GeneFull" in statuses["SRR9000101"].detail
    assert not analysis.pack(library, work="floor", to="floor/mex").exists()


def test_missing_reads_are_noticed(analysis, tmp_path):
    library = catalogue.LIBRARY_V2
    path = analysis.fastq(library) / "SRR9000103_2.fastq"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-400]))
    try:
        statuses = analysis.solo(library, work="cut")
    finally:
        path.write_bytes(whole)
    assert statuses["SRR9000103"].reason in ("READS_MISSING", "ALIGN_FAILED")


def test_pinned_kit_with_the_wrong_list_is_found_out(analysis):
    """A user who names v2 for a v3 library learns the right kit, and no matrix is written."""
    library = catalogue.LIBRARY_V3
    try:
        verdict = analysis.read_roles(library, "--chemistry", "10x_3p_v2")["runs"]["SRR9000101"]
        assert verdict["fault"]["detail"].startswith(
            "10x Chromium 3′ v2 is named, but read 2 on 3M-february-2018 (95.0% of spots, chance "
        )
        statuses = analysis.solo(library, work="pinned")
    finally:
        analysis.read_roles(library)
    assert {status.reason for status in statuses.values()} == {"CHEMISTRY_UNKNOWN"}
