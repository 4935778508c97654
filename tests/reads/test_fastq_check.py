"""FASTQ files read through side by side: the first pair that differs, and files that STAR would refuse."""

import gzip

import pytest

from scripts.core.errors import RunFault
from scripts.formats import fastq_files
from scripts.reads import fastq_check
from scripts.reads.fastq_check import check_files, check_single, mend, split_mates

NAMES = [f"A:1:{number}" for number in range(100, 1100)]
NUMBERED = [f"SRR1.{number}" for number in range(1, 1001)]


def fastq(names, mate, comment="", end="\n"):
    """Return a read a name; the bases count it and the mate."""
    bases = [f"{number:012b}".replace("0", "AC"[mate - 1]).replace("1", "GT"[mate - 1]) for number in range(len(names))]
    reads = zip(names, bases, strict=True)
    return "".join(f"@{name}{comment}{end}{read}{end}+{end}{'I' * len(read)}{end}" for name, read in reads)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(fastq_check, "_PIECE", 700)


@pytest.fixture
def check(tmp_path):
    def write_and_check(*contents, paired=True):
        paths = [tmp_path / f"{number}.fastq" for number in range(1, len(contents) + 1)]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if len(paths) == 1:
            return check_single(paths[0], paths[0].name)
        return check_files(paths, [path.name for path in paths], paired)

    return write_and_check


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fastq(NAMES, 1), fastq(NAMES, 2)),
        (fastq(NAMES, 1, "/1"), fastq(NAMES, 2, "/2")),
        (fastq(NAMES, 1, " 1:N:0:ACGT"), fastq(NAMES, 2, " 2:N:0:ACGT")),
        (fastq(NAMES, 1, " length=28"), fastq(NAMES, 2, "\tlength=91")),
        (fastq(NAMES, 1, ".1 x"), fastq(NAMES, 2, ".2 x")),
        (fastq(NAMES, 1, "/2"), fastq(NAMES, 2, "")),
        (fastq(NAMES[:1], 1, ".1"), fastq(NAMES[:1], 2, ".2")),
        (fastq(NUMBERED, 1, ".1 x"), fastq(NUMBERED, 2, ".2 x")),
        (fastq(NUMBERED, 1, "/1"), fastq(NUMBERED, 2, "/2")),
        (fastq([f"{number}/{number}" for number in range(9)], 1, "/1"), fastq([f"{n}/{n}" for n in range(9)], 2, "/2")),
        (fastq(NAMES, 1, "/1"), fastq(NAMES, 2, "/3")),
        (fastq(NAMES, 1, "_1"), fastq(NAMES, 2, "_2")),
        (fastq(NAMES, 1, "/R1 x"), fastq(NAMES, 2, "/R2")),
        (fastq(NAMES, 1, "/f"), fastq(NAMES, 2, "/r")),
        ("", ""),
    ],
)
def test_mates_of_every_writer_agree(check, one, other):
    reads = one.count("\n") // 4
    bases = 12 * reads  # see fastq()
    assert check(one, other) == [(reads, False, bases)] * 2


SHUFFLED = [*NAMES[:700], NAMES[701], NAMES[700], *NAMES[702:]]


@pytest.mark.parametrize(
    ("one", "other", "number", "names"),
    [
        (fastq(NAMES, 1, "/1"), fastq(SHUFFLED, 2, "/2"), "701", ("A:1:800/1", "A:1:801/2")),
        (fastq(NAMES[:-1], 1), fastq(NAMES[1:], 2), "1", ("A:1:100", "A:1:101")),
        (fastq(NAMES, 1, " 1:N"), fastq(["B" + name for name in NAMES], 2, " 2:N"), "1", ("A:1:100", "BA:1:100")),
        (fastq(NAMES, 1), fastq([*NAMES[:5], *NAMES[4:]], 2), "6", ("A:1:105", "A:1:104")),
        (fastq(NUMBERED[:-1], 1), fastq(NUMBERED[1:], 2), "1", ("SRR1.1", "SRR1.2")),
        (fastq(NAMES, 1, ".1"), fastq(SHUFFLED, 2, ".2"), "701", ("A:1:800.1", "A:1:801.2")),
        (fastq(NAMES, 1, "_R1"), fastq(SHUFFLED, 2, "_R2"), "701", ("A:1:800_R1", "A:1:801_R2")),
    ],
)
def test_the_first_pair_that_differs_is_named(check, one, other, number, names):
    with pytest.raises(RunFault) as fault:
        check(one, other)
    assert str(fault.value) == (
        f"MATES_DISAGREE: pair {number} is called {names[0]!r} in 1.fastq, but {names[1]!r} in 2.fastq: these are not"
        " the reads of the same spots in the same order."
    )


