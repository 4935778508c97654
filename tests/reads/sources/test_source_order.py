"""The policy of a download, without a transfer: the order of the sources, passes and waits."""

import pytest

from scripts.reads.sources import source_order
from scripts.reads.sources.source_order import Again, SourceFault, SourceOrder

MB = 1 << 20
DOWN = SourceFault("DOWNLOAD_FAILED", "the server answered 503.", Again.EVERY_PASS)
GONE = SourceFault("DOWNLOAD_FAILED", "the server answered 404.")
WRONG = SourceFault("CHECKSUM_MISMATCH", "its md5 is another.")
CORRUPT = SourceFault("ARCHIVE_CORRUPT", "vdb-validate refuses the archive.")


@pytest.fixture
def waits(monkeypatch):
    """The seconds for which a download waits, which it does not here."""
    seconds = []
    monkeypatch.setattr(source_order.time, "sleep", seconds.append)
    return seconds


def ask(order, answers, planned=""):
    """Ask the sources of a run; ``answers`` has a fault, or (fault, bytes that arrived), or True or False, or a list.

    Return the name of the source that gave the run or the fault of the run, and the sources as they were asked.
    """
    passes = order.passes(planned)
    asked = []
    for source, _ in passes:
        asked.append(source.name)
        answer = answers[source.name]
        answer = answer.pop(0) if isinstance(answer, list) else answer
        if isinstance(answer, bool):
            passes.answered(source, answer)
            if answer:
                return source.name, asked
            continue
        fault, arrived = answer if isinstance(answer, tuple) else (answer, 0)
        passes.failed(source, fault, arrived)
    return passes.run_fault(), asked


def test_sources_are_asked_in_their_order_and_passes_are_further_and_further_apart(waits):
    order = SourceOrder(["sra", "ncbi"], more_passes=3, first_wait=2)
    fault, asked = ask(order, {"sra": DOWN, "ncbi": DOWN})
    assert asked == ["sra", "ncbi"] * 4
    assert waits == [2, 4, 8]
    assert (fault.reason, fault.detail) == (
        "DOWNLOAD_FAILED",
        "sra: the server answered 503; ncbi: the server answered 503.",
    )


def test_waits_have_a_bound_and_are_as_long_as_a_server_asks(waits):
    busy = SourceFault("DOWNLOAD_FAILED", "429.", Again.EVERY_PASS, wait=400)
    for fault, longest in ((DOWN, 120), (busy, 400), (SourceFault("", "", Again.EVERY_PASS, wait=9000), 600)):
        waits.clear()
        ask(SourceOrder(["ncbi"], more_passes=1, first_wait=1000), {"ncbi": [fault, True]})
        assert waits == [longest]


def test_the_first_source_that_has_the_run_ends_the_search(waits):
    assert ask(SourceOrder(["sra", "ncbi"], 5, 1), {"sra": GONE, "ncbi": True}) == ("ncbi", ["sra", "ncbi"])
    assert not waits


@pytest.mark.parametrize(
    ("fault", "times"),
    [(GONE, 1), (WRONG, 1), (SourceFault("DOWNLOAD_FAILED", "a web page.", Again.ONCE), 2), (DOWN, 4)],
)
def test_a_source_is_asked_again_as_often_as_its_fault_allows(waits, fault, times):
    assert ask(SourceOrder(["sra"], 3, 1), {"sra": fault})[1] == ["sra"] * times


def test_a_pass_in_which_more_arrived_than_ever_does_not_count(waits):
    parts = [(DOWN, 2 * MB), (DOWN, 4 * MB), (DOWN, 4 * MB + 1)]
    fault, asked = ask(SourceOrder(["ncbi"], more_passes=0, first_wait=1), {"ncbi": parts})
    assert asked == ["ncbi"] * 3 and waits == [1, 1]
    assert fault.reason == "DOWNLOAD_FAILED"


def test_fastq_of_ena_comes_last_and_in_the_second_pass_while_archives_may_still_come(waits):
    answers = {"ncbi": DOWN, "ena": DOWN, "ena_fastq": True}
    found, asked = ask(SourceOrder(["ncbi", "ena"], 5, 1), answers)
    assert (found, asked) == ("ena_fastq", ["ncbi", "ena", "ncbi", "ena", "ena_fastq"])
    assert ask(SourceOrder(["ena"], 5, 1), {"ena": GONE, "ena_fastq": True})[1] == ["ena", "ena_fastq"]


def test_fastq_of_ena_is_asked_in_its_position_where_the_order_names_it(waits):
    answers = {"ena_fastq": True, "sra": DOWN, "ena": DOWN}
    assert ask(SourceOrder(["ena_fastq", "sra", "ena"], 5, 1), answers) == ("ena_fastq", ["ena_fastq"])
    assert ask(SourceOrder(["sra", "ena_fastq", "ena"], 5, 1), answers) == ("ena_fastq", ["sra", "ena_fastq"])
    assert ask(SourceOrder(["ena_fastq", "sra"], 1, 1), {**answers, "ena_fastq": False})[1] == [
        "ena_fastq",
        "sra",
        "sra",
    ]


