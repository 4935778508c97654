"""The toy world under the real programs: its archives read by sra-tools, its reads counted by STAR and htseq-count."""

import gzip
import hashlib
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.toy import archives, catalogue
from tests.toy.reads import FEATURES, KITS
from tests.toy.server import Server
from tests.toy.world import World, build

pytestmark = pytest.mark.tools

HTSEQ_COUNT = Path(sys.executable).with_name("htseq-count")


def _run(command: Sequence[object], folder: Path, expected: int = 0, **variables: str) -> subprocess.CompletedProcess:
    environment = {**archives.environment(folder), **variables}
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == expected, f"{words[0]}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    return done


def _side_by_side(work, things: Sequence) -> list:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, things))


def test_a_world_once_built_is_taken_as_it_is(world: World):
    before = (world.folder / "archives.json").stat().st_mtime_ns
    assert build().folder == world.folder
    assert (world.folder / "archives.json").stat().st_mtime_ns == before


def test_every_archive_is_consistent_but_the_corrupt_one(world: World):
    paths = sorted(world.sra.glob("*.sra"))
    assert {path.stem for path in paths} == set(world.archives) - {catalogue.GONE}
    found = dict(zip(paths, _side_by_side(archives.validates, paths), strict=True))
    assert [path.stem for path, good in found.items() if not good] == [catalogue.CORRUPT]


def test_records_tell_size_sum_and_spots_of_every_archive(world: World, tmp_path: Path):
    made = world.reads_made()
    assert set(made) == set(world.archives)

    def spots(run: str) -> int:
        done = _run(["sra-stat", "--xml", "--statistics", world.sra / f"{run}.sra"], tmp_path)
        root = ET.fromstring(done.stdout)
        read_counts = [int(read.get("count")) for read in root.iterfind("Statistics/Read")]
        assert read_counts[: len(world.archives[run].reads)] == [count for count, _, _ in world.archives[run].reads]
        assert int(root.get("base_count")) == world.archives[run].bases
        return int(root.get("spot_count"))

    for run, archive in world.archives.items():
        assert archive.spots == made[run]
        if run != catalogue.GONE:
            content = (world.sra / f"{run}.sra").read_bytes()
            assert (archive.size, archive.md5) == (
                len(content),
                hashlib.md5(content, usedforsecurity=False).hexdigest(),
            )
    whole = [run for run in made if made[run] and run not in (catalogue.CORRUPT, catalogue.GONE)]
    assert dict(zip(whole, _side_by_side(spots, whole), strict=True)) == {run: made[run] for run in whole}


def test_the_empty_run_is_a_table_without_rows(world: World, tmp_path: Path):
    (run,) = world.experiments[catalogue.EMPTY].runs
    assert world.reads_made()[run] == 0
    done = _run(["fasterq-dump", "--split-3", "-O", tmp_path, world.sra / f"{run}.sra"], tmp_path, expected=3)
    assert "rcTable,rcEmpty" in done.stderr


