"""Conversion of real archives: every spot is there, in files of known names, or the run is marked."""

import bz2
import gzip
import lzma
import random

import pysam
import pytest

from scripts.formats.fastq_files import read_pieces
from scripts.plan.status import RunStatus, read_statuses
from tests.reads.analysis_directory import Conversion, wrap_fastq_dump
from tests.toy import archives
from tests.toy.catalogue import EMPTY, LIBRARY_V2, LIBRARY_V3, ORPHANS
from tests.toy.reads import Read

pytestmark = pytest.mark.tools

PAIRED, SINGLE = "SRR9000001", "SRR9000002"
ORPHAN_RUN, EMPTY_RUN = "SRR9000017", "SRR9000012"
V3, V2 = "SRR9000101", "SRR9000103"
FIRST = "@a/1\nACGTAC\n+\nFFFFFF\n@b/1\nACGTAA\n+\nFFFFF#\n"
SECOND = "@a/2\nTTT\n+\n:::\n@b/2\nTTA\n+\n::,\n"


def reads(path):
    """Return the bases and the qualities of a FASTQ file."""
    lines = b"".join(read_pieces(path)).decode().splitlines()
    return list(zip(lines[1::4], lines[3::4], strict=True))


def ena_reads(world, name):
    """Return the same of a file that ENA offers: made from the reads, not from the archive."""
    lines = gzip.decompress((world.folder / f"fastq/{name}.fastq.gz").read_bytes()).decode().splitlines()
    return list(zip(lines[1::4], lines[3::4], strict=True))


def test_plate_runs_become_mates_and_single_reads(conversion, world):
    layouts = {run: len(world.archives[run].read_types) for run in (PAIRED, SINGLE)}
    conversion.add(PAIRED).add(SINGLE)
    statuses = conversion.run("--threads", "2")
    for run, count in layouts.items():
        assert statuses[run].ok and statuses[run].source == "sra"
        assert statuses[run].spots == str(world.archives[run].spots)
        assert statuses[run].layout == ("paired" if count == 2 else "single")
        names = [f"{run}_1", f"{run}_2"] if count == 2 else [run]
        for name in names:
            assert reads(conversion.folder / f"fastq/{name}.fastq.gz") == ena_reads(world, name)
    assert sorted(layouts.values()) == [1, 2]
    assert len(conversion.files()) == 3


def test_the_folder_may_have_any_name(tmp_path, world, monkeypatch):
    folder = tmp_path / "größe_細胞"  # 6 more bytes than letters: fasterq-dump cuts them from the names of its files
    folder.mkdir()
    monkeypatch.chdir(folder)
    conversion = Conversion(folder, world).add(PAIRED)
    assert conversion.run()[PAIRED].ok
    assert conversion.files() == [f"{PAIRED}_1.fastq.gz", f"{PAIRED}_2.fastq.gz"]
    assert reads(folder / f"fastq/{PAIRED}_2.fastq.gz") == ena_reads(world, f"{PAIRED}_2")


def test_reads_that_lost_their_mate_are_kept_apart(conversion, world):
    assert ORPHAN_RUN in world.experiments[ORPHANS].runs
    status = conversion.add(ORPHAN_RUN).run()[ORPHAN_RUN]
    assert status.ok and status.layout == "paired"
    assert conversion.files() == [f"{ORPHAN_RUN}.fastq.gz", f"{ORPHAN_RUN}_1.fastq.gz", f"{ORPHAN_RUN}_2.fastq.gz"]
    assert len(reads(conversion.folder / f"fastq/{ORPHAN_RUN}.fastq.gz")) == 12
    mates = len(reads(conversion.folder / f"fastq/{ORPHAN_RUN}_1.fastq.gz"))
    assert mates + 12 == world.archives[ORPHAN_RUN].spots