def test_files_of_a_library_are_all_compared(check):
    with pytest.raises(RunFault, match=r"pair 701 is called 'A:1:800' in 1.fastq, but 'A:1:801' in 3\.fastq"):
        check(fastq(NAMES, 1), fastq(NAMES, 2), fastq(SHUFFLED, 2), paired=False)


def test_a_file_given_twice_is_recognised(check, tmp_path):
    for comments in (("", ""), ("/1", "/2"), (" 1:N", " 2:N")):
        with pytest.raises(RunFault, match=r"MATES_DISAGREE: 1.fastq and 2.fastq have the same reads: one file is giv"):
            check(*(fastq(NAMES, 1, comment) for comment in comments))
    path = tmp_path / "1.fastq"
    with pytest.raises(RunFault, match=r"MATES_DISAGREE: a is given twice; a pair has two files\."):
        check_files([path, path], ["a", "b"])


@pytest.mark.parametrize("marks", [("", ""), ("/1", "/2"), (" 1:N", " 2:N"), (".1", ".2"), ("/f", "/r")])
@pytest.mark.parametrize("pairs", [3, 1000])
@pytest.mark.parametrize("names", [NAMES, NUMBERED])
def test_an_interleaved_file_is_recognised(check, tmp_path, names, marks, pairs):
    mates = [fastq(names[:pairs], mate, marks[mate - 1]).splitlines(True) for mate in (1, 2)]
    turns = "".join("".join(lines[at : at + 4]) for at in range(0, 4 * pairs, 4) for lines in mates)
    with pytest.raises(RunFault) as fault:
        check(turns)
    assert str(fault.value) == (
        f"MATES_DISAGREE: 1.fastq has both mates of each of its {pairs:,} pairs by turns (interleaved), but is given as"
        " single reads; split it into two files."
    )
    targets = tmp_path / "R1.gz", tmp_path / "R2.gz"
    split_mates(tmp_path / "1.fastq", "1.fastq", targets)
    assert [gzip.decompress(path.read_bytes()).decode().splitlines(True) for path in targets] == mates
    with pytest.raises(RunFault, match=r"DISK_LIMIT: 1.fastq has more than"):
        split_mates(tmp_path / "1.fastq", "1.fastq", targets, 5)
    lone = fastq(["lone"], 1, marks[0])
    middle = "".join(turns.splitlines(True)[: pairs // 2 * 8])
    for text, number in (
        (turns + lone, 2 * pairs + 1),
        (lone + turns, 1),
        (middle + lone + turns[len(middle) :], None),
    ):
        words = (
            f"MATES_DISAGREE: 1.fastq has both mates of {pairs:,} pairs by turns (interleaved), but read"
            f" {number or pairs // 2 * 2 + 1:,}, 'lone{marks[0].split(' ')[0]}', has no mate beside it; give the"
            " pairs in two files, and reads without a mate as a run of their own."
        )
        with pytest.raises(RunFault) as fault:
            check(text)
        assert (type(fault.value), str(fault.value)) == (RunFault, words)


@pytest.mark.parametrize("marks", [("", ""), ("/1", "/2"), (" 1:N", " 2:N")])
@pytest.mark.parametrize("names", [NAMES, NUMBERED, NAMES[:2]])
def test_two_files_in_one_are_recognised(check, names, marks):
    one, other = (fastq(names, mate, marks[mate - 1]) for mate in (1, 2))
    with pytest.raises(RunFault) as fault:
        check(one + other)
    assert str(fault.value) == (
        f"MATES_DISAGREE: 1.fastq: the names of its first {len(names):,} reads come twice: it is two files in one, but"
        " is given as single reads; split it into the two files."
    )
    assert check(one + other + fastq(["last"], 1)).reads == 2 * len(names) + 1
    assert check(one, other)[0].reads == len(names)


def test_u_is_mended_and_what_is_no_base_is_refused(check, tmp_path):
    plain = "@a\nACGTNacgtnRYSWKMBDHVryswkmbdhv.\n+\n" + "U" * 31 + "\n"
    assert check(plain) == (1, False, 31)
    assert check(plain + "@U/1 u\nAUuN\n+\nUuUu\n") == (2, True, 35)
    mend(tmp_path / "1.fastq", "1.fastq", tmp_path / "mended")
    assert gzip.decompress((tmp_path / "mended").read_bytes()).decode() == plain + "@U/1 u\nATtN\n+\nUuUu\n"
    for sign in "-*0=J? ~":
        with pytest.raises(RunFault) as fault:
            check(plain + READS + f"@b\nAU{sign}U\n+\nIIII\n" + READS)
        assert str(fault.value) == (
            f"READS_MISSING: 1.fastq: read 1,002 has {sign!r} among its bases; the file is damaged."
        )


@pytest.mark.parametrize(
    "names", [NAMES, NUMBERED, NUMBERED[:2], ["r"] * 10, NAMES[:1], [], ["a", "a", "b", "c"], [" a", " b", " c", " d"]]
)
def test_single_reads_are_not_taken_for_interleaved_ones(check, names):
    assert check(fastq(names, 1))[:2] == (len(names), False)


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        (fastq(NAMES, 1)[:-1], "no line end"),
        (fastq(NAMES, 1, end="\r\n"), "CRLF"),
        (fastq(NAMES, 1, end="\r\n")[:-2], "CRLF without the last"),
        (fastq(NAMES, 1) + "\n", "a blank line"),
        (fastq(NAMES, 1) + "\r\n" * 5000, "blank lines"),
        (fastq(NAMES, 1) + "\n\n\n", "blank lines"),
    ],
)
def test_line_ends_are_mended(check, tmp_path, odd, name):
    assert check(odd, fastq(NAMES, 2)) == [(1000, True, 12_000), (1000, False, 12_000)]
    mend(tmp_path / "1.fastq", "1.fastq", tmp_path / "mended")
    assert gzip.decompress((tmp_path / "mended").read_bytes()).decode() == fastq(NAMES, 1)
    (tmp_path / "1.fastq.gz").write_bytes(gzip.compress(odd.encode()))
    assert fastq_files.count_reads(tmp_path / "1.fastq.gz") == 1000
    assert check_files([tmp_path / "1.fastq.gz", tmp_path / "2.fastq"], ["1", "2"])[0] == (1000, True, 12_000)


