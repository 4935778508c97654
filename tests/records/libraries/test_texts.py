"""Which fields of a record are texts, and of what scope."""

from scripts.records.answers.family_files import Entity
from scripts.records.answers.sra_xml import Experiment
from scripts.records.libraries.evidence import Scope
from scripts.records.libraries.texts import own_title, texts_of_experiment, texts_of_sample, texts_of_series


def test_the_texts_of_a_sample() -> None:
    fields = {
        "title": ["cell 1"],
        "source_name_ch1": ["islet"],
        "characteristics_ch1": ["cell count: 1", "sex: f"],
        "description": ["Counts are in GSE1_scRNAseq_counts.csv.gz of  this series"],
        "growth_protocol_ch1": ["grown"],
        "treatment_protocol_ch1": ["treated"],
        "extract_protocol_ch1": ["lysed", "amplified"],
        "data_processing": ["aligned"],
        "platform_id": ["GPL1"],
        "contact_name": ["A"],
    }
    found = [(text.scope, text.where, text.text) for text in texts_of_sample(Entity("sample", "GSM1", fields))]
    assert found == [
        (Scope.NAME, "sample title", "cell 1"),
        (Scope.TRAIT, "characteristics", "source name: islet"),
        (Scope.TRAIT, "characteristics", "cell count: 1"),
        (Scope.TRAIT, "characteristics", "sex: f"),
        (Scope.DESCRIPTION, "description", "Counts are in of this series"),
        (Scope.CULTURE, "treatment protocol", "treated"),
        (Scope.CULTURE, "growth protocol", "grown"),
        (Scope.PROTOCOL, "extraction protocol", "lysed"),
        (Scope.PROTOCOL, "extraction protocol", "amplified"),
        (Scope.PROCESSING, "data processing", "aligned"),
    ]
    assert texts_of_sample(Entity("sample", "GSM1", {})) == ()


def test_a_superseries_says_nothing_of_its_samples() -> None:
    fields = {"title": ["Single cells"], "summary": ["S."], "overall_design": ["D."]}
    series = Entity("series", "GSE1", fields)
    assert [text.scope for text in texts_of_series(series)] == [Scope.SERIES_TITLE, Scope.SUMMARY, Scope.DESIGN]
    assert texts_of_series(Entity("series", "GSE2", {**fields, "relation": ["SuperSeries of: GSE1"]})) == ()


def test_the_texts_of_an_experiment() -> None:
    experiment = Experiment(
        "SRX1",
        title="GSM1: cell 1; Mus musculus; RNA-Seq",
        library="GSM1_r1",
        protocol="lysed",
        design="one cell",
        sample_title="cell 1",
        attributes=(("tissue", "lung"), ("empty", "")),
        study_title="A study",
        study_abstract="We looked. Overall design: Ten cells.",
    )
    assert [(text.scope, text.text) for text in texts_of_experiment(experiment)] == [
        (Scope.NAME, "cell 1"),
        (Scope.NAME, "cell 1"),
        (Scope.TRAIT, "tissue: lung"),
        (Scope.DESCRIPTION, "one cell"),
        (Scope.PROTOCOL, "lysed"),
        (Scope.SERIES_TITLE, "A study"),
        (Scope.SUMMARY, "We looked."),
        (Scope.DESIGN, "Ten cells."),
    ]
    assert texts_of_experiment(Experiment("SRX1")) == ()


def test_a_long_description_is_a_protocol() -> None:
    (text,) = texts_of_sample(Entity("sample", "GSM1", {"description": ["Bulk controls were made. " * 20]}))
    assert (text.scope, text.where) == (Scope.PROTOCOL, "description")


def test_signs_of_typesetters() -> None:
    (text,) = texts_of_sample(
        Entity("sample", "GSM1", {"description": ["single\u2010cell\u00a0RNA\u2013seq, 10\u00d7"]})
    )
    assert text.text == "single-cell RNA-seq, 10x"


def test_the_title_without_what_archives_add() -> None:
    assert own_title("GSM1: a; b; Mus musculus; RNA-Seq") == "a; b"
    assert own_title("Illumina HiSeq 2000 sequencing; GSM1: a; Mus musculus; RNA-Seq") == "a"
    assert own_title("a; b; c") == "a; b; c"
