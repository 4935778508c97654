"""Options with which STAR makes an index."""

from scripts.references.make_index import size_options


def test_options_of_an_index_follow_the_genome():
    human = size_options(3_100_000_000, 195, 100)
    assert (human["genomeSAindexNbases"], human["genomeChrBinNbits"]) == (14, 18)
    toy = size_options(120_000, 2, 100)
    assert (toy["genomeSAindexNbases"], toy["genomeChrBinNbits"]) == (7, 15)
    scaffolds = size_options(1_000_000_000, 500_000, 100)
    assert scaffolds["genomeChrBinNbits"] == 10
    assert size_options(1000, 1000, 100)["genomeChrBinNbits"] == 6  # no less than a read


def test_suffixes_are_sorted_in_pieces_that_take_no_more_memory_than_the_rest():
    for bases in (250_000_000, 3_100_000_000, 20_000_000_000):
        limit = size_options(bases, 25, 100)["limitGenomeGenerateRAM"]
        sequence = 2 * bases
        assert limit > sequence * 4 / 3  # STAR refuses less
        for threads in (2, 16):
            suffixes = 0.6 * (limit - sequence) / 8 / threads  # of one piece
            assert 2 * bases / suffixes > 2 * threads  # all threads are busy
            assert sequence + threads * suffixes * 8 * 2 < 10.5 * bases
    assert size_options(120_000, 2, 100)["limitGenomeGenerateRAM"] == 2_000_000_000
