"""Jobs done, running and failed by the events of a recorded run, and the time that is left."""

import pytest

from scripts.core.workflow.job_progress import JobProgress, JobWork, TimeLeft, format_minutes


class Clock:
    """A clock of which each test says the seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def info(job, rule: str) -> tuple[str, dict]:
    return "job_info", {"jobid": job, "rule_name": rule}


def finished(job) -> tuple[str, dict]:
    return "job_finished", {"job_id": job}


def failed(job) -> tuple[str, dict]:
    return "job_error", {"jobid": job}


def test_jobs_are_counted_and_the_line_names_the_rules_of_those_that_run():
    progress = JobProgress(lambda: 5, clock=Clock())
    lines = []
    for event, fields in [
        ("run_info", {"stats": {"total": 5}}),
        info(3, "download"),
        info(4, "download"),
        info(1, "reference"),
        failed(4),
        finished(3),
        ("progress", {"done": 1, "total": 5}),
        info(4, "download"),  # tried again
        ("shellcmd", {}),
        ("", {}),
    ]:
        progress.take(event, fields)
        lines.append(progress.line())
    assert lines == [
        "0 of 5 jobs done",
        "0 of 5 jobs done, 1 running (download)",
        "0 of 5 jobs done, 2 running (download)",
        "0 of 5 jobs done, 3 running (download, reference)",
        "0 of 5 jobs done, 2 running (download, reference), 1 failed",
        "0 of 5 jobs done, 1 running (reference), 1 failed",
        "1 of 5 jobs done, 1 running (reference), 1 failed",
        *["1 of 5 jobs done, 2 running (reference, download)"] * 3,
    ]


def test_a_line_fits_the_terminal():
    progress = JobProgress()
    for number, rule in enumerate(("align", "count", "download", "fastq", "mex_archive", "star_index")):
        progress.take(*info(number, rule))
    progress.take("progress", {"done": 1234, "total": 40000})
    assert progress.line(79) == "1,234 of 40,000 jobs done, 6 running (align, count, download, fastq, …)"
    assert progress.line(50) == "1,234 of 40,000 jobs done, 6 running (align, …)"
    assert progress.line(40) == "1,234 of 40,000 jobs done, 6 running"
    assert progress.line(10) == "1,234 of 4"


def test_an_empty_run_and_one_of_a_single_job():
    clock = Clock()
    assert JobProgress(clock=clock).line() == "0 of 0 jobs done"
    progress = JobProgress(lambda: 1, clock=clock)
    progress.take(*info(0, "resolve"))
    progress.take(*finished(0))
    progress.take("progress", {"done": 1, "total": 1})
    clock.now = 12.3
    assert progress.final_line() == "1 of 1 jobs done in 12 s."
    clock.now = 600
    assert progress.final_line() == "1 of 1 jobs done in 10 min."


def test_the_time_left_is_what_is_expected_scaled_by_what_jobs_of_the_rule_took():
    clock = Clock()
    left = TimeLeft(clock)
    left.plan({number: JobWork("align", 10.0, 2) for number in range(10)})  # 200 core-minutes
    assert left.minutes() is None
    left.start(0)
    left.start(1)
    clock.now = 300.0  # twice as fast as expected
    assert left.minutes() is None  # nothing has ended
    left.end(0, finished=True)
    left.end(1, finished=True)
    assert left.minutes() == pytest.approx(8 * 5 * 2 / 4)  # 4 cores were busy
    left.start(2)
    clock.now = 300.0 + 150  # half of it, of 5 minutes, is done: 75 core-minutes left; 25 were spent in 7.5 minutes
    assert left.minutes() == pytest.approx(75 / (25 / 7.5))
    clock.now = 3000.0  # it takes longer than the others: a tenth of it is left
    spent = 20 + 2700 / 60 * 2
    assert left.minutes() == pytest.approx((70 + 1) / (spent / 50))


def test_nothing_is_said_of_the_time_while_most_of_the_work_is_of_rules_that_were_not_seen():
    clock = Clock()
    left = TimeLeft(clock)
    left.plan({0: JobWork("download", 1.0, 1), 1: JobWork("download", 1.0, 1), 2: JobWork("align", 1.5, 1)})
    left.start(0)
    clock.now = 120.0
    left.end(0, finished=True)
    assert left.minutes() is None
    left.plan({1: JobWork("download", 1.0, 1), 2: JobWork("align", 0.5, 1)})
    assert left.minutes() == pytest.approx((1.0 + 0.5) * 2)  # both scaled by the one rule that was seen


def test_a_job_that_failed_says_nothing_of_the_others():
    clock = Clock()
    left = TimeLeft(clock)
    left.plan({0: JobWork("align", 10.0, 1), 1: JobWork("align", 10.0, 1)})
    left.start(0)
    clock.now = 61.0
    left.end(0, finished=False)
    left.end(7, finished=True)  # nobody knows it
    assert left.minutes() is None


def test_the_plan_is_asked_again_when_the_number_of_jobs_changes():
    clock, asked = Clock(), []
    number = 1

    def work():
        asked.append(number)
        if number == 3:
            raise KeyError("species")
        return {0: JobWork("align", 1.0, 1), 1: JobWork("align", 1.0, 1)}

    progress = JobProgress(lambda: number, work, clock)
    progress.take("run_info", {})
    progress.take("job_started", {})
    number = 2
    progress.take("job_started", {})
    progress.take(*info(0, "align"))
    clock.now = 120.0
    progress.take(*finished(0))
    progress.take("progress", {"done": 1, "total": 2})
    assert progress.line() == "1 of 2 jobs done, about 2 min left"
    number = 3
    progress.take("job_started", {})  # what cannot be said is left out
    assert asked == [1, 2, 3]
    assert progress.line() == "1 of 3 jobs done, about 2 min left"


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0.4, "less than a minute"),
        (1.2, "about 1 min"),
        (99.0, "about 99 min"),
        (100.0, "about 2 h"),
        (71 * 60, "about 71 h"),
        (5 * 1440, "about 5 days"),
    ],
)
def test_times_for_people(minutes, words):
    assert format_minutes(minutes) == words
