"""Programs: what they leave is returned, and none outlives its command."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from scripts.core import concurrency, subprocesses
from scripts.core.command import run_command
from scripts.core.errors import MACHINE, InputError, Interrupted, MachineFault

PYTHON = sys.executable


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid, seconds=4.0):
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def await_file(path):
    until = time.monotonic() + 5
    while not (text := path.read_text() if path.exists() else ""):
        assert time.monotonic() < until
        time.sleep(0.02)
    return text


def test_status_output_and_errors_are_returned():
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert subprocesses.run_program([PYTHON, "-c", code]) == (3, "out\n", "err\n")


def test_a_missing_program_is_an_error():
    with pytest.raises(InputError, match=r"The program 'no-such-program' was not found; it is part of .* in envs/\."):
        subprocesses.run_program(["no-such-program"])


@pytest.mark.parametrize(
    ("status", "killer"),
    [
        (-signal.SIGKILL, "SIGKILL"),
        (128 + signal.SIGKILL, "SIGKILL"),
        (-signal.SIGTERM, "SIGTERM"),
        (128 + signal.SIGTERM, "SIGTERM"),
        (-signal.SIGSEGV, ""),
        (128 + signal.SIGABRT, ""),
        (0, ""),
        (1, ""),
        (9, ""),
        (200, ""),
        (subprocesses.STALLED, ""),
    ],
)
def test_a_program_that_is_ended_is_distinguished_from_one_that_crashes(status, killer):
    assert subprocesses.external_signal(status) == killer


def test_a_program_that_is_killed_is_no_fault_of_a_run(capsys):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(Interrupted) as caught:
        subprocesses.run_program([PYTHON, "-c", code])
    words = f"{PYTHON} was ended by SIGKILL; was there too little memory? Run the same command again."
    assert str(caught.value) == words

    def killed():
        raise caught.value

    with pytest.raises(SystemExit) as left:
        run_command(killed)
    assert left.value.code == 1
    assert capsys.readouterr().err == f"{words}\n"


def test_a_full_disk_is_no_fault_of_a_run(tmp_path, monkeypatch):
    subprocesses.raise_if_full(tmp_path)
    monkeypatch.setattr(subprocesses.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 4096}))
    with pytest.raises(Interrupted, match=r"The disk of .* is full; make room, then run the same command again"):
        subprocesses.raise_if_full(tmp_path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "#!/bin/sh\necho 'libz.so: cannot open' >&2; exit 127\n",
            r"cannot be started \(exit status 127\): libz.so: can",
        ),
        ("#!/bin/sh\nexit 126\n", r"cannot be started \(exit status 126\): it does not say why"),
        ("#!/bin/sh\nkill -ILL $$\n", r"does not work here: it crashes \(SIGILL\), whatever it reads"),
        ("#!/nowhere/python\n", "cannot be started: No such file or directory"),
        ("\x7fELF of another machine", "cannot be started: Exec format error"),
    ],
)
def test_a_program_that_does_not_work_is_a_fault_of_the_machine(tmp_path, script, words):
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    with pytest.raises(MachineFault, match=words):
        subprocesses.run_program([str(program)])


def test_a_program_that_crashes_at_one_input_may_be_right_about_it(tmp_path):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] || kill -SEGV $$\n')
    program.chmod(0o755)
    done = subprocesses.run_program([str(program), "run.sra"])
    assert (done.status, done.cause) == (-signal.SIGSEGV, MACHINE)
    assert subprocesses.run_program(["false"]).cause == ""


def test_a_script_that_is_killed_leaves_no_program_behind(tmp_path):
    """Debian's STAR is a script that starts the real program and waits for it."""
    script = tmp_path / "STAR"
    script.write_text("#!/bin/bash\nsleep 300 &\necho $! >program.part\nmv program.part program\nwait\n")
    script.chmod(0o755)
    process = subprocesses.start([str(script)], cwd=tmp_path)
    await_file(tmp_path / "program")
    program = int((tmp_path / "program").read_text())
    assert alive(program)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert alive(program)
    subprocesses.release(process)
    assert not alive(program)


