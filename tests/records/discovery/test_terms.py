"""Search terms of Entrez for series of GEO and experiments of SRA."""

import pytest

from scripts.core.errors import InputError
from scripts.records.discovery.terms import Wanted, gds_term, sra_term

HIGH_THROUGHPUT = "expression profiling by high throughput sequencing"


def test_series_are_found_by_organism_type_and_date():
    wanted = Wanted(["9606", "10090"], [HIGH_THROUGHPUT], "2026-10-01", "2026-11-01")
    assert gds_term(wanted) == (
        'gse[ETYP] AND ("Homo sapiens"[Organism] OR "Mus musculus"[Organism]) AND'
        f' "{HIGH_THROUGHPUT}"[DataSet Type] AND 2026/10/01:2026/11/01[PDAT]'
    )


def test_an_open_range_an_update_and_a_species_without_a_known_name():
    wanted = Wanted(["99999"], since="2026-10-01", date="updated")
    assert gds_term(wanted) == "gse[ETYP] AND txid99999[Organism:exp] AND 2026/10/01:3000/12/31[UDAT]"
    assert sra_term(wanted) == (
        '"transcriptomic single cell"[Source] AND txid99999[Organism:exp] AND public[Access]'
        " AND 2026/10/01:3000/12/31[MDAT]"
    )


def test_a_query_takes_the_place_of_organism_and_type():
    wanted = Wanted(["9606"], [HIGH_THROUGHPUT], query='"Perturb-seq" OR crop-seq', until="2026-11-01")
    assert gds_term(wanted) == 'gse[ETYP] AND ("Perturb-seq" OR crop-seq) AND 1900/01/01:2026/11/01[PDAT]'


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(), "give the date from which on series are new, e.g. `since: 2026-10-01`, or a `query`."),
        (Wanted(since="1.10.2026"), "since: '1.10.2026' is not a date; write it as 2026-10-01."),
        (Wanted(since="2026-02-30"), "since: '2026-02-30' is not a date"),
        (Wanted(since="2026-10-01", until="2026-09-01"), "until: 2026-09-01 is before since: 2026-10-01."),
        (Wanted(query='"retina'), "query: a quote or bracket is not closed in '\"retina'."),
        (Wanted(query="retina) OR (x"), "query: a quote or bracket is not closed"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(wanted: Wanted, words: str):
    with pytest.raises(InputError) as caught:
        wanted.check()
    assert words in str(caught.value)


def test_brackets_in_a_phrase_are_text():
    Wanted(query='"a (b" AND (c OR d[TITL])').check()