@pytest.mark.parametrize(
    ("run", "options", "files"),
    [
        ("SRR9000001", ["--split-3"], ["_1", "_2"]),
        ("SRR9000002", ["--split-3"], [""]),
        ("SRR9000017", ["--split-3"], ["", "_1", "_2"]),
        ("SRR9000101", ["--split-files", "--include-technical"], ["_1", "_2", "_3"]),
        ("SRR9000101", ["--split-3"], [""]),
        ("SRR9000103", ["--split-files", "--include-technical"], ["_1", "_2"]),
    ],
)
def test_reads_come_out_as_ena_has_them(world: World, tmp_path: Path, run, options, files):
    _run(["fasterq-dump", *options, "-O", tmp_path, world.sra / f"{run}.sra"], tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.fastq")) == sorted(f"{run}{end}.fastq" for end in files)

    def reads(text: str) -> list[tuple[str, str]]:
        lines = text.splitlines()
        return list(zip(lines[1::4], lines[3::4], strict=True))

    if "--split-3" in options:
        for end in files:
            offered = gzip.decompress((world.folder / "fastq" / f"{run}{end}.fastq.gz").read_bytes()).decode()
            assert reads((tmp_path / f"{run}{end}.fastq").read_text()) == reads(offered)


def test_prefetch_takes_archives_from_the_server(world: World, server: Server, tmp_path: Path):
    settings = tmp_path / "sra-online.mkfg"
    resolvers = [
        f'/repository/remote/{kind}/SDL.2/resolver-cgi = "{server.archives["sra"]}"\n' for kind in ("main", "protected")
    ]
    offline = [line for line in archives.OFFLINE_SETTINGS.splitlines(keepends=True) if "disabled" not in line]
    settings.write_text("".join([*offline, *resolvers]))

    def prefetch(run: str, expected: int) -> Path:
        command = ["prefetch", "--max-size", "u", "-O", tmp_path, run]
        _run(command, tmp_path, expected, NCBI_SETTINGS=str(settings))
        return tmp_path / run / f"{run}.sra"

    server.fault("/SRR9000001/", "cut", times=2)
    assert prefetch("SRR9000001", 0).read_bytes() == (world.sra / "SRR9000001.sra").read_bytes()
    assert [request.method for request in server.asked("/SRR9000001/")].count("GET") == 3
    assert prefetch(catalogue.CORRUPT, 0).read_bytes() == (world.sra / f"{catalogue.CORRUPT}.sra").read_bytes()
    assert not prefetch(catalogue.GONE, 3).exists()
    server.fault("SRR9000003", "wrong_md5")
    prefetch("SRR9000003", 3)
    server.fault("SRR9000002", "lite")
    prefetch("SRR9000002", 0)
    lite = tmp_path / "SRR9000002" / "SRR9000002.sralite"
    assert lite.read_bytes() == (world.folder / "lite" / "SRR9000002.sra").read_bytes()


@pytest.fixture(scope="module")
def indices(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Genome → folder with ``star/`` and ``annotation.gtf``, spike-ins included."""
    made = {}
    for name, files in world.references.items():
        made[name] = folder = tmp_path_factory.mktemp(name)
        for kind, joined in (("fasta", "genome.fa"), ("gtf", "annotation.gtf")):
            (folder / joined).write_bytes(
                gzip.decompress(files[kind].read_bytes()) + world.spike_ins[kind].read_bytes()
            )
        command = ["STAR", "--runMode", "genomeGenerate", "--genomeDir", folder / "star", "--genomeSAindexNbases", 8]
        command += ["--genomeFastaFiles", folder / "genome.fa", "--sjdbGTFfile", folder / "annotation.gtf"]
        _run([*command, "--sjdbOverhang", 75], folder)
    return made


def _dump(world: World, experiment: str, folder: Path, *options: str) -> list[str]:
    """Write the FASTQ of an experiment's runs; return its files by read number, runs joined by commas."""
    runs = world.experiments[experiment].runs
    for run in runs:
        _run(["fasterq-dump", *options, "-O", folder, world.sra / f"{run}.sra"], folder)
    ends = sorted({path.stem.removeprefix(runs[0]) for path in folder.glob(f"{runs[0]}*.fastq")})
    return [",".join(str(folder / f"{run}{end}.fastq") for run in runs) for end in ends]


@pytest.mark.parametrize(
    ("entry", "reference"),
    [
        (catalogue.TWO_RUNS, "mm10"),
        ("SRX9000002", "mm10"),
        (f"{catalogue.TWO_SPECIES}.homo", "hg38"),
    ],
)
def test_plate_truth_is_what_htseq_counts(world: World, indices: dict[str, Path], tmp_path: Path, entry, reference):
    experiment = entry.partition(".")[0]
    files = _dump(world, experiment, tmp_path, "--split-3")
    index = indices[reference]
    command = ["STAR", "--genomeDir", index / "star", "--readFilesIn", *files, "--outFileNamePrefix", f"{tmp_path}/"]
    _run([*command, "--outSAMtype", "BAM", "Unsorted"], tmp_path)
    command = [HTSEQ_COUNT, "-r", "name", "-s", "no", "-m", "intersection-nonempty", "-t", "exon", "-i", "gene_id"]
    done = _run([*command, tmp_path / "Aligned.out.bam", index / "annotation.gtf"], tmp_path)
    counted = {gene: int(count) for gene, count in (line.split("\t") for line in done.stdout.splitlines())}
    truth = world.plate_truth()[entry]
    assert counted == truth
    spots = sum(world.reads_made()[run] for run in world.experiments[experiment].runs)
    assert sum(truth.values()) + world.dropped()[entry] == spots


@pytest.mark.parametrize("experiment", [catalogue.LIBRARY_V3, catalogue.LIBRARY_V2])
def test_droplet_truth_is_what_starsolo_counts(world: World, indices: dict[str, Path], tmp_path: Path, experiment):
    kit = KITS[world.experiments[experiment].kit]
    *_, barcodes, cdna = _dump(world, experiment, tmp_path, "--split-files", "--include-technical")
    listed = world.inclusion_lists[kit.inclusion_list].read_bytes()
    inclusion_list = tmp_path / "barcodes.txt"
    inclusion_list.write_bytes(gzip.decompress(listed) if listed[:2] == b"\x1f\x8b" else listed)
    command = ["STAR", "--genomeDir", indices["hg38"] / "star", "--readFilesIn", cdna, barcodes]
    command += ["--soloType", "CB_UMI_Simple", "--soloCBwhitelist", inclusion_list, "--soloCBlen", kit.barcode]
    command += ["--soloUMIstart", kit.barcode + 1, "--soloUMIlen", kit.umi, "--soloFeatures", *FEATURES]
    command += ["--soloMultiMappers", "EM", "Rescue"]
    command += ["--soloCellFilter", "EmptyDrops_CR", "--outSAMtype", "None", "--outFileNamePrefix", f"{tmp_path}/"]
    _run(command, tmp_path)
    for feature in FEATURES:
        place = tmp_path / "Solo.out" / feature
        rows = (place / "raw" / "barcodes.tsv").read_text().split()
        genes = [line.split("\t")[0] for line in (place / "raw" / "features.tsv").read_text().splitlines()]
        counted = {}
        for line in (place / "raw" / "matrix.mtx").read_text().splitlines()[3:]:
            gene, barcode, count = map(int, line.split())
            counted[rows[barcode - 1], genes[gene - 1]] = count
        assert counted == world.droplet_truth(experiment)[feature], feature
        assert sorted((place / "filtered" / "barcodes.tsv").read_text().split()) == world.cells(experiment)
        expected = Counter(world.droplet_shared(experiment)[feature])
        assert sum(expected.values()) > 50
        for (barcode, _), umis in world.droplet_truth(experiment)[feature].items():
            expected[barcode] += umis
        for method in ("EM", "Rescue"):
            summed: Counter[str] = Counter()
            for line in (place / "raw" / f"UniqueAndMult-{method}.mtx").read_text().splitlines()[3:]:
                summed[rows[int(line.split()[1]) - 1]] += float(line.split()[2])
            assert summed == pytest.approx(expected, abs=1e-3), (feature, method)


def test_another_folder_holds_the_same_reads(tmp_path: Path, world: World):
    """Archives differ by the date of their making; all else that is made of the seed does not."""
    again = build(tmp_path / "again")
    for path in sorted(world.folder.rglob("*")):
        name = path.relative_to(world.folder)
        if path.is_file() and name.parts[0] in ("references", "inclusion_lists", "truth", "fastq"):
            assert (again.folder / name).read_bytes() == path.read_bytes(), name
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # nothing is left aside
