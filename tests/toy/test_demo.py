"""The demo's output: a line of progress, and the last words of the workflow."""

import io

from tests.toy.demo import Calm

OUTPUT = """Building DAG of jobs...
rule download:
    output: work/download/a
[Mon Nov 30 02:10:15 2026]
1 of 20 steps (5%) done
localrule ledger:
10 of 20 steps (50%) done
11 of 20 steps (55%) done
20 of 20 steps (100%) done
Complete log(s): /x/y.log
Of 3 runs: 2 counted, 1 failed. Look at results/report.html first.
"""


def test_progress_is_a_line_that_changes_and_all_is_logged(capsys):
    for terminal, shown in (
        (True, ["\r1 of 20 steps done; download", "\r10 of 20 steps done; ledger", "\r11 of", "\r20 of"]),
        (False, ["10 of 20 steps done; ledger\n20 of 20 steps done; ledger\n"]),
    ):
        log = io.StringIO()
        calm = Calm(log, terminal)
        for line in OUTPUT.splitlines(keepends=True):
            calm.take(line)
        said = capsys.readouterr().out
        assert all(words in said for words in shown) and said.count("\n") == (1 if terminal else 2)
        assert log.getvalue() == OUTPUT
        assert calm.last == ["Of 3 runs: 2 counted, 1 failed. Look at results/report.html first.\n"]


def test_the_end_of_a_workflow_that_fails_is_kept():
    calm = Calm(io.StringIO(), terminal=False)
    for number in range(100):
        calm.take(f"{number}\n")
    assert calm.last[0] == "60\n" and len(calm.last) == 40