def test_an_empty_cell_is_an_empty_file(conversion, world):
    assert EMPTY_RUN in world.experiments[EMPTY].runs
    status = conversion.add(EMPTY_RUN, layout="paired").run()[EMPTY_RUN]
    assert status.ok and status.spots == "0" and status.layout == ""
    assert conversion.files() == [f"{EMPTY_RUN}.fastq"]
    assert (conversion.folder / f"fastq/{EMPTY_RUN}.fastq").read_bytes() == b""


def test_an_empty_library_is_reported(conversion):
    status = conversion.add(EMPTY_RUN, assay="droplet").add(V2, assay="droplet").run()[EMPTY_RUN]
    assert status[1:4] == ("left_out", "EMPTY_READS", "the archive and the record have no spot.")
    assert conversion.files() == [f"{V2}_1.fastq.gz", f"{V2}_2.fastq.gz"]


def test_technical_reads_of_a_library_are_kept(conversion, world):
    assert V3 in world.experiments[LIBRARY_V3].runs and world.archives[V3].read_types.count("T") == 2
    status = conversion.add(V3, assay="droplet").run("--threads", "2")[V3]
    assert status.ok and status.spots == str(world.archives[V3].spots) and status.layout == ""
    assert conversion.files() == [f"{V3}_1.fastq.gz", f"{V3}_2.fastq.gz", f"{V3}_3.fastq.gz"]
    for number, (count, length, _) in enumerate(world.archives[V3].reads, 1):
        made = reads(conversion.folder / f"fastq/{V3}_{number}.fastq.gz")
        assert len(made) == count
        assert {len(bases) for bases, _ in made} == {int(length)}


def test_two_biological_reads_of_a_library(conversion, world):
    assert V2 in world.experiments[LIBRARY_V2].runs
    assert conversion.add(V2, assay="droplet").run()[V2].ok
    assert conversion.files() == [f"{V2}_1.fastq.gz", f"{V2}_2.fastq.gz"]


def test_a_library_of_one_read_has_its_number(conversion):
    assert conversion.add(SINGLE, assay="droplet", read_roles="cdna").run()[SINGLE].ok
    assert conversion.files() == [f"{SINGLE}_1.fastq.gz"]


def test_reads_in_two_archives_are_joined_by_the_names_of_their_spots(conversion, tmp_path):
    dice = random.Random(7)
    made = {}
    for number, length in ((1, 28), (2, 91)):
        made[number] = [Read("".join(dice.choices("ACGT", k=length)), "F" * length) for _ in range(20)]
        file = tmp_path / f"{number}.fastq"
        file.write_text(archives.fastq_text(enumerate(made[number]), number))
        database = tmp_path / f"database{number}"
        archives._run(["latf-load", "--quality", "PHRED_33", "-p", "ILLUMINA", "-o", database, file], tmp_path)
        archives._run(["kar", "-c", tmp_path / f"{number}.sra", "-d", database], tmp_path)
        conversion.add(f"SRR{number}", assay="droplet", archive=tmp_path / f"{number}.sra", spots="20")
    statuses = conversion.run()
    assert [(status.state, status.read_roles) for status in statuses.values()] == [("ok", ""), ("joined", "none,cdna")]
    assert statuses["SRR1"].detail == "The other read of its spots is SRR2; joined by name."
    assert conversion.files() == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"]
    for number, name in ((1, "SRR1_1"), (2, "SRR1_2")):
        found = reads(conversion.folder / f"fastq/{name}.fastq.gz")
        assert found == [(read.sequence, read.quality) for read in made[number]]
    assert conversion.text("SRR1_2.fastq.gz").startswith("@SRR1.1 NS500:1:HTOYXBGX:1:1101:1000:1000\n")


def test_another_number_of_spots_than_in_the_record_is_reported(conversion, world):
    spots = world.archives[SINGLE].spots
    conversion.add(SINGLE, spots="9999").add(PAIRED, spots="")
    conversion.failed(SINGLE, "READS_MISSING", f"the record has 9,999 spots, {spots:,} were read from the archive.")
    assert read_statuses("fastq/status.tsv")[PAIRED].ok