def test_what_was_submitted_is_asked_when_no_other_source_is_left_or_in_the_last_pass(waits):
    order = SourceOrder(["submitted", "sra", "ena"], 2, 1)
    lost = SourceFault("READS_MISSING", "the record has 9 spots, the archive 8.")
    answers = {"sra": lost, "ena": GONE, "ena_fastq": False, "submitted": True}
    assert ask(order, answers) == ("submitted", ["sra", "ena", "ena_fastq", "submitted"])
    answers = {"sra": DOWN, "ena": GONE, "ena_fastq": False, "submitted": True}
    assert ask(order, answers)[1] == ["sra", "ena", "sra", "ena_fastq", "sra", "submitted"]
    fault, _ = ask(order, {**answers, "sra": lost, "submitted": GONE})
    assert (fault.reason, fault.detail) == (
        "READS_MISSING",
        "sra: the record has 9 spots, the archive 8; ena: the server answered 404; submitted: the server answered 404.",
    )
    assert ask(order, {"submitted": GONE}, planned="submitted")[1] == ["submitted"]
    assert next(iter(order.passes("", lost=True)))[0].name == "submitted"


def test_an_archive_without_its_references_is_not_looked_for_at_another_source(waits):
    missing = SourceFault("REFERENCE_MISSING", "it is aligned to references that cannot be had.")
    answers = {"sra": missing, "ncbi": True, "ena": True, "ena_fastq": True}
    assert ask(SourceOrder(["sra", "ncbi", "ena"], 5, 1), answers) == ("ena_fastq", ["sra", "ena_fastq"])
    again = SourceFault("REFERENCE_MISSING", "the resolver does not answer.", Again.ONCE)
    assert ask(SourceOrder(["sra", "ncbi"], 5, 1), {"sra": again, "ncbi": True})[0] == "ncbi"


def test_a_source_that_has_nothing_of_the_run_is_no_fault(waits):
    fault, asked = ask(SourceOrder(["ena"], 2, 1), {"ena": GONE, "ena_fastq": False})
    assert asked == ["ena", "ena_fastq"]
    assert fault.detail == "ena: the server answered 404."


def test_where_no_source_has_anything_of_the_run_that_is_said(waits):
    fault, asked = ask(SourceOrder(["ena_fastq", "submitted"], 2, 1), {"ena_fastq": False, "submitted": False})
    assert asked == ["ena_fastq", "submitted"]
    assert (fault.reason, fault.detail) == (
        "DOWNLOAD_FAILED",
        "the records name no file of the run at ena_fastq, submitted.",
    )


def test_an_archive_that_two_sources_have_broken_is_not_looked_for_at_a_third(waits):
    answers = {"sra": CORRUPT, "ncbi": CORRUPT, "ena": True, "ena_fastq": True}
    assert ask(SourceOrder(["sra", "ncbi", "ena"], 5, 1), answers) == ("ena_fastq", ["sra", "ncbi", "ena_fastq"])


def test_the_gravest_fault_names_that_of_the_run(waits):
    fault, _ = ask(SourceOrder(["sra", "ncbi"], 0, 1), {"sra": WRONG, "ncbi": GONE})
    assert (fault.reason, fault.detail) == (
        "CHECKSUM_MISMATCH",
        "sra: its md5 is another; ncbi: the server answered 404.",
    )


def test_a_run_planned_from_its_bam_has_no_other_source(waits):
    assert ask(SourceOrder(["sra", "ena"], 1, 1), {"bam": DOWN}, planned="bam")[1] == ["bam", "bam"]


def test_a_source_that_fails_for_three_runs_in_a_row_is_asked_last_until_it_serves_again(waits):
    order = SourceOrder(["sra", "ncbi"], 0, 1)
    for _ in range(3):
        assert ask(order, {"sra": DOWN, "ncbi": True})[1] == ["sra", "ncbi"]
    assert ask(order, {"sra": DOWN, "ncbi": True})[1] == ["ncbi"]
    assert ask(order, {"sra": True, "ncbi": GONE})[1] == ["ncbi", "sra"]
    assert ask(order, {"sra": True, "ncbi": GONE})[1] == ["sra"]


def test_a_slow_source_is_left_only_while_another_one_may_be_asked_and_a_pass_follows(waits):
    passes = SourceOrder(["sra", "ncbi"], more_passes=1, first_wait=1).passes("")
    hurried = []
    for source, left in passes:
        hurried.append((source.name, left))
        passes.failed(source, DOWN, 0)
    assert hurried == [("sra", True), ("ncbi", True), ("sra", False), ("ncbi", False)]
    for order in (["sra"], ["sra", "submitted"]):
        passes = SourceOrder(order, 1, 1).passes("")
        assert next(iter(passes))[1] is False
