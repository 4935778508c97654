"""References: sources joined and checked, every fault reported at once."""

import gzip
import json
from pathlib import Path

import pytest

from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError
from scripts.core.http import RemoteError
from scripts.references import reference
from scripts.references.fasta import contig_lengths
from scripts.references.genes_table import GeneRow, read_genes
from scripts.references.reference import make_reference
from tests.references.sources import FASTA, GTF, faults, gtf_line, make
from tests.toy.world import World


def test_genes_have_name_biotype_length_and_contig(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert read_genes(made / "genes.tsv") == [
        GeneRow("a", "a", "", 3, "chr1"),
        GeneRow("b", "B", "lncRNA", 50, "chr2"),  # 1-30 and 41-60
    ]
    assert (made / "genome.fa").read_bytes() == FASTA
    assert (made / "annotation.gtf").read_text() == GTF
    assert json.loads((made / "reference.json").read_text())["name"] == "toy"
    assert contig_lengths(made / "genome.fa") == {"chr1": 13, "chr2": 60}


def test_gzip_and_carriage_returns_make_the_same_reference(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = make(tmp_path / "a")
    packed = make(
        tmp_path / "b",
        gzip.compress(FASTA.replace(b"\n", b"\r\n")[:40]) + gzip.compress(FASTA.replace(b"\n", b"\r\n")[40:]),
        gzip.compress(GTF.replace("\n", "\r\n").rstrip().encode()),
    )
    for name in ("genome.fa", "annotation.gtf", "genes.tsv"):
        assert (plain / name).read_bytes() == (packed / name).read_bytes()
    described = [json.loads((folder / "reference.json").read_text()) for folder in (plain, packed)]
    digests = [one.pop("sources_sha256") for one in described]
    assert described[0] == described[1]
    assert digests[0] == {"fasta": hash_file(tmp_path / "a/in.fa"), "gtf": hash_file(tmp_path / "a/in.gtf")}
    assert digests[1] == {"fasta": hash_file(tmp_path / "b/in.fa"), "gtf": hash_file(tmp_path / "b/in.gtf")}


def test_spike_ins_are_joined_to_both(tmp_path: Path) -> None:
    (tmp_path / "ercc.fa").write_bytes(b">ERCC-1\nACGT")
    (tmp_path / "ercc.gtf").write_text(gtf_line("ERCC-1", 1, 4, 'gene_id "ERCC-1"; transcript_id "D";').rstrip())
    made = make(tmp_path, fastas=[(str(tmp_path / "ercc.fa"), None)], gtfs=[(str(tmp_path / "ercc.gtf"), None)])
    assert [gene.gene_id for gene in read_genes(made / "genes.tsv")] == ["ERCC-1", "a", "b"]  # byte order
    assert (made / "genome.fa").read_bytes() == FASTA + b">ERCC-1\nACGT\n"
    assert (made / "annotation.gtf").read_text().endswith('gene_id "ERCC-1"; transcript_id "D";\n')


def test_all_faults_of_all_sources_are_reported(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        fasta=b">chr1\nACGT\n>chr1\nAC-T\n>\nA\n>chr3\n",
        gtf=gtf_line("chr1", 1, 4, 'transcript_id "T";') + "chr1\texon\n" + gtf_line("chr1", 9, 90, 'gene_id "a";'),
    )
    assert found == [
        "in.fa: contig chr1 is duplicated; names must be unique.",
        "in.fa: contig chr1 has letters that are no nucleotides: '-'.",
        "in.fa: a sequence has no name; the name follows '>' at once.",
        "in.fa: contig chr3 has no sequence.",
        "in.gtf, line 1: an exon without gene_id; every exon must name its gene.",
        "in.gtf, line 2: 2 column(s) instead of 9 separated by tabs.",
        "in.gtf, line 3: an exon ends at base 90, but contig chr1 has 8;"
        " genome and annotation are of different assemblies.",
    ]


def test_what_is_no_fasta_and_no_gtf(tmp_path: Path) -> None:
    found = faults(tmp_path, fasta=b"<html>\n", gtf="<html>\n")
    assert found[0] == "in.fa: not a FASTA file; its first line must begin with '>', but is '<html>\\n'."
    assert found[1] == "in.gtf, line 1: 1 column(s) instead of 9 separated by tabs."
    found = faults(tmp_path, fasta=b"", gtf="#\n")
    assert found == [
        "in.fa: the file holds no sequence.",
        "in.gtf: no line has the feature 'exon' in its third column.",
    ]


def test_files_that_are_cut_short(tmp_path: Path) -> None:
    found = faults(tmp_path, fasta=gzip.compress(FASTA)[:-12], gtf=gzip.compress(GTF.encode())[:-12])
    assert [fault.partition(" (")[0] for fault in found] == [
        "in.fa: the file cannot be read to its end",
        "in.gtf: the file cannot be read to its end",
    ]


def test_checksums_and_missing_files(tmp_path: Path) -> None:
    found = faults(tmp_path, fastas=[("/no/such.fa", None)], gtfs=[(str(tmp_path / "in.gtf"), "00")])
    assert found[0] == "/no/such.fa: no such file."
    assert found[1].startswith("in.gtf: its sha256 is ")
    assert found[1].endswith("but 00 was promised.")


def test_spike_ins_need_both_files() -> None:
    arguments = [f"--{name}=x" for name in ("name", "fasta", "gtf", "genome", "annotation", "genes", "fingerprint")]
    with pytest.raises(InputError, match="Spike-ins need both"):
        reference.main([*arguments, "--spike-in-gtf=x"])


def test_sources_may_be_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(url: str, path: Path, *, sha256: str | None) -> Path:
        asked.append((url, sha256))
        if "gone" in url:
            raise RemoteError(url, "HTTP status 404")
        path.write_bytes(gzip.compress(FASTA if ".fa" in url else GTF.encode()))
        return path

    monkeypatch.setattr(reference, "fetch", fetch)
    targets = [tmp_path / name for name in ("genome.fa", "annotation.gtf", "genes.tsv", "reference.json")]
    make_reference("toy", [("https://a.org/x.fa.gz", "12")], [("ftp://a.org/x.gtf.gz?raw=1", None)], *targets)
    assert asked == [("https://a.org/x.fa.gz", "12"), ("ftp://a.org/x.gtf.gz?raw=1", None)]
    assert targets[0].read_bytes() == FASTA
    assert sorted(tmp_path.iterdir()) == sorted(targets)  # what was fetched does not stay
    with pytest.raises(InputError, match=r"https://a\.org/gone\.fa: HTTP status 404"):
        make_reference("toy", [("https://a.org/gone.fa", None)], [("https://a.org/x.gtf", None)], *targets)
    monkeypatch.setattr("tests.references.test_reference.FASTA", b">other\nACGT\n")
    with pytest.raises(InputError) as found:  # by the addresses that the user knows
        make_reference("toy", [("https://a.org/x.fa", None)], [("https://a.org/x.gtf", None)], *targets)
    assert "https://a.org/x.gtf: " in str(found.value)
    assert "that the genome https://a.org/x.fa does not have" in str(found.value)
    assert ".sources." not in str(found.value)


@pytest.mark.tools
def test_a_reference_is_the_same_bytes_wherever_it_is_made(world: World, mm10: Path, tmp_path: Path) -> None:
    names = ("fasta", "gtf")
    sources = [(str(world.references["mm10"][name]), None) for name in names]
    spike_ins = [(str(world.spike_ins[name]), None) for name in names]
    targets = [tmp_path / name for name in ("genome.fa", "annotation.gtf", "genes.tsv", "reference.json")]
    reference.make_reference("mm10", [sources[0], spike_ins[0]], [sources[1], spike_ins[1]], *targets)
    for target in targets:
        assert target.read_bytes() == (mm10 / target.name).read_bytes()
    described = json.loads((tmp_path / "reference.json").read_text())
    assert described["genes"] == len((tmp_path / "genes.tsv").read_text().splitlines()) - 1