@pytest.mark.parametrize(("spots", "words"), [("", "archive has {}"), ("0", "record has no")])
def test_the_archive_says_how_many_spots_it_has(conversion, tmp_path, monkeypatch, world, spots, words):
    made = world.archives[SINGLE].spots
    wrap_fastq_dump(monkeypatch, tmp_path, "--maxSpotId 7")
    status = conversion.add(SINGLE, spots=spots).run()[SINGLE]
    assert status.reason == "READS_MISSING" and status.detail.startswith(f"the {words.format(f'{made:,}')} spots, ")


def loaded(folder, run, spots, read_types="BB"):
    dice = random.Random(run)

    def read(length):
        bases = "".join(dice.choices("ACGT", k=length))
        return Read(bases, "".join(dice.choices("#-7AF", k=length))) if length else None

    path = folder / f"{run}.sra"
    archives.load(path, [tuple(read(length) for length in lengths) for lengths in spots], read_types)
    return path


def test_most_mates_missing_is_no_layout(conversion, tmp_path):
    path = loaded(tmp_path, "SRR1", [(60, 60)] * 30 + [(60, 0)] * 70)
    conversion.add("SRR1", archive=path)
    detail = "most mates are missing: 30 of 100 spots are pairs, 70 lost one."
    conversion.failed("SRR1", "READS_MISSING", detail)


def test_a_library_whose_reads_are_not_in_step_is_reported(conversion, tmp_path):
    path = loaded(tmp_path, "SRR1", [(28, 90)] * 98 + [(28, 0)] * 2)
    conversion.add("SRR1", assay="droplet", archive=path)
    conversion.failed("SRR1", "READS_MISSING", "the reads do not agree: 100, 98 of 100 spots.")


@pytest.mark.parametrize("lost", [(28, 0), (0, 90)])
def test_a_spot_of_a_library_that_lacks_a_read_is_dropped(conversion, tmp_path, lost):
    whole = loaded(tmp_path, "SRR1", [(28, 90)] * 30)
    path = loaded(tmp_path, "SRR2", [*[(28, 90)] * 12, lost, *[(28, 90)] * 17])
    conversion.add("SRR2", assay="droplet", archive=path, spots="30").add("SRR1", assay="droplet", archive=whole)
    statuses = conversion.run()
    assert (statuses["SRR2"].state, statuses["SRR2"].spots) == ("ok", "29")
    assert statuses["SRR2"].detail == "1 of 30 spots lack a read and are dropped."
    assert (statuses["SRR1"].spots, statuses["SRR1"].detail) == ("30", "")
    heads = [conversion.text(f"SRR2_{number}.fastq.gz").splitlines()[::4] for number in (1, 2)]
    assert heads[0] == heads[1] and len({*heads[0]}) == 29
    for number, length in ((1, 28), (2, 90)):
        assert [len(bases) for bases, _ in reads(conversion.folder / f"fastq/SRR2_{number}.fastq.gz")] == [length] * 29


def test_no_spot_is_dropped_where_none_may_be(conversion, tmp_path):
    path = loaded(tmp_path, "SRR1", [(28, 90)] * 99 + [(28, 0)])
    conversion.add("SRR1", assay="droplet", archive=path)
    conversion.failed("SRR1", "READS_MISSING", "the reads do not agree: 100, 99 of 100 spots.", "--max-dropped", "0")


@pytest.mark.parametrize(
    ("lengths", "roles", "layout", "kept"),
    [
        ((8, 75, 70), "", "paired", {"_1": 75, "_2": 70}),
        ((75, 8, 10), "", "single", {"": 75}),
        ((40, 75, 70), "index,cdna,cdna2", "paired", {"_1": 75, "_2": 70}),
    ],
)
def test_index_reads_of_a_plate_run_go(conversion, tmp_path, lengths, roles, layout, kept):
    dice = random.Random(3)
    spots = [tuple(Read("".join(dice.choices("ACGT", k=n)), "F" * n) for n in lengths) for _ in range(20)]
    three_reads(tmp_path / "three.sra", spots)
    conversion.add("SRR1", archive=tmp_path / "three.sra", read_roles=roles)
    status = conversion.run()["SRR1"]
    assert status.ok and status.layout == layout
    assert {name: len(reads(conversion.folder / f"fastq/SRR1{name}.fastq.gz")[0][0]) for name in kept} == kept
    assert len(conversion.files()) == len(kept)


