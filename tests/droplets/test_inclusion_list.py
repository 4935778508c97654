"""The command inclusion_list: lists come out plain and checked."""

import gzip
import hashlib

import pytest

from scripts.core.errors import InputError
from scripts.droplets import inclusion_list
from scripts.droplets.inclusion_lists import read_packed


def fetch(source, output, *more):
    inclusion_list.main(["--source", str(source), "--output", str(output), *more])
    return output.read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"ACGT\nAAAA\n", b"ACGT\nAAAA", b"ACGT\r\nAAAA\r\n", b"ACGT\tTTTT\nAAAA\tCCCC\n", gzip.compress(b"ACGT\nAAAA\n")],
)
def test_lists_come_out_plain_whatever_their_form(tmp_path, content):
    (tmp_path / "list.gz").write_bytes(content)  # the name says nothing
    assert fetch(tmp_path / "list.gz", tmp_path / "out/list.txt") == b"ACGT\nAAAA\n"
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
def test_faults_of_a_list_are_reported(tmp_path, content, words):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(InputError) as raised:
        fetch(tmp_path / "list", tmp_path / "out.txt")
    assert words in str(raised.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "list"]


def test_checksum_number_and_length_are_checked(tmp_path):
    (tmp_path / "list").write_bytes(b"ACGT\nAAA\n")
    with pytest.raises(InputError, match=r"its SHA-256 is [0-9a-f]{64}, but 00ff was expected\."):
        fetch(tmp_path / "list", tmp_path / "out.txt", "--sha256", "00FF")
    with pytest.raises(InputError, match=r"2 barcodes, but this list must have 3\."):
        fetch(tmp_path / "list", tmp_path / "out.txt", "--barcodes", "3", "--any-length")
    assert fetch(tmp_path / "list", tmp_path / "out.txt", "--any-length") == b"ACGT\nAAA\n"
    with pytest.raises(InputError, match=r"none: there is no such file; give the path or the address"):
        fetch(tmp_path / "none", tmp_path / "out.txt")


def test_lists_of_the_package_are_taken_where_it_is_installed(tmp_path, monkeypatch):
    source = "ngs-tools:10x_version3_whitelist.txt.gz"
    with pytest.raises(InputError, match="the package ngs-tools is not installed; install it, or give a path"):
        fetch(source, tmp_path / "out.txt")
    folder = tmp_path / "site/ngs_tools/chemistry/whitelists"
    folder.mkdir(parents=True)
    (tmp_path / "site/ngs_tools/__init__.py").write_text("raise RuntimeError('need not be imported')\n")
    (folder / "10x_version3_whitelist.txt.gz").write_bytes(gzip.compress(b"ACGT\n"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert fetch(source, tmp_path / "out.txt") == b"ACGT\n"
    with pytest.raises(InputError, match=r"the package has no such list; it has 10x_version3_whitelist\.txt\.gz\."):
        fetch("ngs-tools:other", tmp_path / "out.txt")


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


def fetch_known(folder, name, content, capsys):
    (folder / "kits.yaml").write_text(KNOWN)
    (folder / "source").write_bytes(content)
    source = folder / "source"
    fetch(source, folder / f"{name}.txt", "--list", name, "--chemistries", str(folder / "kits.yaml"))
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
    assert fetch_known(tmp_path, name, content, capsys) == f"{words}\n"


def test_a_list_that_is_another_is_refused(tmp_path, capsys):
    with pytest.raises(InputError) as raised:
        fetch_known(tmp_path, "one", b"CCCC\nCCCC\n", capsys)
    assert str(raised.value) == (
        f"{tmp_path}/source: these are the barcodes of two, not those of one; give that list under its own name."
    )
    with pytest.raises(InputError) as raised:
        fetch_known(tmp_path, "one", b"CCC\n", capsys)
    assert str(raised.value) == (
        f"{tmp_path}/source: its barcodes have 3 bases, but those of one have 4; is it another list?"
    )
    assert not (tmp_path / "one.txt").exists()
    with pytest.raises(InputError, match=r"--list six: .*kits\.yaml has no such list; it has one, two, many, none\."):
        fetch_known(tmp_path, "six", b"CCCC\n", capsys)
    with pytest.raises(InputError, match="--list needs --chemistries, which says what is known of the list"):
        fetch(tmp_path / "source", tmp_path / "one.txt", "--list", "one")


def test_the_package_is_asked_by_name(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "site/ngs_tools/chemistry/whitelists"
    folder.mkdir(parents=True)
    (tmp_path / "site/ngs_tools/__init__.py").write_text("")
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTTTCC\nAAAACC\nACGTCC\nACGTGG\n"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "kits.yaml").write_text(KNOWN)
    more = ("--list", "one", "--chemistries", str(tmp_path / "kits.yaml"))
    assert fetch("ngs-tools", tmp_path / "one.txt", *more) == b"AAAA\nACGT\nTTTT\n"
    assert capsys.readouterr().err == "one.txt: 3 barcodes of 4 bases: known, all\n"
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTTTCC\nAAA\n"))
    with pytest.raises(InputError, match="a barcode of 3 letters, but the first has 6"):
        fetch("ngs-tools", tmp_path / "one.txt", *more)
    (folder / "pairs.gz").write_bytes(gzip.compress(b"TTT\nAAA\n"))
    with pytest.raises(InputError, match="too short to take bases 1 to 4 of them"):
        fetch("ngs-tools", tmp_path / "one.txt", *more)
    more = ("--list", "none", "--chemistries", str(tmp_path / "kits.yaml"))
    with pytest.raises(InputError, match="ngs-tools: the package is not known to have the list none; give a path"):
        fetch("ngs-tools", tmp_path / "none.txt", *more)
