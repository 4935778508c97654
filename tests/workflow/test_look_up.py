"""A look-up that fails, as the workflow shows it: the exit status, the last lines, and the next call."""

import pytest

from tests.records.looked_up import two_cells
from tests.records.small_archives import keep, package_set

pytestmark = pytest.mark.tools

SOURCES = {"hg38": {"fasta": "https://example.org/a.fa.gz", "gtf": "https://example.org/a.gtf.gz"}}
SPECIES = {"mus": {"tax_id": 10090, "reference": "hg38"}}
NOWHERE = dict.fromkeys(("geo", "eutils", "ena", "sra"), "http://127.0.0.1:9/x")
HEADING = "The look-up could not be completed: no plan is written, and the same command asks again."


def configure(analysis, **values):
    analysis.configure(
        series=["GSE1"], species=SPECIES, references=SOURCES, archives={**NOWHERE, "retries": 0}, **values
    )


def test_without_network_there_is_no_plan_and_the_next_call_asks_again(analysis):
    configure(analysis)
    for target in ((), ("resolve",)):
        answer = analysis.snakemake("--cores", "1", *target)
        assert answer.status == 1
        what, job, heading, reason, again, command = answer.text.splitlines()[-6:]
        assert (what, job) == ("What failed:", "  resolve (logs/resolve/resolve.log):")
        assert heading.strip() == HEADING
        assert reason.strip().startswith("GEO's family file of GSE1 could not be fetched: http://127.0.0.1:9/x/series/")
        assert again == "Put it right and call the same command again; what is done is not done again:"
        assert command.endswith(" ".join(["--cores", "1", *target]))
        assert not (analysis.folder / "results" / "plan.tsv").exists()
    soft, packages = two_cells()
    keep(analysis.folder / "resources" / "records", "GSE1", soft, package_set(*packages.values()))
    answer = analysis.snakemake("--cores", "1", "resolve")
    assert answer.status == 0, answer.text
    assert (analysis.folder / "results" / "plan.tsv").read_text().count("SRR") == 3
    answer = analysis.snakemake("--cores", "1", "resolve")
    assert "Nothing to be done" in answer.text
    plan = (analysis.folder / "results" / "plan.tsv").read_bytes()
    configure(analysis, refresh="all")
    answer = analysis.snakemake("--cores", "1", "resolve")
    assert (analysis.folder / "results" / "plan.tsv").read_bytes() == plan
    assert (answer.status, answer.text.splitlines()[-4].strip()) == (1, HEADING)
    configure(analysis)
    assert analysis.snakemake("--cores", "1", "resolve").status == 0
