"""One genome in memory for all STARs of a shard.

STAR can load its index into SysV shared memory (``--genomeLoad LoadAndExit``), from which other STARs use it
(``LoadAndKeep``) until it is removed (``Remove``). Nothing removes it when a job is killed. So the modes are, in the
order in which ``align`` tries them:

- ``inside``: this process runs in an IPC namespace of its own (:func:`run_in_namespace`), with which the kernel frees
  the memory, whatever ends the job.
- ``shared``: where namespaces are refused, the memory is the node's. A lock gives it to one shard at a time for an
  index; the shard removes what a killed one left, and its own at the end.
- ``none``: each STAR loads the genome for itself.

Where shared memory is refused or too small, the genome is loaded once into a file in the working folder
(``shared_memory.c``; needs a C compiler and room for the file). Where that fails as well, each STAR loads it.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.files import remove_folder
from scripts.core.locks import open_lock, wait_for_lock
from scripts.core.subprocesses import end_all, ends_with_command, raise_if_killed, release, start
from scripts.star.program import StarProcess

SHARED, NOT_SHARED = "LoadAndKeep", "NoSharedMemory"
"""STAR's --genomeLoad for STARs that use the loaded genome, and for those that load their own."""
_NAMESPACES = (
    ["unshare", "--ipc", "--pid", "--fork", "--kill-child"],
    ["unshare", "--user", "--map-root-user", "--ipc", "--pid", "--fork", "--kill-child"],
    ["unshare", "--ipc"],
    ["unshare", "--user", "--map-root-user", "--ipc"],
)
_SOURCE = Path(__file__).with_name("shared_memory.c")


class GenomeMemory:
    """An index and the STARs that run on it; several threads may call :meth:`run` at a time."""

    def __init__(self, index: Path, work: Path) -> None:
        """``work`` is an existing folder for temporary files."""
        self.index = index.absolute()
        self.work = work.absolute()
        self._guard = threading.Lock()
        self._stopped = False
        self._locks: list[int] = []  # open files; every STAR inherits the locks, should it outlive a killed command
        self._library: Path | None = None  # shared_memory.c, compiled

    def run(self, arguments: Sequence[str], folder: Path) -> tuple[int, str]:
        """Run STAR in a folder, made if needed; return its exit status and, where it is not 0, its complaint."""
        folder.mkdir(parents=True, exist_ok=True)
        _link(folder / "genome", self.index)  # no path in the header of BAM files
        environment = None
        if self._library:
            _link(folder / self._library.name, self._library)  # LD_PRELOAD is split at blanks of a path
            environment = {"LD_PRELOAD": f"./{self._library.name}", "SHARED_MEMORY_FOLDER": str(self._library.parent)}
        arguments = ["--genomeDir", "genome", "--outFileNamePrefix", "./", *arguments]
        with self._guard:
            if self._stopped:
                raise RuntimeError("stopped")
            star = StarProcess(arguments, folder, environment, self._locks)
        return star.wait()

    def stop(self) -> None:
        """End every STAR that runs; :meth:`run` starts no more."""
        with self._guard:
            self._stopped = True
        end_all()

    @contextlib.contextmanager
    def load(self, mode: str) -> Iterator[str]:
        """Load the genome for the block, see the module; yield :data:`SHARED` or :data:`NOT_SHARED`.

        Raises Interrupted where the STAR that loads it was killed.
        """
        if mode == "none":
            yield NOT_SHARED
            return
        with self._lock_of_node() if mode == "shared" else contextlib.nullcontext():
            complaint = self._load()
            if not complaint:
                yield SHARED
                return
        print(f"The genome cannot be loaded into shared memory: {complaint}", file=sys.stderr)
        complaint = self._compile() or self._load()
        if not complaint:
            print("It is loaded once, into a file instead.", file=sys.stderr)
            yield SHARED
            return
        self._library = None
        remove_folder(self.work, ".shared_memory", ignore_errors=True)
        print(f"Nor into a file: {complaint}\nEach cell loads it now.", file=sys.stderr)
        yield NOT_SHARED

    def _load(self) -> str:
        """Load the genome; return STAR's complaint, empty where it is loaded."""
        status, complaint = self._call("LoadAndExit")
        raise_if_killed("STAR", status)
        return complaint

    def _call(self, genome_load: str) -> tuple[int, str]:
        folder = self.work / f".{genome_load}"
        try:
            return self.run(["--genomeLoad", genome_load], folder)
        finally:
            remove_folder(self.work, folder.name, ignore_errors=True)

    @contextlib.contextmanager
    def _lock_of_node(self) -> Iterator[None]:
        """Lock the node's shared memory of this index; remove what is there before and after the block.

        STAR's keys are the inode of the index folder and the next number, which may be the key of the next index: both
        are locked.
        """
        print("No IPC namespace: the genome is loaded into the node's shared memory, under a lock.", file=sys.stderr)
        index = self.index.stat()
        with contextlib.ExitStack() as locks:
            for key in (index.st_ino, index.st_ino + 1):
                path = Path(tempfile.gettempdir()) / f"sra2matrix.star.{index.st_dev}.{key}.lock"
                lock = open_lock(path, for_all=True)
                locks.callback(os.close, lock)
                wait_for_lock(lock, f"{path}: another shard has the genome in the node's memory; waiting for its end.")
                self._locks.append(lock)
            self._call("Remove")
            try:
                yield
            finally:
                self._stopped = False
                self._call("Remove")
                self._locks.clear()

    def _compile(self) -> str:
        """Let STARs keep shared memory in files from now on; return why that is impossible, empty where it is not."""
        folder = self.work / ".shared_memory"
        folder.mkdir(exist_ok=True)
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return "there is no C compiler (cc)."
        library = folder / "shared_memory.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{Path(compiler).name} failed: {' '.join(done.stderr.split())[-300:]}"
        self._library = library
        return ""


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def find_namespace() -> list[str]:
    """Return the command that runs another one in a new IPC namespace, empty where all are refused."""
    for command in _NAMESPACES:
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
            )
            if not done.returncode:
                return command
    return []


def run_in_namespace(namespace: Sequence[str], arguments: Sequence[str]) -> int:
    """Run a command of this program inside a namespace; return its exit status.

    Whatever ends this process, also SIGKILL, ends everything in the namespace.
    """
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH", "")]))
    command = [*namespace, sys.executable, "-m", "scripts", *arguments]
    with ends_with_command():
        inner = start(command, env={**os.environ, "PYTHONPATH": paths})
        status = inner.wait()
        release(inner)
    return status if status >= 0 else 128 - status
