"""A genome in memory: loaded for a block of code, gone after it. Whole shards: tests/plates/test_align_memory.py."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scripts.core.disk.rights import user_name
from scripts.star.genome_memory import NOT_SHARED, SHARED, GenomeMemory, find_namespace, mode_inside
from tests.shared_memory import segments_of

pytestmark = pytest.mark.tools
HOME = Path(__file__).resolve().parents[2]


def test_memory_of_the_node_is_removed_after_the_block(mm10: Path, tmp_path: Path) -> None:
    memory = GenomeMemory(mm10 / "star", tmp_path)
    with memory.load("shared") as genome_load:
        assert genome_load == SHARED
        assert len(segments_of(mm10)) == 2
    assert not segments_of(mm10)


def test_memory_is_removed_after_an_error_and_a_stop(mm10: Path, tmp_path: Path) -> None:
    memory = GenomeMemory(mm10 / "star", tmp_path)
    with pytest.raises(ZeroDivisionError), memory.load("shared"):
        memory.stop()
        raise ZeroDivisionError
    assert not segments_of(mm10)


def test_nothing_is_loaded_where_nothing_is_shared(mm10: Path, tmp_path: Path) -> None:
    with GenomeMemory(mm10 / "star", tmp_path).load("none") as genome_load:
        assert genome_load == NOT_SHARED
        assert not segments_of(mm10)
    assert list(tmp_path.iterdir()) == []


def in_namespace(code: str, index: Path, folder: Path) -> list[str]:
    """Return what Python prints in a namespace of its own, with ``memory`` in hand."""
    start = (
        f"from pathlib import Path\nfrom scripts.star import genome_memory as module\nfolder = Path({str(folder)!r})\n"
    )
    start += f"memory = module.GenomeMemory(Path({str(index)!r}), folder)\n"
    command = [*find_namespace(), sys.executable, "-c", start + textwrap.dedent(code)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=HOME).stdout.split()


LEFT_BY_ANOTHER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
inode = os.stat(sys.argv[1]).st_ino
if not os.fork():
    os.setuid(65534)
    for key in (inode, inode + 1):  # never filled: a STAR that finds them waits for who loads the genome
        assert libc.shmget(ctypes.c_int(key), 1_000_000, 0o1000 | 0o666) >= 0, ctypes.get_errno()
    os._exit(0)
os.wait()
from pathlib import Path
from scripts.star import genome_memory as module
with module.GenomeMemory(Path(sys.argv[1]), Path(sys.argv[2])).load("shared") as how:
    print(how)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="another user is played, which needs root")
def test_a_genome_that_another_user_has_left_half_loaded_is_not_waited_for(mm10: Path, tmp_path: Path) -> None:
    command = ["unshare", "--ipc", sys.executable, "-c", LEFT_BY_ANOTHER, mm10 / "star", tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HOME, timeout=60)
    assert done.stdout == f"{SHARED}\n"
    assert f"user {user_name(65534)} has left some of this index there, which they can remove: ipcrm -m " in done.stderr
    assert "It is loaded once, into a file instead." in done.stderr


needs_mounts = pytest.mark.skipif("--mount" not in find_namespace(), reason="mounts are refused here")
LOADED = """
def mounted(): return str(folder) in Path("/proc/mounts").read_text()
def segments(): return len(Path("/proc/sysvipc/shm").read_text().splitlines()) - 1
with memory.load("huge") as how:
    print(how, mounted(), segments())
print(mounted(), list(folder.iterdir()))
"""


@needs_mounts
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is installed")
def test_a_genome_in_huge_pages_is_gone_after_the_block(mm10: Path, tmp_path: Path) -> None:
    assert in_namespace(LOADED, mm10 / "star", tmp_path) == [SHARED, "True", "0", "False", "[]"]
    assert not list(tmp_path.iterdir())


NO_COMPILER = "find = module.shutil.which\nmodule.shutil.which = lambda name: find(name) if name == 'STAR' else None"


@needs_mounts
@pytest.mark.parametrize(
    "refused", ["module._HUGE_PAGES = folder", "module._call_quietly = lambda *_: 'refused'", NO_COMPILER]
)
def test_without_huge_pages_the_genome_is_in_shared_memory(mm10: Path, tmp_path: Path, refused: str) -> None:
    said = in_namespace(refused + LOADED, mm10 / "star", tmp_path)
    assert said[:3] == [SHARED, "False", "2"]


def test_where_the_genome_is_loaded_follows_from_the_namespace() -> None:
    assert mode_inside(["unshare", "--ipc", "--mount"]) == "huge"
    assert mode_inside(["unshare", "--ipc"]) == "inside"


def test_a_compiler_that_is_killed_leaves_nothing_in_the_folder_of_temporary_files(tmp_path, monkeypatch) -> None:
    compiler, work = tmp_path / "cc", tmp_path / "work"
    compiler.write_text("#!/bin/sh\necho its files are in $TMPDIR >&2\nexit 1\n")
    compiler.chmod(0o755)
    work.mkdir()
    monkeypatch.setattr(shutil, "which", lambda name: str(compiler))
    said = GenomeMemory(tmp_path, work)._compile()
    assert said == f"cc failed: its files are in {work}/.shared_memory"