def test_a_broken_stream_is_named_as_the_user_calls_it(tmp_path):
    whole = gzip.compress(fastq(NAMES, 1).encode())
    (tmp_path / "1.fastq.gz").write_bytes(whole[:-9])
    with pytest.raises(RunFault, match=r"ARCHIVE_CORRUPT: my\.fq\.gz is a broken gzip file"):
        check_single(tmp_path / "1.fastq.gz", "my.fq.gz")


@pytest.mark.parametrize("size", [1, 7, 64, 5000])
@pytest.mark.parametrize("blank", range(10))
def test_blank_lines_at_the_end_in_pieces_of_any_size(check, tmp_path, monkeypatch, size, blank):
    monkeypatch.setattr(fastq_check, "_PIECE", size)
    text = fastq(NAMES[:5], 1)
    for end in ("\n", "\r\n"):
        assert check(text.replace("\n", end) + blank * end) == (5, bool(blank) or end == "\r\n", 60)
        mend(tmp_path / "1.fastq", "1.fastq", tmp_path / "mended")
        assert gzip.decompress((tmp_path / "mended").read_bytes()).decode() == text


def test_reads_of_no_base_and_long_names_are_mended(check, tmp_path):
    long = "n" * 300
    text = "@a/1 x\n\n+\n\n@{}/1\nAC\n+\nII\n@{}/1 x\nGC\n+\nIJ\n".format("m" * 254, long)
    assert check(text) == (3, True, 4)
    mend(tmp_path / "1.fastq", "1.fastq", tmp_path / "mended")
    cut = "n" * 252 + ".3"
    assert (
        gzip.decompress((tmp_path / "mended").read_bytes()).decode()
        == f"@a/1 x\nN\n+\n!\n@{'m' * 254}/1\nAC\n+\nII\n@{cut}\nGC\n+\nIJ\n"
    )
    assert check("@a\n\n+\n\n") == (1, True, 0)
    with pytest.raises(RunFault, match=r"DISK_LIMIT: 1.fastq has more than"):
        mend(tmp_path / "1.fastq", "1.fastq", tmp_path / "mended", 5)


