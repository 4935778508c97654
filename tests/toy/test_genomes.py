"""The toy genomes: what reads are made from must be what the annotation says."""

import gzip
import re
from collections import Counter

import pytest

from tests.toy import genomes
from tests.toy.genomes import ARRANGEMENTS, Gene, Genome, Transcript


@pytest.fixture(scope="module", params=["hg38", "mm10"])
def genome(request: pytest.FixtureRequest) -> Genome:
    return genomes.make_genome(request.param, 1)


def test_a_seed_makes_one_genome():
    assert genomes.make_genome("hg38", 1) == genomes.make_genome("hg38", 1)
    assert genomes.make_genome("hg38", 1).contigs != genomes.make_genome("hg38", 2).contigs
    assert genomes.make_genome("hg38", 1).contigs["chr1"][:500] != genomes.make_genome("mm10", 1).contigs["chr1"][:500]


def test_every_arrangement_is_there(genome: Genome):
    assert {gene.arrangement for gene in genome.genes} == set(ARRANGEMENTS) - {"spike_in"}
    assert 55 <= len(genome.genes) <= 70
    assert len({gene.gene_id for gene in genome.genes}) == len(genome.genes)
    names = Counter(gene.gene_name for gene in genome.genes)
    assert sorted(names.values())[-2:] == [1, 2]
    transcripts = [transcript.transcript_id for gene in genome.genes for transcript in gene.transcripts]
    assert len(set(transcripts)) == len(transcripts)


def test_introns_have_canonical_splice_sites(genome: Genome):
    for gene in genome.genes:
        for transcript in gene.transcripts:
            for left, right in zip(transcript.exons[:-1], transcript.exons[1:], strict=True):
                intron = genome.contigs[gene.contig][left[1] : right[0]]
                if gene.strand == "-":
                    intron = genomes.reverse_complement(intron)
                assert (intron[:2], intron[-2:]) == ("GT", "AG"), gene.gene_id


def test_only_the_duplicated_genes_repeat(genome: Genome):
    size = 30
    seen: Counter[str] = Counter()
    inside = Counter()
    spans = [(gene.contig, gene.start - genomes.FLANK, gene.end + genomes.FLANK) for gene in genome.of("duplicate")]
    for contig, sequence in genome.contigs.items():
        for start in range(len(sequence) - size):
            word = sequence[start : start + size]
            seen[word] += 1
            seen[genomes.reverse_complement(word)] += 1
            if any(contig == name and left <= start and start + size <= right for name, left, right in spans):
                inside[word] += 1
    assert {word for word, count in seen.items() if count > 1} - set(inside) <= {
        genomes.reverse_complement(word) for word in inside
    }
    first, second = genome.of("duplicate")
    assert genome.contigs["chr1"][first.start : first.end] == genome.contigs["chr1"][second.start : second.end]


def test_overlaps_and_nests_are_as_their_names_say(genome: Genome):
    for arrangement, shared in (("overlap_same", 150), ("overlap_antisense", 150), ("overlap_short", 30)):
        genes = genome.of(arrangement)
        for left, right in zip(genes[::2], genes[1::2], strict=True):
            assert left.end - right.start >= shared
            assert left.exons[-1][0] < right.start < left.exons[-1][1] < right.exons[0][1]
            if arrangement != "overlap_short":
                assert (left.strand == right.strand) == (arrangement == "overlap_same")
    for host, inner in zip(genome.of("host"), genome.of("nested"), strict=True):
        assert any(start < inner.start and inner.end < end for start, end in host.introns)


def test_annotation_is_in_the_manner_of_gencode(genome: Genome):
    lines = list(genomes.gencode_lines(genome))
    assert lines[0].startswith("##description:")
    rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    assert {len(row) for row in rows} == {9}
    assert {row[2] for row in rows} == {"gene", "transcript", "exon", "CDS"}
    exons: dict[str, set[tuple[int, int]]] = {}
    for row in rows:
        gene_id = re.search(r'gene_id "([^"]+)"; ', row[8])[1]
        assert 'gene_type "' in row[8] and 'gene_name "' in row[8]
        if row[2] == "exon":
            exons.setdefault(gene_id, set()).add((int(row[3]) - 1, int(row[4])))
    assert exons == {gene.gene_id: {e for t in gene.transcripts for e in t.exons} for gene in genome.genes}


def test_exons_are_numbered_along_the_transcript():
    exons = ((0, 100), (200, 300))
    gene = Gene("G.1", "G", "protein_coding", "chr1", "-", (Transcript("T.1", exons),), "multi_exon")
    lines = [line for line in genomes.gencode_lines(Genome("x", {"chr1": "A" * 400}, (gene,))) if "\texon\t" in line]
    assert [(line.split("\t")[3], re.search("exon_number (.)", line)[1]) for line in lines] == [
        ("201", "1"),
        ("1", "2"),
    ]


def test_spike_ins_are_contigs_of_their_own():
    spike_ins = genomes.make_spike_ins(1)
    assert all(re.fullmatch(r"ERCC-\d{5}", name) for name in spike_ins.contigs)
    lines = list(genomes.spike_in_lines(spike_ins))
    assert len(lines) == len(spike_ins.contigs)
    length = len(spike_ins.contigs["ERCC-00002"])
    assert lines[0] == (
        f"ERCC-00002\tERCC\texon\t1\t{length}\t0.000000\t+\t.\t"
        'gene_id "ERCC-00002"; transcript_id "DQ900002";\n'
    )  # fmt: skip


def test_fasta_has_a_short_last_line(tmp_path):
    assert list(genomes.fasta_lines({"a": "ACGTA", "b": "AC"}, width=4)) == [">a\n", "ACGT\n", "A\n", ">b\n", "AC\n"]
    genomes.write_text(tmp_path / "x.fa.gz", ["ß\n"])
    packed = (tmp_path / "x.fa.gz").read_bytes()
    assert gzip.decompress(packed) == "ß\n".encode()
    assert packed[3:8] == bytes(5)  # neither name nor time in the header