def three_reads(path, spots):
    """Pack three biological reads a spot, which the loader of the toy world leaves to technical ones."""
    folder = path.parent / "three"
    folder.mkdir()
    files = []
    for number in range(3):
        file = folder / f"{number + 1}.fastq"
        file.write_text(archives.fastq_text(((at, spot[number]) for at, spot in enumerate(spots)), number + 1))
        files.append(file)
    archives._load_typed(folder / "database", files, "BBB")
    archives._run(["kar", "-c", path, "-d", folder / "database"], folder)


def test_three_long_reads_of_a_plate_run_are_ambiguous(conversion, tmp_path):
    spots = [tuple(Read("ACGT" * 15, "F" * 60) for _ in range(3))] * 5
    three_reads(tmp_path / "three.sra", spots)
    conversion.add("SRR1", archive=tmp_path / "three.sra")
    detail = "a plate run with 3 reads a spot, of 60, 60, 60 bases."
    conversion.failed("SRR1", "LAYOUT_AMBIGUOUS", detail)


def test_a_text_cut_off_behind_an_exit_status_of_0_is_found(conversion, tmp_path, monkeypatch):
    wrap_fastq_dump(monkeypatch, tmp_path, "| head -c -30")
    conversion.add(SINGLE)
    conversion.failed(SINGLE, "READS_MISSING", "what fastq-dump prints is cut off: its last read is not whole.")


def test_whole_reads_lost_behind_an_exit_status_of_0_are_found(conversion, tmp_path, monkeypatch, world):
    wrap_fastq_dump(monkeypatch, tmp_path, "| tail -n +5")
    spots = world.archives[V2].spots
    conversion.add(V2, assay="droplet")
    words = f"the reads do not agree: {spots - 1:,}, {spots:,} of {spots:,} spots."
    conversion.failed(V2, "READS_MISSING", words, "--max-dropped", "0")


def test_spots_lost_behind_an_exit_status_of_0_are_found(conversion, tmp_path, monkeypatch, world):
    spots = world.archives[V2].spots
    wrap_fastq_dump(monkeypatch, tmp_path, "--maxSpotId 7")
    conversion.add(V2, assay="droplet")
    conversion.failed(V2, "READS_MISSING", f"the record has {spots:,} spots, 7 were read from the archive.")


def test_nothing_written_behind_an_exit_status_of_0_is_found(conversion, tmp_path, monkeypatch, world):
    wrap_fastq_dump(monkeypatch, tmp_path, "| true", "0")
    status = conversion.add(SINGLE).run()[SINGLE]
    assert status.reason == "READS_MISSING"


def test_a_failing_conversion_is_reported(conversion, tmp_path, monkeypatch):
    then = '&& echo "2026-01-01T00:00:00 fastq-dump.3.0.3 err: column is odd" >&2'
    wrap_fastq_dump(monkeypatch, tmp_path, then, "3")
    conversion.add(SINGLE)
    conversion.failed(SINGLE, "ARCHIVE_CORRUPT", "fastq-dump failed: column is odd.")


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def local(conversion, source, contents, **changes):
    for name, content in contents.items():
        path = conversion.folder / name
        path.write_bytes(PACKERS.get(path.suffix, bytes)(content.encode()))
    return conversion.add("SRR1", status=RunStatus("SRR1", source=source), source=source, **changes)


def test_local_pairs_plain_and_gzipped(conversion):
    local(conversion, "file:one.fastq;two.fastq.gz", {"one.fastq": FIRST, "two.fastq.gz": SECOND}, layout="paired")
    status = conversion.run()["SRR1"]
    assert status.ok and (status.spots, status.layout, status.source) == ("2", "", "file:one.fastq;two.fastq.gz")
    assert (conversion.folder / "fastq/SRR1_1.fastq").read_text() == FIRST
    assert (conversion.folder / "fastq/SRR1_1.fastq").readlink() == conversion.folder / "one.fastq"
    assert (conversion.folder / "fastq/SRR1_2.fastq.gz").readlink() == conversion.folder / "two.fastq.gz"
    assert conversion.text("SRR1_2.fastq.gz") == SECOND