def read(name, length):
    return f"@{name}\n{'A' * length}\n+\n{'I' * length}\n"


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([read("a", 649) + read("b", 650)], "1.fastq: read 2 has 650 bases"),
        (
            [read("a", 9) + read("b", 325), read("a", 9) + read("b", 325)[:-1].replace("A", "C") + "\n"],
            "1.fastq and 2.fastq: pair 2 has 650 bases",
        ),
    ],
)
def test_reads_that_star_cannot_align_are_refused(check, contents, words):
    with pytest.raises(RunFault) as fault:
        check(*contents)
    assert str(fault.value) == (f"CHEMISTRY_UNKNOWN: {words}; STAR aligns at most 649, long reads are not counted.")


def test_the_longest_reads_pass(check):
    assert check(read("a", 649)).reads == 1
    assert check(read("a", 324), read("a", 325))[0].reads == 1
    assert check(read("a", 28), read("a", 649), paired=False)[0].reads == 1


READS, READ = fastq(NAMES, 1), "1.fastq: read"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (fastq(NAMES, 1)[:-3], "1.fastq is cut off: its last read, number 1,000, is not whole."),
        (fastq(NAMES, 1)[:-30], "1.fastq is cut off: its last read, number 1,000, is not whole."),
        (fastq(NAMES, 1)[:-3] + "\n", "1.fastq: read 1,000 has 12 bases, but 10 qualities; the file is damaged."),
        ("@a\nA\n+\nI\n\n@b\nA\n+\nI\n", f"{READ} 2 begins with '' instead of '@'; the file is damaged."),
        (READS[:111] + "\n" * 4 + READS, f"{READ} 4 begins with '' instead of '@'; the file is damaged."),
        (READS + "junk\nA\n+\nI\n", f"{READ} 1,001 begins with 'j' instead of '@'; the file is damaged."),
        (READS.replace("\n", "\r"), "1.fastq has line ends of one CR; write it with LF."),
        (READS + "@a\nA\n-\nI\n", f"{READ} 1,001 has '-' instead of '+' in its third line; the file is damaged."),
    ],
)
def test_damaged_files_are_refused_with_the_read(check, text, words):
    with pytest.raises(RunFault) as fault:
        check(text)
    assert str(fault.value) == f"READS_MISSING: {words}"


def test_unequal_files_are_refused(check):
    with pytest.raises(RunFault, match=r"READS_MISSING: the files do not agree: 1,000, 999 reads\."):
        check(fastq(NAMES, 1), fastq(NAMES[:-1], 2))
    with pytest.raises(RunFault, match=r"READS_MISSING: the files do not agree: 0, 1,000 reads\."):
        check("", fastq(NAMES, 2))
