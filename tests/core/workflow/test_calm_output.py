"""What is shown of a recorded run of Snakemake, on a terminal and in a file."""

import io
import logging
import sys

import pytest

from scripts.core.workflow.calm_output import CalmOutput
from scripts.core.workflow.job_progress import JobProgress

NOTHING = "Nothing to be done (all requested files are present and up to date)."
EXITING = "Exiting because a job execution failed."


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Run:
    """Snakemake's logger with its handler for the terminal replaced."""

    def __init__(self, monkeypatch, terminal: bool, planned: int = 4, progress: JobProgress | None = None) -> None:
        monkeypatch.setenv("TERM", "xterm")
        self.now = 0.0
        self.stream = Stream(terminal)
        self.planned = planned
        full = logging.StreamHandler(self.stream)
        full.setFormatter(logging.Formatter("<%(message)s>"))
        self.progress = progress or JobProgress(lambda: self.planned, clock=lambda: self.now)
        self.calm = CalmOutput(
            full, self.progress, "mine/s.log", {"resolve"}, {NOTHING}, {EXITING}, clock=lambda: self.now
        )
        self.logger = logging.Logger("of a run")
        self.logger.addHandler(self.calm)

    def say(self, text, event=None, level=logging.INFO, **fields) -> None:
        self.now += 1
        self.logger.log(level, text, extra={"event": event, **fields})

    def job(self, number: int, rule: str) -> None:
        self.say("rule", "job_info", jobid=number, rule_name=rule)

    def fail(self, number: int, rule: str, log: str = "", said: str | None = None, indent: bool = False) -> None:
        fields = {"jobid": number, "rule_name": rule, "log": [log] if log else [], "rule_msg": said, "indent": indent}
        self.say("Error in rule", "job_error", logging.ERROR, **fields)

    def finish(self, number: int) -> None:
        self.say("Finished", "job_finished", job_id=number)
        self.say(None, "progress", done=self.progress.done + 1, total=self.planned)

    def begin(self) -> None:
        self.say("Assuming unrestricted shared filesystem usage.")
        self.say("Workflow has started!", "workflow_started")
        self.say("Building DAG of jobs...")
        self.say("Job stats:", "run_info", stats={})
        self.say("Select jobs to execute...")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log").write_text("3 of 7\nError: SRR1: the file is cut off.\n")
    (tmp_path / "stopped.log").write_text("Error: stopped by Ctrl-C.\n")
    return tmp_path


def test_a_file_has_a_line_now_and_then_and_no_control_character(monkeypatch, folder):
    run = Run(monkeypatch, terminal=False, planned=1000)
    run.begin()
    for number in range(1000):
        run.job(number, "count")
        run.finish(number)  # three seconds a job
    run.calm.finish(failed=False)
    run.say("Complete log(s): /x/mine/s.log")
    run.calm.close()
    lines = run.stream.getvalue().splitlines()
    assert lines[:3] == [
        "<Assuming unrestricted shared filesystem usage.>",
        "Snakemake's full output (here with -p) goes to mine/s.log",
        "0 of 1,000 jobs done",
    ]
    assert lines[3] == "19 of 1,000 jobs done"  # a minute later
    assert lines[-1] == "1,000 of 1,000 jobs done in 50 min."
    assert 40 < len(lines) < 65  # 3,000 seconds
    assert "\r" not in run.stream.getvalue() and "\x1b" not in run.stream.getvalue()


def test_a_terminal_has_one_line_that_changes(monkeypatch, folder):
    run = Run(monkeypatch, terminal=True)
    run.begin()
    run.job(0, "resolve")
    assert run.stream.getvalue().endswith("\r\x1b[K0 of 4 jobs done\r\r\x1b[K")  # it prints by itself
    run.finish(0)
    run.job(1, "align")
    assert run.stream.getvalue().endswith("\r\x1b[K1 of 4 jobs done, 1 running (align)\r")
    run.finish(1)
    run.calm.finish(failed=False)
    assert run.stream.getvalue().endswith("\r\x1b[K2 of 4 jobs done in 11 s.\n")
    assert run.stream.getvalue().count("\n") == 3
    run.say("Elapsed time")
    run.calm.close()
    assert run.stream.getvalue().endswith("in 11 s.\n")