def test_local_single_reads_and_a_local_library(conversion):
    local(conversion, "file:one.fastq", {"one.fastq": FIRST})
    assert conversion.run()["SRR1"].layout == "single"
    assert conversion.files() == ["SRR1.fastq"]


BY_TURNS = "".join(
    "".join(lines[at : at + 4]) for at in (0, 4) for lines in (FIRST.splitlines(True), SECOND.splitlines(True))
)


@pytest.mark.parametrize("name", ["all.fastq", "all.fastq.gz", "all.fq.bz2"])
def test_an_interleaved_local_file_becomes_two(conversion, name):
    local(conversion, f"file:{name}", {name: BY_TURNS})
    status = conversion.run()["SRR1"]
    assert status.ok and (status.spots, status.layout) == ("2", "paired")
    assert conversion.files() == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"]
    assert [conversion.text(name) for name in conversion.files()] == [FIRST, SECOND]


@pytest.mark.parametrize("changes", [{"layout": "single"}, {"read_roles": "cdna"}, {"assay": "droplet"}])
def test_an_interleaved_file_that_is_said_to_be_single_is_refused(conversion, changes):
    local(conversion, "file:1", {"1": BY_TURNS}, **changes)
    words = "1 has both mates of each of its 2 pairs by turns (interleaved), but is given as single reads"
    conversion.failed("SRR1", "MATES_DISAGREE", f"{words}; split it into two files.")


def test_a_local_library(conversion):
    contents = {"i.fastq": "@a\nA\n+\nF\n@b\nA\n+\nF\n", "one.fastq": FIRST, "two.fastq": SECOND}
    local(conversion, "file:i.fastq;one.fastq;two.fastq", contents, assay="droplet")
    assert conversion.run()["SRR1"].spots == "2"
    assert conversion.files() == ["SRR1_1.fastq", "SRR1_2.fastq", "SRR1_3.fastq"]


@pytest.mark.parametrize(
    ("contents", "changes", "reason", "detail"),
    [
        ({"1": FIRST, "2": SECOND[:14]}, {}, "READS_MISSING", "the files do not agree: 2, 1 reads."),
        ({"1": FIRST, "2": SECOND}, {"spots": "7"}, "READS_MISSING", "the plan has 7 spots, the files 2."),
        ({"1": FIRST, "2": ""}, {}, "READS_MISSING", "the files do not agree: 2, 0 reads."),
        ({"1": "", "2.gz": ""}, {}, "EMPTY_READS", "no read in 1;2.gz."),
        ({"1": ""}, {}, "EMPTY_READS", "no read in 1."),
        ({"1": FIRST}, {"source": "file:1;1"}, "MATES_DISAGREE", "1 is given twice; a pair has two files."),
        (
            {"1": FIRST, "2.gz": SECOND.replace("@b", "@c")},
            {},
            "MATES_DISAGREE",
            "pair 2 is called 'b/1' in 1, but 'c/2' in 2.gz: these are not the reads of the same spots in the same"
            " order.",
        ),
        (
            {"1": FIRST, "2": SECOND.replace("@b", "@c")},
            {"assay": "droplet"},
            "MATES_DISAGREE",
            "pair 2 is called 'b/1' in 1, but 'c/2' in 2: these are not the reads of the same spots in the same order.",
        ),
        ({"1": FIRST, "2": "hello"}, {}, "READS_MISSING", "2 is not FASTQ."),
        (
            {"1": FIRST, "2": SECOND[:-3]},
            {},
            "READS_MISSING",
            "2 is cut off: its last read, number 2, is not whole.",
        ),
    ],
)
def test_local_files_that_do_not_fit_are_reported(conversion, contents, changes, reason, detail):
    local(conversion, changes.pop("source", "file:" + ";".join(contents)), contents, **changes)
    if reason == "EMPTY_READS":
        assert conversion.run()["SRR1"][1:4] == ("left_out", reason, detail)
    else:
        conversion.failed("SRR1", reason, detail)


