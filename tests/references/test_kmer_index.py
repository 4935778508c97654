"""The index of k-mers: the words of the exons, each with its locus, on either strand, and a sample of them."""

import random

import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.references import kmers
from scripts.references.kmer_index import (
    SEVERAL,
    K,
    KmerIndex,
    build_kmer_index,
    encode,
    hash_kmers,
    largest_hash,
    merge,
    mix,
    read_exons,
    read_kmer_index,
)

COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def bases(length, seed):
    return bytes(random.Random(seed).choices(b"ACGT", k=length))


def slow_hash(word):
    """The hash of a word by its definition."""
    digits = bytes.maketrans(b"ACGT", b"0123")
    numbers = [int(text.translate(digits), 4) for text in (word, word[::-1].translate(COMPLEMENT))]
    return int(mix(np.array([min(numbers)], np.uint64))[0])


@pytest.mark.parametrize("scale", [1, 4])
def test_hashes_are_those_of_the_words_on_either_strand(scale):
    text = bases(200, 1)
    found, places = hash_kmers(encode(text), scale)
    words = {at: slow_hash(text[at : at + K]) for at in range(200 - K + 1)}
    assert dict(zip(places.tolist(), found.tolist(), strict=True)) == {
        at: word for at, word in words.items() if word <= largest_hash(scale)
    }
    other, _ = hash_kmers(encode(text[::-1].translate(COMPLEMENT)), scale)
    assert sorted(other.tolist()) == sorted(found.tolist())


def test_words_with_other_letters_and_short_reads_have_none():
    text = bases(30, 2) + b"N" + bases(K, 3).lower()
    _, places = hash_kmers(encode(text), 1)
    assert places.tolist() == [*range(30 - K + 1), 31]
    assert hash_kmers(encode(bases(K - 1, 4)), 1)[0].size == 0
    assert hash_kmers(encode(b""), 1)[0].size == 0


def test_spans_that_overlap_are_one():
    assert merge([(5, 9), (0, 3), (8, 12), (12, 15), (1, 2)]).tolist() == [[0, 3], [5, 12], [12, 15]]


def line(contig, start, end, gene):
    return f'{contig}\tx\texon\t{start + 1}\t{end}\t.\t+\t.\tgene_id "{gene}"; transcript_id "{gene}.1";\n'


@pytest.fixture
def reference(tmp_path):
    """Two contigs with three genes in two loci, one exon there twice, and a spike-in."""
    first, second = bases(2000, 5), bases(500, 6)
    first = first[:1500] + first[100:200] + first[1600:]  # the second exon of c is the first of a
    (tmp_path / "genome.fa").write_bytes(
        b">chr1\n" + first[:900] + b"\n" + first[900:] + b"\n>chr2\n" + second + b"\n>phiX\n" + bases(300, 7) + b"\n"
    )
    exons = [("chr1", 100, 200, "a"), ("chr1", 400, 500, "a"), ("chr1", 450, 600, "b"), ("chr1", 1500, 1600, "c")]
    exons += [("chr2", 0, 50, "d"), ("phiX", 0, 300, "phi")]
    (tmp_path / "annotation.gtf").write_text("".join(line(*exon) for exon in exons))
    (tmp_path / "reference.json").write_text('{"fingerprint": "1", "spike_ins": {"contigs": ["phiX"]}}')
    return first, second


def test_exons_are_merged_and_genes_that_overlap_are_one_locus(tmp_path, reference):
    exons = read_exons(tmp_path / "annotation.gtf", {"phiX"})
    assert {contig: [values.tolist() for values in of_contig] for contig, of_contig in exons.items()} == {
        "chr1": [[100, 400, 1500], [200, 600, 1600], [0, 0, 1]],
        "chr2": [[0], [50], [2]],
    }


def test_the_index_has_the_words_of_the_exons_with_their_loci(tmp_path, reference):
    first, second = reference
    paths = [
        f"--{name}={tmp_path / file}" for name, file in (("genome", "genome.fa"), ("annotation", "annotation.gtf"))
    ]
    output = tmp_path / "kmers.npz"
    kmers.main([*paths, f"--reference={tmp_path / 'reference.json'}", f"--output={output}"])
    index = read_kmer_index(output)
    assert index.scale == 1

    def loci(text):
        found, _ = hash_kmers(encode(text), 1)
        return [int(index.loci[place]) if place >= 0 else None for place in index.find(found)]

    assert loci(first[400:600]) == [0] * 180
    assert loci(first[100:200]) == [SEVERAL] * 80
    assert loci(second[:50]) == [2] * 30
    assert set(loci(first[220:380])) == {None}
    assert set(loci(bases(300, 7))) == {None}
    assert index.hashes.size == 180 + 80 + 30
    before = output.read_bytes()
    kmers.main([*paths, f"--reference={tmp_path / 'reference.json'}", f"--output={output}"])
    assert output.read_bytes() == before


def test_of_large_references_a_sample_is_kept_which_is_the_same_for_all(tmp_path, reference, monkeypatch):
    whole = build_kmer_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf")
    monkeypatch.setattr("scripts.references.kmer_index.MOST_KMERS", 100)
    sample = build_kmer_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf")
    assert sample.scale == 8  # 750 bases of exons
    assert sample.hashes.tolist() == whole.below(8).hashes.tolist()
    assert sample.loci.tolist() == whole.below(8).loci.tolist()


def test_a_reference_without_exons_and_a_file_that_is_no_index(tmp_path):
    (tmp_path / "genome.fa").write_bytes(b">chr1\nACGT\n")
    (tmp_path / "annotation.gtf").write_text("")
    empty = build_kmer_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf")
    assert empty.find(np.array([1, 2], np.uint64)).tolist() == [-1, -1]
    assert isinstance(empty, KmerIndex)
    (tmp_path / "no.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="index of k-mers"):
        read_kmer_index(tmp_path / "no.npz")
