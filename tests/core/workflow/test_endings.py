"""The last words of a run."""

import shlex
import sys
import textwrap

import pytest

from scripts.core.command import run_command
from scripts.core.errors import InputError
from scripts.core.workflow import endings
from scripts.core.workflow.endings import Failure, command_line, failures, last_sentence, last_words, remember_command
from scripts.core.workflow.snakemake import parse_command

BLOCK = """Error in rule {rule}:
    message: None
    jobid: 3
    output: work/x
    log: {log} (check log file(s) for error details)
    shell:
        python -m scripts {rule}

"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SRA2MATRIX_COMMAND", "")  # so that it is as before afterwards
    monkeypatch.delenv("SRA2MATRIX_COMMAND")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a line\nError: hg38: no such file: x.fa.\n", "hg38: no such file: x.fa."),
        ("Error: of the first try.\nError: two things:\none\ntwo\n", "two things:\none\ntwo"),
        ("Error: many:\n" + "x\n" * 20, "many:" + "\nx" * 15 + "\n…"),
        (
            "Traceback (most recent call last):\n  File x\nKeyError: 'a'\n",
            "A fault of the program: KeyError: 'a'. Please report it, with the log.",
        ),
        ("Traceback (most recent call last):\n  File x\nKeyboardInterrupt\n", "stopped by Ctrl-C."),
        ("", "It ended without a word; it may have been killed, as for a lack of memory."),
        ("3 of 7 runs\n", "It was cut off, or killed as for a lack of memory. Its last line: 3 of 7 runs"),
    ],
)
def test_the_sentence_of_a_job_is_the_last_one_of_its_log(tmp_path, text, sentence):
    (tmp_path / "job.log").write_text(text)
    assert last_sentence("job.log") == sentence


def test_only_the_end_of_a_long_log_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(endings, "_TAIL", 30)
    (tmp_path / "job.log").write_text("x" * 10**6 + "\nError: no room.\n")
    assert last_sentence("job.log") == "no room."
    assert last_sentence("absent.log").startswith("It ended without a word")


def test_failures_are_in_order_and_each_job_once(tmp_path):
    (tmp_path / "b.log").write_text("Error: b.\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/GSE1.mus.0000.log").write_text("Error: a.\n")
    one, two = BLOCK.format(rule="count", log="logs/GSE1.mus.0000.log"), BLOCK.format(rule="align", log="b.log")
    assert failures(f"Finished\n{one}noise\n{two}{one}Error in rule all:\n    jobid: 0\n") == [
        Failure("count", "GSE1.mus.0000", "logs/GSE1.mus.0000.log", "a."),
        Failure("align", "b", "b.log", "b."),
    ]


def test_a_job_that_ended_well_at_a_later_try_has_not_failed(tmp_path):
    (tmp_path / "a.log").write_text("Error: a.\n")
    text = BLOCK.format(rule="count", log="a.log")
    assert failures(text + "Finished jobid: 33 (Rule: count)\n")
    assert failures(text + "Finished jobid: 3 (Rule: count)\n") == []
    assert failures("Finished jobid: 3 (Rule: count)\n" + text)


def test_what_a_cluster_says_of_a_job_that_was_killed(tmp_path):
    (tmp_path / "a.log").write_text("3 of 7 cells\n")
    said = "SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the log"
    (job,) = failures(BLOCK.format(rule="count", log="a.log").replace("None", said))
    assert job.sentence == (
        "It was cut off, or killed as for a lack of memory. Its last line: 3 of 7 cells"
        " SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'."
    )


def test_of_a_group_the_jobs_that_failed_are_named(tmp_path):
    (tmp_path / "a.log").write_text("all is well\n")
    (tmp_path / "b.log").write_text("Error: b.\n")
    rules = {"download": "a.log", "align": "b.log", "count": "none.log"}
    blocks = "".join(BLOCK.format(rule=rule, log=log) for rule, log in rules.items())
    text = f"[Mon]\nError in group shard:\n    jobs:\n        rule align:\n{textwrap.indent(blocks, '    ')}[Mon]\n"
    assert failures(text) == [Failure("align", "b", "b.log", "b.")]


def test_the_one_job_of_a_rule_is_named_once(tmp_path):
    (tmp_path / "resolve.log").write_text("Error: no.\n")
    (tmp_path / "s.log").write_text(BLOCK.format(rule="resolve", log="resolve.log"))
    assert last_words(["s.log"]).startswith("What failed:\n  resolve (resolve.log):\n    no.\n")


def test_files_that_a_file_system_shows_late(tmp_path):
    (tmp_path / "s.log").write_text('MissingOutputException in rule count in file "plates.smk", line 40:\nJob 3\n')
    assert "  count:\n    Its files did not appear in time; " in last_words(["s.log"])


def test_a_run_ends_with_its_first_failures_and_the_command(tmp_path, monkeypatch):
    remember_command(["/x/bin/snakemake", "--directory", "my cells", "--config", "a=b"])
    for number in range(7):
        (tmp_path / f"{number}.log").write_text(f"Error: {number}\nmore\x1b[2J\n")
    (tmp_path / "s.log").write_text("".join(BLOCK.format(rule="count", log=f"{number}.log") for number in range(7)))
    lines = last_words(["s.log"]).splitlines()
    assert lines[:4] == ["What failed first:", "  count 0 (0.log):", "    0", "    more\\x1b[2J"]
    assert lines[-3:] == [
        "  and 2 more jobs, see their logs",
        "Put it right and call the same command again; what is done is not done again:",
        "  snakemake --directory 'my cells' --config a=b",
    ]


def test_a_run_that_was_stopped_says_how_to_go_on(tmp_path, monkeypatch):
    remember_command(["/x/snakemake/__main__.py", "-c1"])
    (tmp_path / "s.log").write_text("Terminating processes on user request, this might take some time.\n")
    assert last_words(["s.log"]) == (
        "Stopped. Call the same command again; what is done is not done again:\n  python -m snakemake -c1"
    )
    (tmp_path / "a.log").write_text("1 of 7 runs\nError: stopped by Ctrl-C.\n")
    (tmp_path / "s.log").write_text(BLOCK.format(rule="count", log="a.log"))
    assert last_words(["s.log"]).startswith("Stopped. Call the same command again;")
    (tmp_path / "s.log").write_text("CreateCondaEnvironmentException:\n")
    assert last_words(["s.log"]) == (
        "Put right what is said above and call the same command again:\n  python -m snakemake -c1"
    )


def test_the_command_has_no_secret(monkeypatch):
    monkeypatch.setenv("NCBI_API_KEY", "0123456789abcdef")
    remember_command(["snakemake", "--config", "archives={api_key: 0123456789abcdef}"])
    assert command_line() == "snakemake --config 'archives={api_key: ***}'"


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("snakemake", "snakemake --config 'retry=[X]'"),
        ("snakemake resolve --profile 'my site'", "snakemake resolve --profile 'my site' --config 'retry=[X]'"),
        ("snakemake --config a=b c=d --cores 2", "snakemake --config 'retry=[X]' a=b c=d --cores 2"),
        ("snakemake -C 'retry=[Y]' -n", "snakemake -C 'retry=[X]' -n"),
        ("snakemake --config=a=b resolve", "snakemake resolve --config a=b 'retry=[X]'"),
        ("snakemake --config=retry=all -c1", "snakemake -c1 --config 'retry=[X]'"),
    ],
)
def test_a_value_of_the_configuration_is_added_to_the_command(words, again):
    remember_command(shlex.split(words))
    assert command_line("retry=[X]") == again
    given, wanted = parse_command(shlex.split(words)[1:]), parse_command(shlex.split(again)[1:])
    assert wanted.targets == given.targets
    assert [word for word in wanted.config if not word.startswith("retry=")] == [
        word for word in given.config or () if not word.startswith("retry=")
    ]


def test_a_command_called_by_hand_knows_of_no_other():
    assert command_line() == "snakemake"


def test_a_command_that_is_stopped_has_no_traceback(capsys):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_command(stop)
    assert (ended.value.code, capsys.readouterr().err) == (130, "stopped by Ctrl-C.\n")


def test_a_job_marks_its_sentence(monkeypatch, capsys):
    def fail():
        raise InputError("no such file.")

    for job, words in ((False, "no such file.\n"), (True, "Error: no such file.\n")):
        monkeypatch.setattr("scripts.core.command.is_job", lambda job=job: job)
        with pytest.raises(SystemExit):
            run_command(fail)
        print("of a thread", file=sys.stderr) if job else None
        assert capsys.readouterr().err == words