def test_a_spot_of_local_files_that_lacks_a_read_is_dropped(conversion):
    heads = [f"@A:1:{spot}" for spot in range(50)]
    contents = {
        "1": "".join(f"{head} 1:N:0\nACGT\n+\nFFFF\n" for head in heads),
        "2.gz": "".join(f"{head} 2:N:0\nTTT\n+\nFFF\n" for spot, head in enumerate(heads) if spot != 7),
    }
    local(conversion, "file:1;2.gz", contents, assay="droplet", spots="50")
    status = conversion.run()["SRR1"]
    assert (status.state, status.spots, status.detail) == ("ok", "49", "1 of 50 spots lack a read and are dropped.")
    names = [[line.split()[0] for line in conversion.text(f"SRR1_{n}.fastq.gz").splitlines()[::4]] for n in (1, 2)]
    assert names[0] == names[1] == [head for spot, head in enumerate(heads) if spot != 7]
    assert (conversion.folder / "1").read_text() == contents["1"]


def test_a_spot_of_local_files_with_a_read_of_no_base_is_dropped(conversion):
    reads_of = [f"@{spot}\n{'ACGT' if spot != 7 else ''}\n+\n{'FFFF' if spot != 7 else ''}\n" for spot in range(50)]
    second = "".join(f"@{spot}\nTTT\n+\nFFF\n" for spot in range(50))
    local(conversion, "file:1;2", {"1": "".join(reads_of), "2": second}, assay="droplet", spots="50")
    status = conversion.run()["SRR1"]
    assert (status.state, status.spots, status.detail) == ("ok", "49", "1 of 50 spots lack a read and are dropped.")
    assert conversion.text("SRR1_1.fastq.gz") == "".join(reads_of[:7] + reads_of[8:])
    assert conversion.text("SRR1_2.fastq.gz").splitlines()[::4] == [f"@{spot}" for spot in range(50) if spot != 7]


def test_lanes_that_are_crossed_over_are_reported(conversion):
    """Barcodes of one lane with the cDNA of the other, as many reads each."""
    reads_of = {
        (lane, mate): "".join(f"@A:1:F:{lane}:{spot} {mate}:N:0\nACGT\n+\nFFFF\n" for spot in range(30))
        for lane in (1, 2)
        for mate in (1, 2)
    }
    local(conversion, "file:1;2", {"1": reads_of[1, 1], "2": reads_of[2, 2]}, assay="droplet")
    words = "pair 1 is called 'A:1:F:1:0' in 1, but 'A:1:F:2:0' in 2: these are not the reads of the same spots in the"
    conversion.failed("SRR1", "MATES_DISAGREE", f"{words} same order.")


@pytest.mark.parametrize("unpaired, state", [(1, "ok"), (2, "failed")])
def test_spots_of_ena_that_lack_a_read_are_dropped(conversion, unpaired, state):
    files = {
        "SRR1_1": [(spot, "ACGTAC") for spot in range(1, 21)],
        "SRR1_2": [(spot, "TTT") for spot in range(1, 21)],
        "SRR1": [(spot, "GGGG") for spot in range(21, 21 + unpaired)],
    }
    for name, made in files.items():
        text = "".join(f"@SRR1.{spot} {spot}\n{bases}\n+\n{'F' * len(bases)}\n" for spot, bases in made)
        (conversion.folder / f"archives/{name}.fastq.gz").write_bytes(gzip.compress(text.encode()))
    status = RunStatus("SRR1", source="ena_fastq")
    after = conversion.add("SRR1", status=status, spots=str(20 + unpaired), assay="droplet").run()["SRR1"]
    assert after.state == state
    if state == "ok":
        assert (after.spots, after.detail) == ("20", "1 of 21 spots lack a read and are dropped.")
        assert conversion.files() == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"]
    else:
        assert (after.reason, after.detail) == ("READS_MISSING", "2 of 22 spots lack a read.")