def test_warnings_and_errors_are_shown_at_once(monkeypatch, folder):
    run = Run(monkeypatch, terminal=True)
    run.begin()
    run.job(1, "align")
    run.say("No account.", level=logging.WARNING)
    assert run.stream.getvalue().endswith("\r\x1b[K<No account.>\n\r\x1b[K0 of 4 jobs done, 1 running (align)\r")
    run.say("RuleException in rule align", "error", logging.ERROR, exception="RuleException")
    run.fail(1, "align", "a.log")
    assert run.stream.getvalue().endswith(
        "\r\x1b[KFailed: align a (a.log):\n    SRR1: the file is cut off.\n\r\x1b[K0 of 4 jobs done, 1 failed\r"
    )
    run.say("rule", "job_info", jobid=1, rule_name="align", log=["logs/align/a.log"])
    assert "\r\x1b[KTried again: align a\n" in run.stream.getvalue()
    run.fail(1, "align", "stopped.log")
    run.say("MissingOutputException in rule count", "error", logging.ERROR, exception="MissingOutputException")
    assert "<MissingOutputException in rule count>\n" in run.stream.getvalue()
    run.say(EXITING, level=logging.ERROR)
    run.calm.finish(failed=True)
    run.say("At least one job did not complete", "error", logging.ERROR, exception="WorkflowError")
    run.calm.close()
    said = run.stream.getvalue()
    assert said.endswith("0 of 4 jobs done in 13 s.\n")
    assert "RuleException in" not in said and EXITING not in said


def test_jobs_that_were_stopped_or_are_of_a_group_that_failed_are_no_failures_of_their_own(monkeypatch, folder):
    run = Run(monkeypatch, terminal=False)
    run.begin()
    run.fail(1, "align", "stopped.log")
    run.say("Error in group", "group_error", logging.ERROR)
    run.fail(2, "count", "none.log", indent=True)
    run.fail(3, "download")
    assert "Failed" not in run.stream.getvalue()
    assert run.progress.failed == {2, 3}
    run.fail(2, "count", "none.log", said="SLURM-job '5' failed, status is: 'TIMEOUT'. For further details")
    assert "Failed: count none (none.log):\n" in run.stream.getvalue()
    assert "status is: 'TIMEOUT'.\n" in run.stream.getvalue()


def test_of_a_long_sentence_the_first_lines_are_shown(monkeypatch, folder):
    (folder / "long.log").write_text("Error: 40 corrections:\n" + "line\n" * 40)
    run = Run(monkeypatch, terminal=False)
    run.begin()
    run.fail(1, "reference", "long.log")
    said = run.stream.getvalue()
    assert "Failed: reference long (long.log):\n    40 corrections:\n    line\n    line\n    …\n" in said


def test_of_very_many_failures_the_first_are_described(monkeypatch, folder):
    run = Run(monkeypatch, terminal=False)
    run.begin()
    for number in range(100):
        run.fail(number, "align", "a.log")
    said = run.stream.getvalue()
    assert said.count("Failed: align") == 20
    assert said.count("Further jobs that fail are counted here and named in Snakemake's log.\n") == 1


def test_what_is_not_of_a_run_is_shown(monkeypatch, folder):
    run = Run(monkeypatch, terminal=True)
    run.say("Unlocked working directory.")
    assert run.stream.getvalue() == "<Unlocked working directory.>\n"
    run.say("Workflow has started!", "workflow_started")
    run.say(NOTHING)
    assert run.stream.getvalue() == f"<Unlocked working directory.>\n<{NOTHING}>\n"


def test_a_stop_and_environments_that_are_made_are_shown(monkeypatch, folder):
    run = Run(monkeypatch, terminal=False)
    run.begin()
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        run.say("Terminating processes on user request.")
    record = logging.LogRecord("s", logging.INFO, "/x/snakemake/deployment/conda.py", 1, "Creating it", None, None)
    run.logger.handle(record)
    assert "<Terminating processes on user request.>\n<Creating it>\n" in run.stream.getvalue()
    assert sys.exc_info()[1] is None


def test_a_sentence_of_ours_stands_above_the_line_and_controls_nothing(monkeypatch, folder):
    run = Run(monkeypatch, terminal=True)
    run.begin()
    run.job(1, "align")
    run.calm.say("too \x1b[2J little")
    assert run.stream.getvalue().endswith("\r\x1b[Ktoo \\x1b[2J little\n")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_fault_in_it_gives_back_the_output_of_snakemake(monkeypatch, folder, terminal):
    class Broken(JobProgress):
        def take(self, event, fields) -> None:
            if event == "job_info":
                raise ZeroDivisionError

    run = Run(monkeypatch, terminal, progress=Broken(lambda: 3))
    run.begin()
    run.job(1, "align")
    run.finish(1)
    run.calm.finish(failed=False)
    run.calm.close()
    assert run.stream.getvalue().endswith("<rule>\n<Finished>\n<None>\n")
