"""Bounded fuzz tests: many small, spoiled inputs, each of which must be right or refused with a sentence.

The cases run in a process of their own with bounded memory (RLIMIT_AS), each for a few seconds at most. A module of
cases has ``prepare(folder)``, which makes sound input once, and ``make(dice, folder)``, which makes one case there and
returns its name, a function to call, and whether it must be refused (None: either). The same seed, the same cases.
"""

import contextlib
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from scripts.core.errors import InputError

SECONDS = 10
"""After which a case hangs."""
NUMBERS = ("-1", "0", "1", "2147483648", "9223372036854775808", "9" * 30, "9" * 5000, "1.5", "nan", "inf", "1e400", "٣")
BYTES = (b"\0", b"\xff\xfe", b"\x1b[31m", b"\r", b"\n", b"\t", b'"', b",", b"../../x", b"\xe2\x80\xa8", b"A" * 200_000)


class Hang(BaseException):
    """A case takes too long."""


def spoil(dice, data):
    """Return bytes with one fault."""
    kind = dice.choice(("flip", "cut", "insert", "number", "line", "twice", "none"))
    place = dice.randrange(len(data) + 1)
    if kind == "flip" and data:
        place = dice.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << dice.randrange(8)]) + data[place + 1 :]
    if kind == "cut":
        return data[:place]
    if kind == "insert":
        return data[:place] + dice.choice(BYTES) + data[place:]
    if kind == "number" and (words := [word for word in data.replace(b",", b" ").split() if word.isdigit()]):
        return data.replace(dice.choice(words), dice.choice(NUMBERS).encode(), 1)
    lines = data.splitlines(keepends=True)
    if kind == "line" and lines:
        del lines[dice.randrange(len(lines))]
        return b"".join(lines)
    if kind == "twice" and lines:
        lines.insert(dice.randrange(len(lines)), dice.choice(lines))
        return b"".join(lines)
    return b""


def spoil_json(dice, value):
    """Return JSON text with one fault in a value, at any depth."""
    odd = (None, True, -1, 1.5, 10**30, "x", "../../x", "/etc/passwd", "\0", [], {}, [[]], {"a": 1}, float("nan"))
    if not dice.randrange(6):
        return dice.choice((b"", b"[" * 100_000, b"{", b'"\xff"', b"9" * 5000, b"null", b"[]"))
    value = json.loads(json.dumps(value))
    holder, key = [value], 0
    while isinstance(holder[key], dict | list) and holder[key] and dice.randrange(5):
        holder = holder[key]
        key = dice.choice(list(holder)) if isinstance(holder, dict) else dice.randrange(len(holder))
    if isinstance(holder, dict) and not dice.randrange(3):
        holder[dice.choice(("../../x", "/etc/passwd", "", "9" * 5000, "-1", "٣", "\x1b"))] = holder.pop(key)
    else:
        holder[key] = dice.choice(odd)
    return json.dumps(value).encode()


def replace_item(kind, path, links):
    """Put what is no file in place of one: a FIFO, a folder, a link to ``links[kind]``, or nothing (``gone``)."""
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.symlink_to(links[kind])


def run(module, cases, seed, megabytes):
    """Run the cases of a module in this process; return a summary."""
    made = importlib.import_module(module)
    dice = random.Random(seed)
    outcomes, faults = Counter(), []

    def too_long(*_):
        raise Hang

    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory() as name:
        base, folder = Path(name, "base"), Path(name, "case")
        made.prepare(base)
        before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (before + (megabytes << 20), resource.RLIM_INFINITY))
        for number in range(cases):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base, folder, symlinks=True)
            case, call, refused = made.make(dice, folder)
            signal.alarm(SECONDS)
            try:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    call()
                outcome = "accepted"
            except InputError as error:
                outcome = "refused"
                if not str(error).strip():
                    faults.append(f"{number} {case}: refused without a sentence")
            except Hang:
                outcome = "hang"
            except BaseException:  # whatever else is raised would be a traceback
                outcome = "traceback"
                faults.append(f"{number} {case}: {traceback.format_exc()[-1500:]}")
            finally:
                signal.alarm(0)
            outcomes[outcome] += 1
            if outcome == "hang" or (refused is not None and refused != (outcome == "refused")):
                faults.append(f"{number} {case}: {outcome}")
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) >> 10
    return {"cases": cases, **outcomes, "peak_mb": peak, "faults": faults[:20]}


def check(module, cases, seed, megabytes=600):
    """Run cases in a process of its own, assert that each is right or refused, and return the summary."""
    command = [sys.executable, "-m", "tests.fuzzing", module, str(cases), str(seed), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["faults"] == []
    assert summary["cases"] == cases
    assert summary.get("accepted", 0) + summary.get("refused", 0) == cases
    return summary


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], *map(int, sys.argv[2:]))))