def test_local_files_that_star_would_refuse_are_mended(conversion):
    contents = {"one.fastq": FIRST.replace("\n", "\r\n"), "two.fastq.bz2": SECOND[:-1], "three.fastq.xz": ""}
    contents["three.fastq.xz"] = SECOND.replace("TTT", "ACA") + "\n"
    local(conversion, "file:one.fastq;two.fastq.bz2;three.fastq.xz", contents, assay="droplet")
    assert conversion.run()["SRR1"].spots == "2"
    made = [FIRST, SECOND, SECOND.replace("TTT", "ACA")]
    for number, text in enumerate(made, 1):
        assert conversion.text(f"SRR1_{number}.fastq.gz") == text
    assert (conversion.folder / "one.fastq").read_bytes() == contents["one.fastq"].encode()


def ena_fastq(conversion, second, **changes):
    """A run of two spots whose download left ENA's FASTQ."""
    for mate, text in ((1, "@SRR1.1 a/1\nACGTAC\n+\nFFFFFF\n@SRR1.2 b/1\nACGTAA\n+\nFFFFF#\n"), (2, second)):
        (conversion.folder / f"archives/SRR1_{mate}.fastq.gz").write_bytes(gzip.compress(text.encode()))
    return conversion.add("SRR1", status=RunStatus("SRR1", source="ena_fastq"), spots="2", **changes)


@pytest.mark.parametrize("assay", ["plate", "droplet"])
def test_mates_of_ena_are_compared(conversion, assay):
    ena_fastq(conversion, "@SRR1.1 a/2\nTTT\n+\n:::\n@SRR1.3 c/2\nTTA\n+\n::,\n", assay=assay)
    words = (
        "pair 2 is called 'SRR1.2' in SRR1_1.fastq, but 'SRR1.3' in SRR1_2.fastq: these are not the reads of the same"
    )
    conversion.failed("SRR1", "MATES_DISAGREE", f"{words} spots in the same order.")


def test_mates_of_ena_that_agree_are_converted(conversion):
    second = "@SRR1.1 a/2\nTTT\n+\n:::\n@SRR1.2 b/2\nTTA\n+\n::,\n"
    assert ena_fastq(conversion, second).run()["SRR1"].spots == "2"
    assert conversion.text("SRR1_2.fastq.gz") == second
    path = conversion.folder / "fastq/SRR1_2.fastq.gz"
    assert path.samefile(conversion.folder / "archives/SRR1_2.fastq.gz") and not path.is_symlink()


def cell_ranger_bam(path, spots):
    """Write (barcode and UMI, cDNA) as Cell Ranger keeps them; return what the two FASTQ files must hold."""
    header = {"HD": {"VN": "1.4"}, "SQ": [{"SN": "chr1", "LN": 10000}]}
    header["CO"] = ["10x_bam_to_fastq:R1(CR:CY,UR:UY)", "10x_bam_to_fastq:R2(SEQ:QUAL)"]
    with pysam.AlignmentFile(str(path), "wb", header=header) as handle:
        for number, ((bases, qualities), (cdna, cdna_qualities)) in enumerate(spots):
            made = pysam.AlignedSegment()
            made.query_name, made.query_sequence, made.flag = f"r{number}", cdna, 4
            made.query_qualities = pysam.qualitystring_to_array(cdna_qualities)
            tags = {"CR": bases[:16], "CY": qualities[:16], "UR": bases[16:], "UY": qualities[16:]}
            made.set_tags([(tag, value, "Z") for tag, value in tags.items()])
            handle.write(made)
    return path


def random_reads(number, length):
    dice = random.Random(length)
    return [("".join(dice.choices("ACGT", k=length)), "".join(dice.choices("#5?I", k=length))) for _ in range(number)]


