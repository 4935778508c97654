"""RunInfo and SraRunTable."""

import pytest

from scripts.core.errors import InputError
from scripts.records import runinfo


def line(run: str, experiment: str = "SRX1", **values: str) -> str:
    values = {
        "Run": run,
        "Experiment": experiment,
        "spots": "10",
        "bases": "1500",
        "LibraryLayout": "PAIRED",
        "TaxID": "9606",
        "ScientificName": "Homo sapiens",
        "SampleName": "GSM5",
        "CenterName": '"INSTITUTE OF TOYS, ZURICH"',
        "Consent": "public",
        **values,
    }
    return ",".join(values.get(name, "") for name in runinfo.RUNINFO)


@pytest.mark.parametrize("header", [True, False])
def test_the_header_may_be_missing(header: bool) -> None:
    head = [",".join(runinfo.RUNINFO)] if header else []
    text = "\n".join([*head, line("SRR2"), "", line("SRR1"), line("SRR1"), "", *head, line("SRR3", "SRX0")]) + "\n\n"
    first, second = runinfo.parse_run_list(text.encode(), "runinfo")
    assert (first.experiment, [run.run for run in first.runs]) == ("SRX0", ["SRR3"])
    assert [(run.run, run.spots, run.bases) for run in second.runs] == [("SRR1", "10", "1500"), ("SRR2", "10", "1500")]
    assert (second.samples, second.layout, second.taxa) == (("GSM5",), "paired", (("9606", "Homo sapiens"),))
    assert second.runs[0].closed == ""


def test_a_consent_group_closes_a_run() -> None:
    (found,) = runinfo.parse_run_list(line("SRR1", Consent="GRU").encode(), "runinfo")
    assert found.runs[0].closed == "its consent group is 'GRU', not public"


def test_the_old_run_selector() -> None:
    text = (
        "AvgSpotLen_l\tExperiment_s\tMBases_l\tRun_s\tSample_Name_s\tLibraryLayout_s\tOrganism_s\tSRA_Study_s\n"
        "150\tSRX9\t314\tSRR1975007\tGSM1658365\tPAIRED\tMus musculus\tSRP057196\n"
    )
    (found,) = runinfo.parse_run_list(text.encode(), "table")
    assert (found.experiment, found.samples, found.study) == ("SRX9", ("GSM1658365",), "SRP057196")
    assert found.taxa == (("10090", "Mus musculus"),)
    assert (found.layout, found.runs[0].run, found.runs[0].spots) == ("paired", "SRR1975007", "")


def test_the_run_selector_of_today() -> None:
    text = (
        "Run,Assay Type,Bases,Bytes,Consent,Experiment,GEO_Accession (exp),LibraryLayout,Organism,Sample Name\n"
        'SRR7,RNA-Seq,494,352,public,SRX4,GSM3,SINGLE,Danio rerio,"x, y"\n'
    )
    (found,) = runinfo.parse_run_list(text.encode(), "table")
    assert (found.experiment, found.samples, found.strategy, found.taxa) == ("SRX4", ("GSM3",), "RNA-Seq", ())
    assert (found.runs[0].bases, found.runs[0].size) == ("494", "352")


def test_an_empty_table_has_no_run() -> None:
    assert runinfo.parse_run_list(b"\n\n", "runinfo") == []


@pytest.mark.parametrize("body", ["<?xml version='1.0'?><ERROR>no</ERROR>", "Error: no such run\n", "a,b\n1,2\n"])
def test_what_is_no_table_of_runs_is_refused(body: str) -> None:
    with pytest.raises(InputError, match="runinfo: not a table of runs; it"):
        runinfo.parse_run_list(body.encode(), "runinfo")
