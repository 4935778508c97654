"""Annotations line by line, in the shapes in which they come."""

import pytest

from scripts.core.errors import InputError
from scripts.references.gtf import Exon, GtfLineError, for_star, gene_id_of, parse_attributes, parse_line, read_exons


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (b'gene_id "ENSG1.2"; transcript_id "T"; gene_type "lncRNA"; level 2;', b"ENSG1.2"),  # GENCODE
        (b'gene_id "ENSG1"; gene_version "5"; gene_biotype "lncRNA";', b"ENSG1"),  # Ensembl
        (b'gene_id "DDX11L1"; transcript_id "NR_1.1"; db_xref "GeneID:1"; gene "DDX11L1"; ', b"DDX11L1"),  # RefSeq
        (b'gene_id "uc031tla.1"; transcript_id "uc031tla.1"; ', b"uc031tla.1"),  # UCSC
        (b"gene_id 10904; transcript_id 10904", b"10904"),  # no quotes
        (b"gene_id=A;transcript_id=B", b"A"),
        (b'transcript_id "T"; gene_id "after"', b"after"),
        (b'note "a; gene_id \'no\'"; gene_id "A;B";', b"A;B"),  # ; inside quotes
        (b'gene_id "first"; gene_id "last";', b"last"),  # as in HTSeq
        (b'havana_gene_id "OTT"; gene_id "A";', b"A"),
        (b'  gene_id   "A"  ;', b"A"),
        (b'ref_gene_id "A";', b""),
        (b'gene_id ""; transcript_id "x";', b""),
        (b"", b""),
    ],
)
def test_gene_id(attributes: bytes, expected: bytes) -> None:
    assert gene_id_of(attributes) == expected


def test_attributes_of_one_line() -> None:
    text = b'gene_id "A"; level 2; tag "basic"; tag "CCDS"; note "one; two = 3"; empty "";'
    assert parse_attributes(text) == {
        b"gene_id": b"A",
        b"level": b"2",
        b"tag": b"CCDS",
        b"note": b"one; two = 3",
        b"empty": b"",
    }


def test_an_open_quote_is_a_fault() -> None:
    with pytest.raises(GtfLineError, match="a quote in the attributes is not closed"):
        parse_attributes(b'gene_id "A; transcript_id "B";')


def test_a_line() -> None:
    assert parse_line(b'chr1\tx\texon\t1\t30\t0.00\t-\t.\tgene_id "A";') == (
        b"chr1", b"exon", 0, 30, b"-", b'gene_id "A";',
    )  # fmt: skip
    assert parse_line(b"#!genome-build GRCh38") is None
    assert parse_line(b"  ") is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"chr1\tx\texon\t1\t30", "5 column(s) instead of 9 separated by tabs"),
        (b"chr1 x exon 1 30 . + . gene_id", "1 column(s) instead of 9 separated by tabs"),
        (b"chr1\tx\texon\ta\t30\t.\t+\t.\tg", "start 'a' and end '30' must be whole numbers"),
        (
            b"chr1\tx\texon\t0\t30\t.\t+\t.\tg",
            "it runs from 0 to 30; a feature begins at 1 or later and ends no earlier",
        ),
        (b"chr1\tx\texon\t31\t30\t.\t+\t.\tg", "it runs from 31 to 30;"),
        (b"chr1\tx\texon\t1\t30\t.\t1\t.\tg", "strand '1' is none of + - ."),
    ],
)
def test_faults_of_a_line(line: bytes, words: str) -> None:
    with pytest.raises(GtfLineError) as found:
        parse_line(line)
    assert words in str(found.value)


def test_exons_of_a_file_with_carriage_returns_and_without_a_last_line_end(tmp_path) -> None:
    path = tmp_path / "a.gtf"
    path.write_bytes(
        b'##x\r\nchr1\tx\tgene\t1\t30\t.\t+\t.\tgene_id "A";\r\n\r\nchr1\tx\texon\t1\t30\t.\t+\t.\tgene_id "A";\r\n'
        b'chr1\tx\tCDS\t1\t30\t.\t+\t.\tgene_id "A"; note "\texon\t";\r\n'
        b'chr2\tx\texon\t5\t9\t.\t.\t.\tgene_id "B\xc3\xa4"'
    )
    assert list(read_exons(path)) == [Exon("chr1", 0, 30, "+", "A"), Exon("chr2", 4, 9, ".", "Bä")]


def test_an_exon_without_gene_id_is_reported_with_its_line(tmp_path) -> None:
    path = tmp_path / "a.gtf"
    path.write_text('#\nchr1\tx\texon\t1\t30\t.\t+\t.\ttranscript_id "A";\n')
    with pytest.raises(InputError) as found:
        list(read_exons(path))
    assert str(found.value) == f"{path}, line 2: an exon without gene_id."


@pytest.mark.parametrize(
    ("columns", "attributes", "written"),
    [
        ("havana", 'gene_id "A"; transcript_id "T"; gene_name "a b";', None),
        ("havana", 'gene_id "A"; gene_version "5"; transcript_id "T";', None),
        ("x", 'transcript_id "T"; gene_id A', None),
        ("x", 'gene_id "A";', None),
        ("Curated Genomic", 'gene_id "A"; transcript_id "T";', 'Curated_Genomic|gene_id "A"; transcript_id "T";'),
        ("x", 'gene_id "B"; gene_id "A"; transcript_id "T";', 'x|gene_id "A"; transcript_id "T";'),
        ("x", 'note "of gene_id B"; gene_id "A"; transcript_id "T";', 'x|gene_id "A"; transcript_id "T";'),
        ("x", 'gene_id "A"; transcript_id ""; gene_name "N"; level 2;', 'x|gene_id "A"; gene_name "N";'),
        ("x", 'gene_id "A"; transcript_id "T 1";', 'x|gene_id "A"; transcript_id "T_1";'),
    ],
)
def test_an_exon_is_written_so_that_star_reads_the_same_ids(columns: str, attributes: str, written: str | None) -> None:
    line = f"chr1\t{columns}\texon\t1\t9\t.\t+\t.\t"
    source, _, text = (written or f"{columns}|{attributes}").partition("|")
    expected = f"chr1\t{source}\texon\t1\t9\t.\t+\t.\t{text}".encode()
    assert for_star((line + attributes).encode(), b"A")[0] == expected


@pytest.mark.parametrize("gene_id", ["gene A", "A;B", "A=B"])
def test_a_gene_id_that_star_cuts_is_refused(gene_id: str) -> None:
    line = f'chr1\t.\texon\t1\t9\t.\t+\t.\tgene_id "{gene_id}"; transcript_id "T";'.encode()
    with pytest.raises(GtfLineError, match="has a blank or one of the characters ; = "):
        for_star(line, gene_id.encode())
