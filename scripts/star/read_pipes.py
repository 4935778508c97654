"""Named pipes through which STAR reads compressed FASTQ.

STAR is given the names of pipes in its folder. A thread for each inflates the file while STAR reads it, so that no
uncompressed copy is written. For a small cell that costs a fifth of the CPU of ``--readFilesCommand``, for which STAR
starts a shell and a program for each file (benchmarks/README.md). The command line that STAR records is that of plain
files.
"""

import contextlib
import fcntl
import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from scripts.formats.fastq_files import is_packed, read_pieces

Source = Path | Callable[[], Iterator[bytes]]
"""A FASTQ file, plain or compressed, or a function that yields the bytes of one."""
_PIPE_BYTES = 1 << 20
_JOIN = 0.01  # seconds between two looks whether a thread has ended


@contextlib.contextmanager
def read_pipes(folder: Path, sources: Mapping[str, Source]) -> Iterator[None]:
    """Give STAR, which runs in ``folder`` inside the block, reads under these names, paths below the folder.

    A plain file is linked. A pipe may be opened again after its end, as by two-pass alignment. Raises the error of a
    source when the block ends.
    """
    pipes = []
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if not isinstance(source, Path):
            pipes.append(_Pipe(path, source))
        elif is_packed(source):
            pipes.append(_Pipe(path, functools.partial(read_pieces, source)))
        else:
            path.symlink_to(source.absolute())
    try:
        yield
    except Exception:
        _end(pipes)  # where a source is at fault, it is the cause of what STAR says
        raise
    except BaseException:
        for pipe in pipes:
            pipe.over = True  # its thread ends with STAR
        raise
    _end(pipes)


def _end(pipes: "Sequence[_Pipe]") -> None:
    """End pipes whose reader has ended. Raises the first error of a source."""
    for pipe in pipes:
        pipe.end()
    for pipe in pipes:
        if pipe.error:
            raise pipe.error


class _Pipe:
    """A pipe and the thread that writes it, once for each time that it is opened."""

    def __init__(self, path: Path, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.path = path
        self.pieces = pieces
        self.over = False
        self.error: BaseException | None = None
        os.mkfifo(path)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.over:
                self._write()
        except BaseException as error:
            self.error = error

    def _write(self) -> None:
        """Wait for a reader and write all to it, or as much as it takes.

        STAR opens each file and closes it, before it has it read. So the name is given to a new pipe before the first
        byte is written: who opens it later waits for the next writing, and never reads the end of one that nobody took.
        """
        writer = os.open(self.path, os.O_WRONLY)
        try:
            if self.over:
                return
            following = self.path.with_name(f"{self.path.name}.next")
            os.mkfifo(following)
            following.replace(self.path)
            with contextlib.suppress(OSError):  # beyond what the system allows a user
                fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            with contextlib.suppress(BrokenPipeError):
                for piece in self.pieces():
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(writer, view) :]
        finally:
            os.close(writer)

    def end(self) -> None:
        """End the thread, whose reader has ended."""
        self.over = True
        while self._thread.is_alive():
            with contextlib.suppress(OSError):  # releases a thread that waits for a reader
                os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
            self._thread.join(_JOIN)
        self.path.unlink(missing_ok=True)
