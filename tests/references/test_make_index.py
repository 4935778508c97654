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
    assert size_options(20_000_000_000, 10, 100)["limitGenomeGenerateRAM"] == 240_000_000_000
