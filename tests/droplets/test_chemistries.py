"""Kits and inclusion lists: every fault of their files is told."""

import gzip
import hashlib
import random
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.droplets import inclusion_list
from scripts.droplets.chemistries import Segment, chemistry_named, read_chemistries
from scripts.droplets.inclusion_lists import content_digest, read_packed

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"


def test_kits_of_10x_are_where_10x_says():
    kits, lists = read_chemistries(CHEMISTRIES)
    places = {
        name: (kit.barcode[0].length, kit.umi_length, kit.strand, kit.barcode[0].list)
        for name, kit in kits.items()
        if name.startswith("10x") and not kit.refused
    }
    assert places == {
        "10x_3p_v1": (14, 10, "Forward", "737K-april-2014_rc"),
        "10x_3p_v2": (16, 10, "Forward", "737K-august-2016"),
        "10x_5p_v2": (16, 10, "Reverse", "737K-august-2016"),
        "10x_3p_v3": (16, 12, "Forward", "3M-february-2018"),
        "10x_3p_v4": (16, 12, "Forward", "3M-3pgex-may-2023"),
        "10x_5p_v3": (16, 12, "Reverse", "3M-5pgex-jan-2023"),
        "10x_multiome": (16, 12, "Forward", "737K-arc-v1"),
    }
    assert kits["10x_3p_v1"].umi_own_read
    assert (kits["10x_3p_v1"].read_end, kits["10x_3p_v2"].read_end, kits["split_seq"].read_end) == (14, 26, 94)
    assert lists["3M-february-2018"].barcodes == 6_794_880
    assert kits["drop_seq"].lists == ()
    assert kits["bd_rhapsody"].barcode[2] == Segment(44, 9, "bd-rhapsody-cls3")
    assert all(isinstance(value, str) and "_" in value for name, value in kits["indrops_v2"].solo if "position" in name)


