"""Kits: every fault of their file is reported."""

from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.droplets.chemistries import BarcodeSegment, chemistry_named, read_chemistries

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"


def test_kits_of_10x_are_where_10x_says():
    kits, lists = read_chemistries(CHEMISTRIES)
    kits_of_10x = {
        name: (kit.barcode[0].length, kit.umi_length, kit.strand, kit.barcode[0].list)
        for name, kit in kits.items()
        if name.startswith("10x") and not kit.refused
    }
    assert kits_of_10x == {
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
    assert kits["bd_rhapsody"].barcode[2] == BarcodeSegment(44, 9, "bd-rhapsody-cls3")
    assert all(isinstance(value, str) and "_" in value for name, value in kits["indrops_v2"].solo if "position" in name)


def test_all_faults_of_the_file_are_reported(tmp_path):
    path = tmp_path / "kits.yaml"
    path.write_text(
        """
lists:
  a: {barcodes: 0, length: sixteen, adress: x, packaged: a b, contents: {12: all}, file: none.txt}
chemistries:
  one: {barcode: [{start: 1, length: 16, list: b}], strand: Sideways}
  two: {barcode: [], umi: {start: 1}, strand: Forward, proof: guess, refuse: true, oligo: {start: 8, rna: AX},
        split: 0}
  three: {barcode: [{start: 1, length: 6, list: a}, {start: 7, length: 6, list: a}], umi: {start: 13, length: 6},
          strand: Forward, found: true, prefix: {start: 1}}
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as raised:
        read_chemistries(path)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"The chemistries ({path}) needs 18 corrections:"
    assert lines[1:] == [
        "lists.a.adress: unknown key; known are address, barcodes, contents, file, length, packaged, sha256, source,"
        " wells.",
        "lists.a.barcodes: it must be a whole number above 0, but is 0.",
        "lists.a.length: it must be a whole number above 0, but is 'sixteen'.",
        "lists.a.file: there is no file 'none.txt' beside the chemistries.",
        "lists.a.packaged: it must be a file, or file and bases like 'FILE 1-9', not 'a b'.",
        "lists.a.contents: a digest has 16 hexadecimal digits, but 12 is none.",
        "chemistries.one.barcode.0.list: 'b' is not one of lists.",
        "chemistries.one.strand: 'Sideways' is not one of Forward, Reverse, Unstranded.",
        "chemistries.one.umi: missing; a kit that is counted needs start and length of its UMI.",
        "chemistries.two.refuse: unknown key; known are barcode, cdna_start, features, found, mates, oligo, prefix,"
        " probes, proof, refused, shift, solo, source, split, strand, title, umi.",
        "chemistries.two.barcode: it must list the parts of the barcode, each with start, length and list.",
        "chemistries.two.split: it must be a whole number above 0, but is 0.",
        "chemistries.two.umi.length: it must be a whole number above 0, but is None.",
        "chemistries.two.oligo.rna: it must be bases of A, C, G and T, but is 'AX'.",
        "chemistries.two.oligo.feature: it must be bases of A, C, G and T, but is None.",
        "chemistries.two.proof: 'guess' is not one of list, pinned.",
        "chemistries.three.prefix.length: it must be a whole number above 0, but is None.",
        "chemistries.three.found: only a barcode in one part is found in the reads.",
    ]


def test_unreadable_files_are_reported(tmp_path):
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


def test_lists_that_may_be_mistaken_are_known_by_their_content():
    """Files of 10x are renamed and passed on; those that public packages have are known by what they hold."""
    _, lists = read_chemistries(CHEMISTRIES)
    digests = [digest for one in lists.values() for digest in one.contents]
    assert len(digests) == len(set(digests)) >= 10
    assert (lists["3M-3pgex-may-2023"].barcodes, len(lists["3M-3pgex-may-2023"].contents)) == (7_372_800, 2)
    assert (lists["bd-rhapsody-cls2"].packaged, lists["bd-rhapsody-cls2"].bases) == (
        "BDWTA_whitelist.txt.gz",
        (10, 18),
    )


def test_public_lists_are_those_that_were_published():
    """Their sums are those of the lists as their makers give them; the order is the makers', which pairs the wells."""
    _, lists = read_chemistries(CHEMISTRIES)
    public = {name: one for name, one in lists.items() if one.file}
    assert sorted(public) == [
        *("cel-seq2", "microwell-seq", "sci-rna-seq3-ligation", "sci-rna-seq3-rt"),
        *("split-seq-round1", "split-seq-round23"),
    ]
    for one in public.values():
        barcodes = Path(one.file).read_text(encoding="utf-8").splitlines()
        assert len(barcodes) == len(set(barcodes)) == one.barcodes
        assert {len(barcode) for barcode in barcodes} == ({one.length} if one.length else {9, 10})
        assert not any(barcode.strip("ACGT") for barcode in barcodes)
    first, *_, last = Path(lists["split-seq-round1"].file).read_text(encoding="utf-8").split()
    assert (first, last, lists["split-seq-round1"].wells) == ("AACGTGAT", "GCCAAGAC", True)