def test_a_program_that_stands_still_is_ended():
    started = time.monotonic()
    caught = subprocesses.run_program([PYTHON, "-c", "import time; time.sleep(60)"], progress=lambda _: 7, patience=0.6)
    assert caught.status == subprocesses.STALLED
    assert time.monotonic() - started < 10


def test_a_program_that_makes_progress_goes_on(tmp_path):
    looks = []

    def progress(_):
        looks.append(time.monotonic())
        if looks[-1] - looks[0] > 2 * patience:
            (tmp_path / "finish").touch()
        return len(looks)

    patience = 0.6
    code = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists():\n time.sleep(0.02)"
    arguments = [PYTHON, "-c", code, str(tmp_path / "finish")]
    assert subprocesses.run_program(arguments, progress=progress, patience=patience).status == 0


def test_items_are_worked_on_side_by_side():
    together = threading.Barrier(2, timeout=5)
    results = dict(concurrency.side_by_side(lambda item: (together.wait(), item * 2)[1], [1, 2, 3, 4], 2))
    assert results == {1: 2, 2: 4, 3: 6, 4: 8}
    assert list(concurrency.side_by_side(str, [3, 1], 1)) == [(3, "3"), (1, "1")]
    assert list(concurrency.side_by_side(str, [], 2)) == []


def test_an_error_in_one_of_them_is_raised():
    def work(item):
        if item == 2:
            raise ValueError("two")
        return item

    with pytest.raises(ValueError, match="two"):
        list(concurrency.side_by_side(work, list(range(8)), 2))


COMMAND = """
import sys
from pathlib import Path
from scripts.core.concurrency import side_by_side
from scripts.core.subprocesses import ends_with_command, run_program

def work(item):
    code = "import os, time; open({where!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    run_program([sys.executable, "-c", code])

with ends_with_command():
    list(side_by_side(work, [1, 2][:{number}], {number}))
"""


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_no_program_outlives_its_command(tmp_path, kind, number):
    where = tmp_path / "pid"
    code = textwrap.dedent(COMMAND).format(where=str(where), number=number)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = subprocess.Popen([PYTHON, "-c", code], env=environment, cwd=Path.cwd())
    pid = int(await_file(where))
    command.send_signal(kind)
    assert command.wait(timeout=10) in (143, -9)
    assert gone(pid)


def test_a_path_is_never_an_option():
    assert subprocesses.path_argument("--option-file=x") == "./--option-file=x"
    assert subprocesses.path_argument(Path("work/-x")) == "work/-x"
    assert subprocesses.path_argument("/home/x/a.bam") == "/home/x/a.bam"


def test_what_a_program_prints_is_read_while_it_runs():
    read = []
    words = 'import sys; print("x" * 5_000_000); print("y" * 200_000, file=sys.stderr); sys.exit(3)'
    done = subprocesses.stream_program([sys.executable, "-c", words], lambda output: read.append(output.read()))
    assert read == [b"x" * 5_000_000 + b"\n"]
    assert (done.status, done.output, done.errors) == (3, "", "y" * 200_000 + "\n")


def test_who_reads_what_a_program_prints_may_end_it(tmp_path):
    def refuse(output):
        output.read(1)
        raise ValueError("enough")

    before = threading.active_count()
    with pytest.raises(ValueError, match="enough"):
        subprocesses.stream_program(["sh", "-c", f"echo $$ >{tmp_path}/pid; exec yes"], refuse)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    assert threading.active_count() == before
    with pytest.raises(MachineFault, match="was not found"):
        subprocesses.stream_program(["no-such-program"], refuse)
    with pytest.raises(Interrupted, match="ended by SIGKILL"):
        subprocesses.stream_program(["sh", "-c", "kill -KILL $$"], lambda output: output.read())
