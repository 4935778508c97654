"""STAR as a program: how it is run and stopped, and what is in its indices.

Debian's ``STAR`` is a shell script that starts the real program and waits; a signal to the script does not reach it.
So every STAR gets a process group of its own (:func:`scripts.core.subprocesses.start`), which ends as a whole.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from scripts.core.disk.files import remove_folder
from scripts.core.disk.rights import cause_of
from scripts.core.errors import MACHINE, InputError, Interrupted, MachineFault, raise_faults
from scripts.core.subprocesses import (
    crash_signal,
    external_signal,
    raise_if_full,
    raise_if_not_started,
    release,
    start,
)
from scripts.core.untrusted import nearest

_NO_MEMORY = re.compile("std::bad_alloc|not enough (?:RAM|memory)|Cannot allocate memory", re.I)
_EXITING = re.compile(r"EXITING because of (?:fatal )?(.+?)(?:\n\s*\n|\n\w{3} \d\d .*FATAL|\Z)", re.S | re.I)
_OWN_READ = "ACGTTGCAAGCTTAGGCATCGATTACGGATCCTAGCTAACGGTTCAAGCTCGATTGCATGCA"
REFUSED = "refused"
"""Cause of a fault where STAR ended with an error of its own: reads that are not as they should be, or a bad index."""
INDEX_FILES = ("Genome", "SA", "SAindex", "chrName.txt", "chrLength.txt", "chrStart.txt", "genomeParameters.txt")


def program() -> str:
    """Return the path of STAR. Raises MachineFault where it is not installed."""
    path = shutil.which("STAR")
    if path is None:
        raise MachineFault("STAR is not on the PATH; install it (apt: rna-star, conda: star) or use --sdm conda.")
    return path


class StarProcess:
    """A running STAR in a folder of its own; its messages go to ``messages`` there."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: str | Path,
        environment: Mapping[str, str] | None = None,
        open_files: Sequence[int] = (),
    ) -> None:
        """``environment`` is added to ours; ``open_files`` (descriptors) stay open, and locked, as long as it runs.

        The C library is asked for huge pages for STAR's arrays, where the system has them: touching them 4 kB at a time
        takes longer than a small cell.
        """
        self.folder = Path(folder)
        with (self.folder / "messages").open("wb") as messages:
            self.process = start(
                [program(), *arguments],
                cwd=self.folder,
                env={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ, **(environment or {})},
                pass_fds=open_files,
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> tuple[int, str]:
        """Return the exit status and, where it is not 0, STAR's complaint."""
        status = self.process.wait()
        release(self.process)
        return status, self.complaint() if status else ""

    def complaint(self) -> str:
        """Return why STAR failed, in its own words, in one line."""
        texts = {"messages": "", "Log.out": ""}
        for name in texts:
            with contextlib.suppress(OSError):
                texts[name] = (self.folder / name).read_text(encoding="utf-8", errors="replace")
            if found := _EXITING.search(texts[name]):
                return " ".join(found[1].split())[:600]
        status = self.process.returncode
        if status is not None and (status < 0 or status > 128):
            number = -status if status < 0 else status - 128
            with contextlib.suppress(ValueError):
                why = "; was there too little memory?" if external_signal(status) else "."
                return f"STAR was ended by {signal.Signals(number).name}{why}"
        last = " ".join(texts["messages"].split())[-300:]
        return f"STAR ended with exit status {status}. {last}".strip()


def raise_if_interrupted(status: int, complaint: str, folder: str | Path) -> None:
    """Raise Interrupted where STAR was ended from outside, or failed for lack of memory or disk space.

    Raises MachineFault where it could not be started.
    """
    raise_if_not_started("STAR", status, complaint)
    if external_signal(status) or (status and _NO_MEMORY.search(complaint)):
        raise Interrupted(f"{complaint} Run the same command again.")
    if status:
        raise_if_full(folder)


def failure_cause(status: int) -> str:
    """Return the cause of the fault of a run on which STAR ended with this status: it crashed, or refused its reads."""
    return MACHINE if crash_signal(status) else REFUSED


def raise_if_broken(
    run: Callable[[Sequence[str], Path], tuple[int, str]], arguments: Sequence[str], folder: str | Path
) -> None:
    """Raise MachineFault where STAR fails on a read of ours as it did on those of a run.

    Then the program, the index or the options are the cause. ``run`` runs STAR with arguments in a folder and returns
    its exit status and its complaint; ``arguments`` are those of the genome.
    """
    own = Path(folder) / ".own_read"
    own.mkdir(exist_ok=True)
    (own / "own.fastq").write_text(f"@own\n{_OWN_READ}\n+\n{'I' * len(_OWN_READ)}\n", encoding="ascii")
    try:
        status, complaint = run([*arguments, "--readFilesIn", "own.fastq", "--outSAMtype", "None"], own)
    finally:
        remove_folder(folder, own.name, ignore_errors=True)
    raise_if_interrupted(status, complaint, folder)
    if status:
        raise MachineFault(
            f"STAR fails on any read, also on one of our own: {complaint.rstrip('.')}. Is it built for this processor,"
            " and the index whole and of its version?"
        )


def run_star(arguments: Sequence[str], folder: str | Path) -> tuple[int, str]:
    """Run STAR in a folder; return its exit status and, where it is not 0, its complaint."""
    return StarProcess(arguments, folder).wait()


def _list_of_parameters() -> str:
    """Return the list of parameters of the installed STAR: a line each that begins with its name."""
    done = subprocess.run(
        [program(), "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout


def require_options(names: Iterable[str]) -> None:
    """Raise InputError where the installed STAR has no option of a name, and MachineFault where there is no STAR."""
    program()
    if not (wanted := list(names)):
        return
    known = re.findall(r"^([a-z]\w+)\s", _list_of_parameters(), re.M)
    faults = []
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            faults.append(f"{name}: STAR has no such option{f'; did you mean {near}?' if near else '.'}")
    raise_faults("star_options", faults)


def installed_version() -> str:
    """Return the version of the installed STAR, ``2.7.10b``."""
    done = subprocess.run(
        [program(), "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout.strip()


def running_genome_version() -> str:
    """Return the index version that the installed STAR reads (``versionGenome`` in its list of parameters)."""
    found = re.search(r"^versionGenome\s+(\S+)", _list_of_parameters(), re.M)
    if found is None:
        raise InputError("STAR --help does not say which version of an index it reads; is it STAR 2.7 or later?")
    return found[1]


def index_parameters(index: str | Path) -> dict[str, str]:
    """Return genomeParameters.txt of an index: name → value. Raises InputError where it cannot be read."""
    path = Path(index) / "genomeParameters.txt"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path}: it cannot be read ({cause_of(error, path)}); {index} is not an index of STAR."
        ) from error
    lines = (line.split("\t", 1) for line in text.splitlines() if not line.startswith("#"))
    return {line[0].strip(): line[1].strip() for line in lines if len(line) == 2}


def require_index(index: str | Path) -> None:
    """Raise InputError where an index lacks one of its files: no cell could be aligned."""
    missing = [name for name in INDEX_FILES if not (path := Path(index) / name).is_file() or not path.stat().st_size]
    if missing:
        place = Path(index).resolve()
        raise InputError(
            f"{index}: not a whole index of STAR, {', '.join(missing)} is missing. Delete {place}, then run the same"
            " command again: it is made anew."
        )


def index_contigs(index: str | Path) -> dict[str, int]:
    """Return contig → length of an index."""
    names = (Path(index) / "chrName.txt").read_text(encoding="utf-8").split("\n")
    lengths = (Path(index) / "chrLength.txt").read_text(encoding="utf-8").split()
    return dict(zip((name for name in names if name), map(int, lengths), strict=True))
