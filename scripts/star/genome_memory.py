"""One genome in memory for all STARs of a shard.

STAR can load its index into SysV shared memory (``--genomeLoad LoadAndExit``), from which other STARs use it
(``LoadAndKeep``) until it is removed (``Remove``). Nothing removes it when a job is killed. So the modes are, in the
order in which ``align`` tries them:

- ``huge``: this process runs in IPC and mount namespaces of its own (:func:`run_in_namespace`), with which the kernel
  frees the memory, whatever ends the job. The genome is loaded into a tmpfs of huge pages that only they see: a STAR
  that touches a page of 4 kB for the first time waits for the kernel, 60,000 times for a cell of 1,000 pairs.
- ``inside``: the same without huge pages, in shared memory.
- ``shared``: where namespaces are refused, the memory is the node's. A lock gives it to one shard at a time for an
  index; the shard removes what a killed one left, and its own at the end.
- ``none``: each STAR loads the genome for itself.

Where shared memory is refused or too small, the genome is loaded once into a file in the working folder. Where that
fails as well, each STAR loads it. Files, and huge pages, need a C compiler (``shared_memory.c``).
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

from scripts.core.disk.files import remove_folder
from scripts.core.disk.locks import open_lock, wait_for_lock
from scripts.core.disk.rights import user_name
from scripts.core.subprocesses import end_all, ends_with_command, raise_if_killed, release, start
from scripts.star.program import StarProcess

SHARED, NOT_SHARED = "LoadAndKeep", "NoSharedMemory"
"""STAR's --genomeLoad for STARs that use the loaded genome, and for those that load their own."""
_MOUNTS = ["--mount", "--propagation", "slave"]  # what is mounted later outside is seen inside
_ENDING = ["--pid", "--fork", "--kill-child"]
_NAMESPACES = (
    ["unshare", "--ipc", *_MOUNTS, *_ENDING],
    ["unshare", "--user", "--map-root-user", "--ipc", *_MOUNTS, *_ENDING],
    ["unshare", "--ipc", *_ENDING],
    ["unshare", "--user", "--map-root-user", "--ipc", *_ENDING],
    ["unshare", "--ipc"],
    ["unshare", "--user", "--map-root-user", "--ipc"],
)
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")  # a list, the chosen word in brackets
_FILES = ".shared_memory"  # the folder of the files that stand for shared memory
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
        if mode == "huge":
            with self._huge_pages() as loaded:
                if loaded:
                    yield SHARED
                    return
        with self._lock_of_node() if mode == "shared" else contextlib.nullcontext("") as left:
            complaint = left or self._load()
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
        remove_folder(self.work, _FILES, ignore_errors=True)
        print(f"Nor into a file: {complaint}\nEach cell loads it now.", file=sys.stderr)
        yield NOT_SHARED

    @contextlib.contextmanager
    def _huge_pages(self) -> Iterator[bool]:
        """Load the genome into huge pages for the block; yield whether that was possible.

        Must run in a mount namespace of its own, which removes them if this process cannot.
        """
        folder = self.work / _FILES
        if complaint := self._mount(folder):
            print(f"The genome is not loaded into huge pages: {complaint}", file=sys.stderr)
            yield False
            return
        try:
            complaint = self._compile() or self._load()
            if complaint:
                print(f"The genome cannot be loaded into huge pages: {complaint}", file=sys.stderr)
            yield not complaint
        finally:
            self._library = None
            _call_quietly("umount", "--lazy", str(folder))
            remove_folder(self.work, folder.name, ignore_errors=True)

    def _mount(self, folder: Path) -> str:
        """Mount a file system of huge pages; return why that is impossible, empty where it is not."""
        try:
            allowed = "[deny]" not in _HUGE_PAGES.read_text(encoding="ascii")
        except OSError:
            allowed = False
        if not allowed:
            return "this system has none."
        folder.mkdir(exist_ok=True)
        return _call_quietly("mount", "-t", "tmpfs", "-o", "huge=always,size=100%,mode=700", "genome", str(folder))

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
    def _lock_of_node(self) -> Iterator[str]:
        """Lock the node's shared memory of this index; remove what is there before and after the block.

        STAR's keys are the inode of the index folder and the next number, which may be the key of the next index: both
        are locked. Yields whose memory stays, where another user has left some: STAR would wait for who loads it.
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
            left = segments_of_others(self.index)
            if not left:
                self._call("Remove")
            try:
                yield left
            finally:
                self._stopped = False
                if not left:
                    self._call("Remove")
                self._locks.clear()

    def _compile(self) -> str:
        """Let STARs keep shared memory in files from now on; return why that is impossible, empty where it is not."""
        folder = self.work / _FILES
        folder.mkdir(exist_ok=True)
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            return "there is no C compiler (cc)."
        library = folder / "shared_memory.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
        done = subprocess.run(
            command,
            env={**os.environ, "TMPDIR": str(folder)},  # where nothing stays of a compiler that is killed
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"{Path(compiler).name} failed: {' '.join(done.stderr.split())[-300:]}"
        self._library = library
        return ""


def segments_of_others(index: Path) -> str:
    """Return which shared memory of an index another user has left on this node, in a sentence; empty where none has.

    ``/proc/sysvipc/shm`` has a header and a line a segment: its key, id, rights, size, two processes, how many use it,
    its owner and more (man 5 proc). Keys are of 32 bits.
    """
    inode = index.stat().st_ino
    keys = {inode & 0xFFFFFFFF, (inode + 1) & 0xFFFFFFFF}
    try:
        lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return ""
    segments = [[int(word) for word in line.split()[:8]] for line in lines]
    theirs = [words for words in segments if words[0] & 0xFFFFFFFF in keys and words[7] != os.geteuid()]
    if not theirs:
        return ""
    ids = " ".join(f"-m {words[1]}" for words in theirs)
    return f"user {user_name(theirs[0][7])} has left some of this index there, which they can remove: ipcrm {ids}."


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _call_quietly(*command: str) -> str:
    """Run a program; return why it failed, empty where it did not."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{command[0]}: {error.strerror}."
    return f"{command[0]} failed: {' '.join(done.stderr.split())[-300:]}" if done.returncode else ""


def mode_inside(namespace: Sequence[str]) -> str:
    """Return the mode in which the genome is loaded inside a namespace."""
    return "huge" if "--mount" in namespace else "inside"


def find_namespace() -> list[str]:
    """Return the command that runs another one in new namespaces, empty where all are refused."""
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
