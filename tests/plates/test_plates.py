"""Plate cells of the toy world from references and reads to counts: they are the counts that were made."""

import contextlib
import gzip
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.core.errors import InputError, Interrupted, RunFault
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from scripts.plates import align, count
from scripts.plates.alignments import alignment_files, log_file
from scripts.plates.shard_counts import TALLIES, ShardCounts, read_shard_counts
from scripts.references import count_index, reference, star_index
from scripts.star.log import read_star_log
from tests.toy.world import World

pytestmark = pytest.mark.tools

HOME = Path(__file__).resolve().parents[2]
UNIT = "GSE900001.mus.0000"
TWO_RUNS, EMPTY, ORPHANS = "SRX9000007", "SRX9000012", "SRX9000017"
CHOSEN = ["SRX9000001", "SRX9000002", TWO_RUNS, EMPTY, ORPHANS]


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mouse reference with its spike-ins and indices."""
    folder = tmp_path_factory.mktemp("mm10")
    sources = [f"--{name}={path}" for name, path in world.references["mm10"].items()]
    spike_ins = [f"--spike-in-{name}={path}" for name, path in world.spike_ins.items()]
    files = {"genome": "genome.fa", "annotation": "annotation.gtf", "genes": "genes.tsv"}
    targets = [f"--{name}={folder / file}" for name, file in files.items()]
    reference.main(["--name", "mm10", *sources, *spike_ins, *targets, f"--fingerprint={folder / 'reference.json'}"])
    star_index.main([*targets[:2], "--sjdb-overhang=75", f"--output={folder / 'star'}"])
    count_index.main([*targets[1:], f"--output={folder / 'count_index.npz'}", f"--exons={folder / 'exons.gtf'}"])
    return folder


def lay_out(world: World, folder: Path, experiments: list[str]) -> Path:
    """Write the plan and the FASTQ files of some experiments as the stages before would."""
    spots = world.reads_made()
    rows = [
        Run(
            "GSE900001", experiment=name, run=run, species="mus", assay="plate", status="planned", spots=str(spots[run])
        )
        for name in experiments
        for run in world.experiments[name].runs
    ]
    write_runs(folder / "plan.tsv", rows)
    fastq = folder / "fastq"
    fastq.mkdir()
    for row in rows:
        packed = sorted((world.folder / "fastq").glob(f"{row.run}[_.]*fastq.gz"))
        for path in packed:
            (fastq / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        if not packed:
            (fastq / f"{row.run}.fastq").touch()
    write_statuses(fastq / "status.tsv", [RunStatus(row.run, spots=row.spots) for row in rows])
    return folder


def align_arguments(folder: Path, made: Path, *more: str) -> list[str]:
    return [
        f"--plan={folder / 'plan.tsv'}", f"--unit={UNIT}", "--shard-size=96", f"--fastq={folder / 'fastq'}",
        f"--index={made / 'star'}", f"--output={folder / 'aligned'}", *more,
    ]  # fmt: skip


def run_align(folder: Path, made: Path, *more: str) -> dict[str, RunStatus]:
    with signals_as_before():
        align.main(align_arguments(folder, made, *more))
    return read_statuses(folder / "aligned" / "status.tsv")


@contextlib.contextmanager
def signals_as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def run_count(folder: Path, made: Path, *more: str) -> tuple[ShardCounts, dict[str, RunStatus]]:
    count.main(
        [
            f"--plan={folder / 'plan.tsv'}", f"--unit={UNIT}", "--shard-size=96", f"--alignments={folder / 'aligned'}",
            f"--count-index={made / 'count_index.npz'}", f"--exons={made / 'exons.gtf'}",
            f"--genes={made / 'genes.tsv'}", f"--reference={made / 'reference.json'}",
            f"--counts={folder / 'counts.h5ad'}", f"--status={folder / 'status.tsv'}", *more,
        ]
    )  # fmt: skip
    return read_shard_counts(folder / "counts.h5ad"), read_statuses(folder / "status.tsv")


def table(shard: ShardCounts) -> dict[str, dict[str, int]]:
    counts = shard.counts.toarray()
    return {
        column: dict(zip(shard.genes, counts[place].tolist(), strict=True))
        | dict(zip(TALLIES, shard.tallies[place].tolist(), strict=True))
        for place, column in enumerate(shard.columns)
    }


@pytest.fixture(scope="module")
def shard(world: World, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chosen cells, aligned in a process of its own as the workflow does."""
    folder = lay_out(world, tmp_path_factory.mktemp("shard"), CHOSEN)
    subprocess.run(
        [sys.executable, "-m", "scripts", "align", *align_arguments(folder, made, "--threads=2")],
        check=True,
        cwd=HOME,
    )
    return folder