@pytest.mark.parametrize("how", ["bam", "file"])
def test_lost_barcodes_are_taken_from_the_bam(conversion, how):
    spots = list(zip(random_reads(50, 28), random_reads(50, 90), strict=True))
    bam = cell_ranger_bam(conversion.folder / "x.bam", spots)
    if how == "bam":
        conversion.add("SRR1", assay="droplet", source="bam", spots="50")
        bam.rename(conversion.folder / "archives/SRR1.bam")
    else:
        conversion.add("SRR1", assay="droplet", source="file:x.bam")
    status = conversion.run()["SRR1"]
    assert status.ok and status.spots == "50"
    assert conversion.files() == ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"]
    assert reads(conversion.folder / "fastq/SRR1_1.fastq.gz") == [first for first, _ in spots]
    assert reads(conversion.folder / "fastq/SRR1_2.fastq.gz") == [second for _, second in spots]


def test_a_bam_with_fewer_spots_than_the_record_is_reported(conversion):
    cell_ranger_bam(conversion.folder / "x.bam", list(zip(random_reads(5, 28), random_reads(5, 90), strict=True)))
    conversion.add("SRR1", assay="droplet", source="file:x.bam", spots="6")
    conversion.failed("SRR1", "READS_MISSING", "the record has 6 spots, the BAM file 5.")


def test_a_bam_is_no_source_of_a_plate_run(conversion):
    cell_ranger_bam(conversion.folder / "x.bam", list(zip(random_reads(5, 28), random_reads(5, 90), strict=True)))
    conversion.add("SRR1", source="file:x.bam")
    detail = "a BAM file is no source of a plate run; convert it to FASTQ first."
    conversion.failed("SRR1", "LAYOUT_AMBIGUOUS", detail)


@pytest.mark.parametrize("paired", [True, False])
def test_a_bam_that_was_submitted_is_a_source_of_a_plate_run(conversion, paired):
    """Mates in the order of their positions, half of them on the other strand, and a second alignment."""
    first, second = random_reads(6, 30), random_reads(6, 31)
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 1000}]}
    complement = str.maketrans("ACGT", "TGCA")
    with pysam.AlignmentFile("archives/SRR1.bam", "wb", header=header) as handle:
        for flag, mates in ((0x40, first), (0x80, second)) if paired else ((0, first),):
            for number, (bases, qualities) in enumerate(mates):
                for further in (0, 0x100) if number == 3 else (0,):
                    record = pysam.AlignedSegment()
                    back = 0x10 * (number % 2)
                    record.query_name = f"M1:{number}"
                    record.query_sequence = bases.translate(complement)[::-1] if back else bases
                    record.query_qualities = pysam.qualitystring_to_array(qualities[::-1] if back else qualities)
                    record.flag = flag | back | further | (paired and 1)
                    record.reference_id, record.reference_start = 0, number
                    record.cigartuples = [(0, len(bases))]
                    handle.write(record)
    conversion.add("SRR1", spots="6", status=RunStatus("SRR1", source="submitted"))
    status = conversion.run()["SRR1"]
    assert (status.state, status.source, status.layout) == ("ok", "submitted", "paired" if paired else "single")
    names = ["SRR1_1.fastq.gz", "SRR1_2.fastq.gz"] if paired else ["SRR1.fastq.gz"]
    assert conversion.files() == names
    found = [reads(conversion.folder / "fastq" / name) for name in names]
    assert sorted(zip(*found, strict=True)) == sorted(zip(*[first, second][: len(names)], strict=True))


def test_names_of_the_archive_are_kept_where_runs_may_be_parts(conversion):
    conversion.add(PAIRED).add(V2, assay="droplet").add(EMPTY_RUN, assay="droplet").run()
    for name, end in ((f"{PAIRED}_2", ""), (f"{V2}_2", " {}")):
        lines = conversion.text(f"{name}.fastq.gz").splitlines()
        run = name.partition("_")[0]
        assert set(lines[2::4]) == {"+"}
        assert lines[::4] == [f"@{run}.{number}{end.format(number)}" for number in range(1, len(lines) // 4 + 1)]