def test_all_faults_of_the_file_are_told(tmp_path):
    path = tmp_path / "kits.yaml"
    path.write_text(
        """
lists:
  a: {barcodes: 0, length: sixteen, adress: x, packaged: a b, contents: {12: all}}
chemistries:
  one: {barcode: [{start: 1, length: 16, list: b}], strand: Sideways}
  two: {barcode: [], umi: {start: 1}, strand: Forward, proof: guess, refuse: true, oligo: {start: 8, rna: AX},
        split: 0}
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as told:
        read_chemistries(path)
    lines = str(told.value).splitlines()
    assert lines[0] == f"The chemistries ({path}) needs 15 correction(s):"
    assert lines[1:] == [
        "lists.a.adress: unknown key; known are address, barcodes, contents, length, packaged, sha256.",
        "lists.a.barcodes: it must be a whole number above 0, but is 0.",
        "lists.a.length: it must be a whole number above 0, but is 'sixteen'.",
        "lists.a.packaged: it must be a file, or file and bases like 'FILE 1-9', not 'a b'.",
        "lists.a.contents: a digest has 16 hexadecimal digits, but 12 is none.",
        "chemistries.one.barcode.0.list: 'b' is not one of lists.",
        "chemistries.one.strand: 'Sideways' is not one of Forward, Reverse, Unstranded.",
        "chemistries.one.umi: missing; a kit that is counted needs start and length of its UMI.",
        "chemistries.two.refuse: unknown key; known are barcode, mates, oligo, proof, refused, shift, solo, split,"
        " strand, title, umi.",
        "chemistries.two.barcode: it must list the parts of the barcode, each with start, length and list.",
        "chemistries.two.split: it must be a whole number above 0, but is 0.",
        "chemistries.two.umi.length: it must be a whole number above 0, but is None.",
        "chemistries.two.oligo.rna: it must be bases of A, C, G and T, but is 'AX'.",
        "chemistries.two.oligo.feature: it must be bases of A, C, G and T, but is None.",
        "chemistries.two.proof: 'guess' is not one of list, pinned.",
    ]


def test_unreadable_files_are_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml\) cannot be read: No such file"):
        read_chemistries(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"bad\.yaml\) are not YAML"):
        read_chemistries(tmp_path / "bad.yaml")
    (tmp_path / "empty.yaml").write_text("lists: {}\n")
    with pytest.raises(InputError, match="chemistries: missing; it must name at least one kit"):
        read_chemistries(tmp_path / "empty.yaml")


def test_nearest_kit_is_named():
    kits, _ = read_chemistries(CHEMISTRIES)
    with pytest.raises(InputError, match=r"'10x_3p_v9' is not a chemistry .*; did you mean '10x_3p_v\d'\?"):
        chemistry_named("10x_3p_v9", kits)


# Inclusion lists -----------------------------------------------------------------------------------------------------


def place(source, output, *more):
    inclusion_list.main(["--source", str(source), "--output", str(output), *more])
    return output.read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"ACGT\nAAAA\n", b"ACGT\nAAAA", b"ACGT\r\nAAAA\r\n", b"ACGT\tTTTT\nAAAA\tCCCC\n", gzip.compress(b"ACGT\nAAAA\n")],
)
def test_lists_come_out_plain_whatever_their_form(tmp_path, content):
    (tmp_path / "list.gz").write_bytes(content)  # the name says nothing
    assert place(tmp_path / "list.gz", tmp_path / "out/list.txt") == b"ACGT\nAAAA\n"
    packed, length = read_packed(tmp_path / "out/list.txt")
    assert (packed.tolist(), length) == ([0, 0b00011011], 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the inclusion list has no barcode; it must have one on each line."),
        (b"ACGT\nACNT\n", "line 2: expected a barcode of A, C, G and T, but found 'ACNT'."),
        (b"ACGT\n\nACTT\n", "line 2: expected a barcode of A, C, G and T, but found ''."),
        (b"ACGT\nACG\n", "line 2: a barcode of 3 letters, but the first has 4."),
        (b"<html>\n", "line 1: expected a barcode of A, C, G and T, but found '<html>'."),
        (gzip.compress(b"ACGT\n" * 100)[:-9], "the inclusion list cannot be read"),
    ],
)
def test_faults_of_a_list_are_told(tmp_path, content, words):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(InputError) as told:
        place(tmp_path / "list", tmp_path / "out.txt")
    assert words in str(told.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "list"]


def test_checksum_number_and_length_are_checked(tmp_path):
    (tmp_path / "list").write_bytes(b"ACGT\nAAA\n")
    with pytest.raises(InputError, match=r"its SHA-256 is [0-9a-f]{64}, but 00ff was expected\."):
        place(tmp_path / "list", tmp_path / "out.txt", "--sha256", "00FF")
    with pytest.raises(InputError, match=r"2 barcodes, but this list must have 3\."):
        place(tmp_path / "list", tmp_path / "out.txt", "--barcodes", "3", "--any-length")
    assert place(tmp_path / "list", tmp_path / "out.txt", "--any-length") == b"ACGT\nAAA\n"
    with pytest.raises(InputError, match=r"none: there is no such file; give the path or the address"):
        place(tmp_path / "none", tmp_path / "out.txt")


def test_lists_of_the_package_are_taken_where_it_is_installed(tmp_path, monkeypatch):
    source = "ngs-tools:10x_version3_whitelist.txt.gz"
    with pytest.raises(InputError, match="the package ngs-tools is not installed; install it, or give a path"):
        place(source, tmp_path / "out.txt")
    folder = tmp_path / "site/ngs_tools/chemistry/whitelists"
    folder.mkdir(parents=True)
    (tmp_path / "site/ngs_tools/__init__.py").write_text("raise RuntimeError('need not be imported')\n")
    (folder / "10x_version3_whitelist.txt.gz").write_bytes(gzip.compress(b"ACGT\n"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert place(source, tmp_path / "out.txt") == b"ACGT\n"
    with pytest.raises(InputError, match=r"the package has no such list; it has 10x_version3_whitelist\.txt\.gz\."):
        place("ngs-tools:other", tmp_path / "out.txt")


def digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


HELD = [digest_of(text) for text in (b"AAAA\nACGT\nTTTT\n", b"CCCC\n", b"AA\nCCC\n")]
KNOWN = f"""
lists:
  one: {{barcodes: 3, length: 4, packaged: pairs.gz 1-4, contents: {{"{HELD[0]}": all}}}}
  two: {{barcodes: 3, length: 4, contents: {{"{HELD[1]}": of both oligos}}}}
  many: {{barcodes: 2, length: any, contents: {{"{HELD[2]}": all}}}}
  none: {{barcodes: 2, length: 4}}
chemistries:
  kit: {{barcode: [{{start: 1, length: 4, list: one}}], refused: for the test}}
"""


def place_known(folder, name, content, capsys):
    (folder / "kits.yaml").write_text(KNOWN)
    (folder / "source").write_bytes(content)
    source = folder / "source"
    place(source, folder / f"{name}.txt", "--list", name, "--chemistries", str(folder / "kits.yaml"))
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("one", b"TTTT\nAAAA\nACGT\n", "one.txt: 3 barcodes of 4 bases: known, all"),
        ("one", b"TTTT\nAAAA\nACGT\nAAAA\n", "one.txt: 4 barcodes of 4 bases: known, all"),
        ("two", b"CCCC\n", "two.txt: 1 barcodes of 4 bases: known, of both oligos"),
        ("many", b"CCC\nAA\n", "many.txt: 2 barcodes of several bases: known, all"),
        ("one", b"TTTT\nAAAA\nACGG\n", "one.txt: 3 barcodes of 4 bases: as many as it should have"),
        (
            "one",
            b"TTTT\nAAAA\n",
            "one.txt: 2 barcodes of 4 bases: not the list as its makers give it away, which has 3; taken as it is",
        ),
    ],
)
def test_a_list_is_known_by_what_it_holds(tmp_path, capsys, name, content, words):
    assert place_known(tmp_path, name, content, capsys) == f"{words}\n"


def test_a_list_that_is_another_is_refused(tmp_path, capsys):
    with pytest.raises(InputError) as told:
        place_known(tmp_path, "one", b"CCCC\nCCCC\n", capsys)
    assert str(told.value) == (
        f"{tmp_path}/source: these are the barcodes of two, not those of one; give that list under its own name."
    )
    with pytest.raises(InputError) as told:
        place_known(tmp_path, "one", b"CCC\n", capsys)
    assert str(told.value) == (
        f"{tmp_path}/source: its barcodes have 3 bases, but those of one have 4; is it another list?"
    )
    assert not (tmp_path / "one.txt").exists()
    with pytest.raises(InputError, match=r"--list six: .*kits\.yaml has no such list; it has one, two, many, none\."):
        place_known(tmp_path, "six", b"CCCC\n", capsys)
    with pytest.raises(InputError, match="--list needs --chemistries, which says what is known of the list"):
        place(tmp_path / "source", tmp_path / "one.txt", "--list", "one")


def test_digests_are_those_of_sorted_lines(tmp_path):
    dice = random.Random(2)
    barcodes = ["".join(dice.choices("ACGT", k=17)) for _ in range(500)] * 2
    path = tmp_path / "list"
    path.write_text("".join(f"{barcode}\n" for barcode in barcodes))
    expected = "".join(f"{barcode}\n" for barcode in sorted(set(barcodes))).encode()
    assert content_digest(path, 17) == content_digest(path, 0) == digest_of(expected)


def test_the_package_is_asked_by_name(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "site/ngs_tools/chemistry/whitelists"
    folder.mkdir(parents=True)
    (tmp_path / "site/ngs_tools/__init__.py").write_text("")
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTTTCC\nAAAACC\nACGTCC\nACGTGG\n"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "kits.yaml").write_text(KNOWN)
    more = ("--list", "one", "--chemistries", str(tmp_path / "kits.yaml"))
    assert place("ngs-tools", tmp_path / "one.txt", *more) == b"AAAA\nACGT\nTTTT\n"
    assert capsys.readouterr().err == "one.txt: 3 barcodes of 4 bases: known, all\n"
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTTTCC\nAAA\n"))
    with pytest.raises(InputError, match="a barcode of 3 letters, but the first has 6"):
        place("ngs-tools", tmp_path / "one.txt", *more)
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTT\nAAA\n"))
    with pytest.raises(InputError, match="too short to take bases 1 to 4 of them"):
        place("ngs-tools", tmp_path / "one.txt", *more)
    more = ("--list", "none", "--chemistries", str(tmp_path / "kits.yaml"))
    with pytest.raises(InputError, match="ngs-tools: the package is not known to have the list none; give a path"):
        place("ngs-tools", tmp_path / "none.txt", *more)


def test_lists_that_may_be_mistaken_are_known_by_their_content():
    """Files of 10x are renamed and passed on; those that public packages have are told by what they hold."""
    _, lists = read_chemistries(CHEMISTRIES)
    digests = [digest for one in lists.values() for digest in one.contents]
    assert len(digests) == len(set(digests)) >= 10
    assert (lists["3M-3pgex-may-2023"].barcodes, len(lists["3M-3pgex-may-2023"].contents)) == (7_372_800, 2)
    assert (lists["bd-rhapsody-cls2"].packaged, lists["bd-rhapsody-cls2"].bases) == (
        "BDWTA_whitelist.txt.gz",
        (10, 18),
    )


def test_packed_lists_are_sorted_and_of_one_length(tmp_path):
    (tmp_path / "list").write_bytes(b"TTTT\nACGT\n")
    assert read_packed(tmp_path / "list")[0].tolist() == [0b00011011, 255]
    (tmp_path / "list").write_bytes(b"TTTT\nACG\n")
    with pytest.raises(InputError, match="not a list of barcodes of A, C, G and T of one length"):
        read_packed(tmp_path / "list")
