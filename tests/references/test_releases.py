"""The release of a reference is read from its annotation, its genome and the names of its files."""

import json

import pytest

from scripts.references.releases import Release, find_release, read_release

GENCODE = """##description: evidence-based annotation of the human genome (GRCh38), version 32 (Ensembl 98)
##provider: GENCODE
##contact: gencode-help@ebi.ac.uk
##format: gtf
##date: 2019-09-05
chr1\tHAVANA\tgene\t1\t9\t.\t+\t.\tgene_id "E1";
"""
ENSEMBL = """#!genome-build GRCh38.p13
#!genome-version GRCh38
#!genome-date 2013-12
#!genome-build-accession GCA_000001405.28
#!genebuild-last-updated 2021-03
1\thavana\tgene\t1\t9\t.\t+\t.\tgene_id "E1";
"""
REFSEQ = """#gtf-version 2.2
#!genome-build GRCh38.p14
#!genome-build-accession NCBI_Assembly:GCF_000001405.40
#!annotation-source NCBI RefSeq GCF_000001405.40-RS_2023_10
"""
BARE = 'chr1\tx\texon\t1\t9\t.\t+\t.\tgene_id "E1";\n##provider: none, for it is below a feature\n'


@pytest.mark.parametrize(
    ("annotation", "genome", "sources", "release", "words"),
    [
        (
            GENCODE,
            ">chr1 1",
            [],
            Release("GENCODE", "32 (Ensembl 98)", "GRCh38", "", "2019-09-05"),
            "GENCODE 32 (Ensembl 98), assembly GRCh38, 2019-09-05",
        ),
        (
            ENSEMBL,
            ">1 dna:chromosome chromosome:GRCh38:1:1:248956422:1 REF",
            ["https://ftp.ensembl.org/pub/release-104/gtf/homo_sapiens/Homo_sapiens.GRCh38.104.gtf.gz"],
            Release("Ensembl", "104", "GRCh38.p13", "GCA_000001405.28", "2021-03"),
            "Ensembl 104, assembly GRCh38.p13 (GCA_000001405.28), 2021-03",
        ),
        (
            REFSEQ,
            ">NC_000001.11 Homo sapiens chromosome 1, GRCh38.p14 Primary Assembly",
            [],
            Release("RefSeq", "GCF_000001405.40-RS_2023_10", "GRCh38.p14", "GCF_000001405.40", ""),
            "RefSeq GCF_000001405.40-RS_2023_10, assembly GRCh38.p14 (GCF_000001405.40)",
        ),
        (
            BARE,
            ">chr1",
            ["https://ftp.ebi.ac.uk/pub/databases/gencode/Gencode_mouse/release_M25/x.fa.gz", "gencode.vM25.gtf.gz"],
            Release("GENCODE", "M25"),
            "GENCODE M25",
        ),
        (BARE, ">1 dna:chromosome chromosome:GRCm38:1:1:9:1 REF", [], Release(assembly="GRCm38"), "assembly GRCm38"),
        (BARE, ">chr1", ["mine.gtf"], Release(), ""),
    ],
    ids=["gencode", "ensembl", "refseq", "names", "fasta", "nothing"],
)
def test_a_release_is_what_the_files_say(tmp_path, annotation, genome, sources, release, words):
    (tmp_path / "annotation.gtf").write_text(annotation, encoding="utf-8")
    (tmp_path / "genome.fa").write_text(f"{genome}\nACGT\n", encoding="utf-8")
    found = find_release(tmp_path / "annotation.gtf", tmp_path / "genome.fa", sources)
    assert found == release
    assert str(found) == words


def test_the_record_of_an_earlier_version_is_completed_from_the_files_beside_it(tmp_path):
    record = tmp_path / "reference.json"
    record.write_text(json.dumps({"name": "hg38"}), encoding="utf-8")
    assert read_release(record) == Release()
    (tmp_path / "annotation.gtf").write_text(GENCODE, encoding="utf-8")
    (tmp_path / "genome.fa").write_text(">chr1\nACGT\n", encoding="utf-8")
    assert read_release(record).number == "32 (Ensembl 98)"
    record.write_text(json.dumps({"name": "hg38", "release": Release("mine")._asdict()}), encoding="utf-8")
    assert str(read_release(record)) == "mine"