@pytest.mark.parametrize("counter", count.COUNTERS)
def test_counts_are_the_counts_made(world: World, made: Path, shard: Path, counter: str) -> None:
    counted, statuses = run_count(shard, made, f"--counter={counter}")
    truth = world.plate_truth()
    assert table(counted) == {column: truth[column] for column in CHOSEN}
    assert counted.runs == [";".join(world.experiments[column].runs) for column in CHOSEN]
    assert all(status.ok and not status.detail for status in statuses.values())
    assert counted.reference.startswith("mm10 sha256:")
    star = subprocess.run(["STAR", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    htseq = {"HTSeq": importlib.metadata.version("HTSeq")} if counter != "native" else {}
    who = "htseq-count" if counter == "htseq-count" else "native"
    assert counted.tools == {"STAR": star, "counter": who} | htseq


def test_nothing_is_lost_between_archive_and_counts(world: World, made: Path, shard: Path) -> None:
    counted, _ = run_count(shard, made)
    for column, log in zip(counted.columns, counted.logs, strict=True):
        spots = sum(world.reads_made()[run] for run in world.experiments[column].runs)
        dropped = sum(
            int(value)
            for name, value in log.items()
            if name.startswith("Number of reads unmapped") or name == "Number of reads mapped to too many loci"
        )
        assert int(log["Number of input reads"]) == spots
        assert dropped == world.dropped()[column]
        assert sum(table(counted)[column].values()) + dropped == spots


def test_pairs_and_single_reads_of_a_column_have_a_bam_each_and_one_log(shard: Path) -> None:
    names = [path.name for path in alignment_files(shard / "aligned", ORPHANS)]
    assert names == [f"{ORPHANS}.bam", f"{ORPHANS}.single.bam"]
    log = read_star_log(log_file(shard / "aligned", ORPHANS))
    assert log["Number of input reads"] == "861"
    assert log["Uniquely mapped reads %"] == f"{100 * int(log['Uniquely mapped reads number']) / 861:.2f}%"


def test_an_empty_cell_is_a_column_of_zeros_with_its_log(made: Path, shard: Path) -> None:
    counted, _ = run_count(shard, made)
    assert set(table(counted)[EMPTY].values()) == {0}
    assert counted.logs[counted.columns.index(EMPTY)]["Number of input reads"] == "0"


def test_only_alignments_and_status_are_handed_over_and_headers_name_no_path(shard: Path) -> None:
    names = {path.name for path in (shard / "aligned").iterdir()}
    expected = {f"{column}{ending}" for column in CHOSEN for ending in (".bam", ".Log.final.out")}
    assert names == expected | {f"{ORPHANS}.single.bam", "status.tsv"}
    header = subprocess.run(
        ["samtools", "view", "--no-PG", "-H", str(shard / "aligned" / f"{TWO_RUNS}.bam")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(shard) not in header


def test_threads_shard_size_and_memory_change_no_count(world: World, made: Path, shard: Path, tmp_path: Path) -> None:
    before, _ = run_count(shard, made)
    lay_out(world, tmp_path, CHOSEN[:3])
    run_align(tmp_path, made, "--threads=1", "--genome-memory=none")
    alone, _ = run_count(tmp_path, made, "--counter=native")
    assert table(alone) == {column: table(before)[column] for column in CHOSEN[:3]}
    run_align(tmp_path, made, "--threads=3", "--genome-memory=shared")
    shared, _ = run_count(tmp_path, made, "--counter=native", "--threads=3")
    assert table(shared) == table(alone)


def test_runs_as_columns(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, [TWO_RUNS])
    run_align(tmp_path, made, "--count-by=run", "--genome-memory=none")
    counted, _ = run_count(tmp_path, made, "--count-by=run", "--counter=native")
    assert counted.columns == ["SRR9000007", "SRR9000045"]
    totals = {name: sum(cell[name] for cell in table(counted).values()) for name in table(counted)["SRR9000007"]}
    assert totals == world.plate_truth()[TWO_RUNS]


def test_a_failed_run_takes_its_experiment_along_and_no_other(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", TWO_RUNS])
    statuses = read_statuses(tmp_path / "fastq" / "status.tsv")
    failed = statuses["SRR9000045"]._replace(state="failed", reason="ARCHIVE_CORRUPT", detail="a bit is wrong")
    write_statuses(tmp_path / "fastq" / "status.tsv", [*(s for s in statuses.values() if s.run != failed.run), failed])
    became = run_align(tmp_path, made)
    assert became["SRR9000045"] == failed
    assert became["SRR9000007"].reason == "INCOMPLETE_EXPERIMENT"
    assert became["SRR9000007"].detail.startswith("SRR9000045 of the same experiment failed")
    counted, became = run_count(tmp_path, made)
    assert counted.columns == ["SRX9000001"]
    assert became["SRR9000007"].reason == "INCOMPLETE_EXPERIMENT"


def cut(path: Path, reads: int) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: 4 * reads]))


def test_reads_that_get_lost_are_noticed(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002", "SRX9000003"])
    cut(tmp_path / "fastq" / "SRR9000001_1.fastq", 100)
    (tmp_path / "fastq" / "SRR9000002.fastq").unlink()
    became = run_align(tmp_path, made)
    assert became["SRR9000001"][1:4] == (
        "failed",
        "READS_MISSING",
        "STAR has read 100 reads, but the archive has 497 spots.",
    )
    assert became["SRR9000002"][2:4] == ("READS_MISSING", "no FASTQ file of SRR9000002 is there.")
    assert became["SRR9000003"].ok


def test_reads_are_counted_where_no_record_tells_their_number(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001"])
    plan = (tmp_path / "plan.tsv").read_text()
    (tmp_path / "plan.tsv").write_text(plan.replace("\t497\t", "\t\t"))
    write_statuses(tmp_path / "fastq" / "status.tsv", [RunStatus("SRR9000001")])
    cut(tmp_path / "fastq" / "SRR9000001_2.fastq", 100)
    became = run_align(tmp_path, made)
    assert became["SRR9000001"].detail == "SRR9000001_1.fastq has 497 reads, SRR9000001_2.fastq 100."


def test_star_that_fails_is_told_in_its_words(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000002"])
    reads = tmp_path / "fastq" / "SRR9000002.fastq"
    reads.write_text(reads.read_text().replace("@", "", 1))
    became = run_align(tmp_path, made)
    assert became["SRR9000002"].reason == "ALIGN_FAILED"
    assert became["SRR9000002"].detail.startswith("STAR failed: ")
    assert "the read ID lines should start with @" in became["SRR9000002"].detail


def test_a_second_try_makes_only_what_is_missing(
    world: World, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002"])

    def fall_over(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(align, "hand_over", fall_over)
        with pytest.raises(KeyboardInterrupt):
            run_align(tmp_path, made, "--genome-memory=none")
    reads = tmp_path / "fastq" / "SRR9000002.fastq"
    reads.write_text(reads.read_text().replace("SRR9000002.1 ", "SRR9000002.x ", 1))  # other reads: made again
    capsys.readouterr()
    assert run_align(tmp_path, made, "--genome-memory=none")["SRR9000001"].ok
    assert "1 column(s) were aligned by an earlier try." in capsys.readouterr().err
    counted, _ = run_count(tmp_path, made)
    assert table(counted)["SRX9000001"] == world.plate_truth()["SRX9000001"]


def put_star_in_front(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int, words: str, fate: str) -> None:
    """Let another STAR be found that meets its fate when its arguments hold these words, so many times."""
    place = folder / "front"
    place.mkdir()
    real = shutil.which("STAR")
    (place / "STAR").write_text(
        f'#!/bin/bash\nif [[ "$*" == *"{words}"* ]] && [ $(wc -c <{place}/met) -lt {times} ]; then\n'
        f'    printf x >>{place}/met\n    {fate}\nfi\nexec {real} "$@"\n'
    )
    (place / "STAR").chmod(0o755)
    (place / "met").touch()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")


@pytest.mark.parametrize("fate", ["kill -KILL $$", "kill -TERM $$", "bash -c 'kill -KILL $$'; exit"])
def test_a_star_killed_twice_fails_the_job_and_no_run(
    world: World, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, fate: str
) -> None:
    lay_out(world, tmp_path, CHOSEN[:3])
    put_star_in_front(tmp_path, monkeypatch, 2, "SRR9000002.fastq", fate)
    with pytest.raises(Interrupted) as told:
        run_align(tmp_path, made, "--genome-memory=none")
    name = "SIGTERM" if "TERM" in fate else "SIGKILL"
    assert str(told.value) == (
        f"SRX9000002: not aligned. STAR was ended by {name}; was there too little memory? The same call goes on."
    )
    assert not (tmp_path / "aligned").exists()
    assert "It is aligned once more." in capsys.readouterr().err
    became = run_align(tmp_path, made, "--genome-memory=none")
    assert all(status.ok for status in became.values())
    assert "2 column(s) were aligned by an earlier try." in capsys.readouterr().err
    counted, _ = run_count(tmp_path, made, "--counter=native")
    assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}


def test_a_star_that_crashes_by_itself_is_a_fault_of_the_run(
    world: World, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    put_star_in_front(tmp_path, monkeypatch, 9, "SRR9000002.fastq", "kill -SEGV $$")
    became = run_align(tmp_path, made, "--genome-memory=none")
    assert became["SRR9000002"][1:4] == ("failed", "ALIGN_FAILED", "STAR failed: STAR was ended by SIGSEGV.")
    assert became["SRR9000001"].ok


def test_a_star_without_memory_fails_the_job_and_no_run(
    world: World, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    words = "EXITING because of FATAL ERROR: not enough memory for BAM sorting"
    put_star_in_front(tmp_path, monkeypatch, 1, "SRR9000002.fastq", f"echo '{words}'; exit 107")
    with pytest.raises(Interrupted, match=r"SRX9000002: not aligned\. ERROR: not enough memory for BAM sorting"):
        run_align(tmp_path, made, "--genome-memory=none")
    assert all(status.ok for status in run_align(tmp_path, made, "--genome-memory=none").values())


FULL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
FULL_DISK += ['mount -t tmpfs -o size=100k none "$0" && cd "$1" && shift && exec "$@"']


@pytest.mark.skipif(
    subprocess.run([*FULL_DISK, "/mnt", "/", "true"], capture_output=True, check=False).returncode != 0,
    reason="a disk of its own cannot be mounted here",
)
def test_a_full_disk_fails_the_job_and_no_run(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    disk = tmp_path / "disk"
    disk.mkdir()
    options = [f"--scratch={disk / 'a'}", "--genome-memory=none"]
    command = [sys.executable, "-m", "scripts", "align", *align_arguments(tmp_path, made, *options)]
    done = subprocess.run([*FULL_DISK, disk, HOME, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "is full; make room, then the same call goes on." in done.stderr.splitlines()[-1]
    assert not (tmp_path / "aligned").exists()
    assert all(status.ok for status in run_align(tmp_path, made, "--genome-memory=none").values())


def segments() -> list[str]:
    told = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if line.startswith("0x")]


@pytest.mark.skipif(not align.find_namespace(), reason="namespaces are refused here")
@pytest.mark.parametrize("victim", ["command", "STAR"])
def test_no_memory_is_left_when_something_is_killed(world: World, made: Path, tmp_path: Path, victim: str) -> None:
    before = segments()
    lay_out(world, tmp_path, CHOSEN)
    for path in (tmp_path / "fastq").glob("*.fastq"):  # longer work, to be killed in
        path.write_text(path.read_text() * 60)
    command = subprocess.Popen(
        [sys.executable, "-m", "scripts", "align", *align_arguments(tmp_path, made, "--threads=1")],
        cwd=HOME,
        stderr=subprocess.DEVNULL,
    )
    cells = tmp_path / f".{UNIT}.align" / "cells"
    until = time.monotonic() + 30
    while not list(cells.glob("SRX*/Aligned.out.bam")) and time.monotonic() < until:
        time.sleep(0.02)
    stars = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and works_in(path, cells)]
    assert stars
    if victim == "command":
        command.kill()
        command.wait()
    else:
        for star in stars:
            with contextlib.suppress(ProcessLookupError):  # it has ended since
                os.kill(star, signal.SIGKILL)
        command.terminate()
        command.wait()
    until = time.monotonic() + 10
    while any(Path(f"/proc/{star}").exists() for star in stars) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(Path(f"/proc/{star}").exists() for star in stars)
    assert segments() == before


@pytest.mark.skipif(not align.find_namespace(), reason="namespaces are refused here")
@pytest.mark.parametrize("memory", ["auto", "shared"])
@pytest.mark.parametrize("killed", [False, True])
def test_two_shards_on_one_node_do_not_disturb_one_another(
    world: World, made: Path, tmp_path: Path, memory: str, killed: bool
) -> None:
    before = segments()
    commands = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = lay_out(world, tmp_path / name, CHOSEN[:3])
        arguments = align_arguments(folder, made, "--threads=1", f"--genome-memory={memory}")
        commands[name] = [sys.executable, "-m", "scripts", "align", *arguments]
    running = {name: subprocess.Popen(command, cwd=HOME) for name, command in commands.items()}
    if killed:
        until = time.monotonic() + 30
        while not list((tmp_path / "one" / f".{UNIT}.align" / "cells").glob("SRX*")):
            assert time.monotonic() < until and running["one"].poll() is None
            time.sleep(0.002)
        running["one"].kill()
        running["one"].wait()
        assert running["two"].wait(timeout=60) == 0
        if memory == "auto":  # what a killed one left in the node's memory is removed by the next
            assert segments() == before
        running["one"] = subprocess.Popen(commands["one"], cwd=HOME)
    for name, command in running.items():
        assert command.wait(timeout=60) == 0
        counted, _ = run_count(tmp_path / name, made, "--counter=native")
        assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}
    assert segments() == before


def works_in(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return folder in (process / "cwd").resolve().parents
    return False


def test_a_shard_of_which_every_run_failed_is_an_empty_table(world: World, made: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", TWO_RUNS])
    gone = RunFault("DOWNLOAD_FAILED", "gone")
    statuses = [status.failed(gone) for status in read_statuses(tmp_path / "fastq" / "status.tsv").values()]
    write_statuses(tmp_path / "fastq" / "status.tsv", statuses)
    assert list(run_align(tmp_path, made).values()) == statuses
    counted, became = run_count(tmp_path, made)
    assert counted.columns == []
    assert counted.counts.shape == (0, 73)
    assert list(became.values()) == statuses


SMALL_MEMORY = ["unshare", "--user", "--map-root-user", "--ipc", "sh", "-c"]
SMALL_MEMORY += ['echo 4096 >/proc/sys/kernel/shmmax && exec "$@"', "sh"]


@pytest.mark.skipif(
    subprocess.run([*SMALL_MEMORY, "true"], capture_output=True, check=False).returncode != 0,
    reason="the limit of shared memory cannot be set here",
)
@pytest.mark.parametrize("compiler", [True, False])
def test_without_shared_memory_the_genome_is_loaded_once_all_the_same(
    world: World, made: Path, tmp_path: Path, compiler: bool
) -> None:
    if compiler and not shutil.which("cc"):
        pytest.skip("no C compiler is installed")
    folder = tmp_path / "with blanks, and a comma"
    folder.mkdir()
    lay_out(world, folder, CHOSEN[:3])
    path = tmp_path / "bin"
    path.mkdir()
    place = Path(shutil.which("STAR"))
    loads = tmp_path / "loads"
    (path / "STAR").write_text(f'#!/bin/bash\necho "$*" >>{loads}\nexec {place} "$@"\n')
    (path / "STAR").chmod(0o755)
    needed = ["samtools", "bash", "sh", "grep", "dirname", "basename", "cat", "ls", "rm"]
    for name in [*needed, *(["cc", "as", "ld"] if compiler else [])]:
        if shutil.which(name):
            (path / name).symlink_to(shutil.which(name))
    arguments = align_arguments(folder, made, "--genome-memory=inside", "--threads=2")
    done = subprocess.run(
        [*SMALL_MEMORY, "env", f"PATH={path}", sys.executable, "-m", "scripts", "align", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=HOME,
    )
    assert "The genome cannot be loaded into shared memory: " in done.stderr
    how = [line.split("--genomeLoad ")[1].split()[0] for line in loads.read_text().splitlines()]
    if compiler:
        assert "It is loaded once, into a file that plays shared memory." in done.stderr
        assert how == ["LoadAndExit", "LoadAndExit", "LoadAndKeep", "LoadAndKeep", "LoadAndKeep"]
    else:
        assert "Nor into a file: there is no C compiler (cc).\nEach cell loads it now." in done.stderr
        assert how == ["LoadAndExit", "NoSharedMemory", "NoSharedMemory", "NoSharedMemory"]
    assert not list(folder.glob(".*"))
    counted, _ = run_count(folder, made)
    assert table(counted) == {column: world.plate_truth()[column] for column in CHOSEN[:3]}


def test_shared_memory_under_the_lock_is_removed(world: World, made: Path, tmp_path: Path) -> None:
    before = segments()
    lay_out(world, tmp_path, ["SRX9000001"])
    assert run_align(tmp_path, made, "--genome-memory=shared")["SRR9000001"].ok
    assert segments() == before


def test_a_differing_cell_lets_htseq_count_the_shard(
    world: World, made: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = count.count_native

    def wrong_by_one(*arguments: object) -> count.CellCounts:
        counts = honest(*arguments)
        counts.genes[0] += 1
        counts.genes[1] -= 1
        return counts

    monkeypatch.setattr(count, "count_native", wrong_by_one)
    counted, statuses = run_count(shard, made, "--counter=auto")
    truth = world.plate_truth()
    assert table(counted) == {column: truth[column] for column in CHOSEN}
    checked = count.choose_checked([column for column in CHOSEN if column != EMPTY])
    for status in statuses.values():
        assert status.ok
        assert status.detail.startswith(f"counted by htseq-count: in {checked}, which both counted, 2 of 78 numbers")


def test_fragments_that_get_lost_are_noticed(world: World, made: Path, shard: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, ["SRX9000001", "SRX9000002"])
    shutil.copytree(shard / "aligned", tmp_path / "aligned")
    log = log_file(tmp_path / "aligned", "SRX9000001")
    log.write_text(log.read_text().replace("Uniquely mapped reads number |\t", "Uniquely mapped reads number |\t1"))
    write_statuses(tmp_path / "aligned" / "status.tsv", [RunStatus("SRR9000001"), RunStatus("SRR9000002")])
    bam = tmp_path / "aligned" / "SRX9000002.bam"
    bam.write_bytes(bam.read_bytes()[:-100])
    for counter in ("native", "htseq-count"):
        counted, statuses = run_count(tmp_path, made, f"--counter={counter}")
        assert counted.columns == []
        assert statuses["SRR9000001"].reason == "READS_MISSING"
        assert "483 fragments were counted, but STAR mapped 1" in statuses["SRR9000001"].detail
        assert statuses["SRR9000002"].reason in ("COUNT_FAILED", "READS_MISSING")


def test_a_ready_index_is_linked_when_it_fits(made: Path, tmp_path: Path) -> None:
    inputs = [f"--genome={made / 'genome.fa'}", f"--annotation={made / 'annotation.gtf'}", "--sjdb-overhang=75"]
    star_index.main([*inputs, f"--ready={made / 'star'}", f"--output={tmp_path / 'star'}"])
    assert (tmp_path / "star" / "SA").resolve() == (made / "star" / "SA").resolve()
    old = tmp_path / "old"
    shutil.copytree(made / "star", old)
    parameters = old / "genomeParameters.txt"
    parameters.write_text(parameters.read_text().replace("versionGenome\t2.7.4a", "versionGenome\t20201"))
    (old / "chrLength.txt").write_text("5\n" + (old / "chrLength.txt").read_text().partition("\n")[2])
    with pytest.raises(InputError) as told:
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])
    assert "needs 2 correction(s)" in str(told.value)
    assert "its version is 20201, but the installed STAR reads 2.7.4a" in str(told.value)
    assert "1 contig(s) are not those of the reference's genome" in str(told.value)
    (old / "SA").unlink()
    with pytest.raises(InputError, match="SA is missing"):
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])


def test_a_failed_index_leaves_nothing_and_an_index_no_log_in_the_way(made: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nACGT\n")
    (tmp_path / "annotation.gtf").write_text('chrX\t.\texon\t1\t4\t.\t+\t.\tgene_id "a"; transcript_id "a";\n')
    with pytest.raises(InputError, match="STAR could not make the index"):
        star_index.make_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf", 75, 1, tmp_path / "star")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotation.gtf", "genome.fa"]
    assert (made / "star").stat().st_mode & 0o055 == 0o055
    assert not Path("Log.out").exists()


def test_a_reference_is_the_same_bytes_wherever_it_is_made(world: World, made: Path, tmp_path: Path) -> None:
    names = ("fasta", "gtf")
    sources = [(str(world.references["mm10"][name]), None) for name in names]
    spike_ins = [(str(world.spike_ins[name]), None) for name in names]
    targets = [tmp_path / name for name in ("genome.fa", "annotation.gtf", "genes.tsv", "reference.json")]
    reference.make_reference("mm10", [sources[0], spike_ins[0]], [sources[1], spike_ins[1]], *targets)
    for target in targets:
        assert target.read_bytes() == (made / target.name).read_bytes()
    described = json.loads((tmp_path / "reference.json").read_text())
    assert described["genes"] == len((tmp_path / "genes.tsv").read_text().splitlines()) - 1
