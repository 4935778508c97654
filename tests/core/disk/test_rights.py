"""Files and folders that may not be used are named with their owner."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.core.disk.rights import cause_of, user_name

HOME = Path(__file__).parents[3]
NOBODY = 65534
# Root without its right to every file is a user like others.
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def another_user_can_be_played() -> bool:
    words = [*AS_OTHERS, "true"]
    return os.getuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not another_user_can_be_played(), reason="needs root and setpriv")


def as_others(code: str, *arguments: object) -> str:
    """Return what Python code prints as a user to whom the files of others are closed."""
    words = [*AS_OTHERS, sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, cwd=HOME, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


@pytest.fixture
def private(tmp_path):
    """A folder of another user with a file in it, and a file of theirs beside it."""
    for path in (tmp_path / "private" / "file", tmp_path / "shut"):
        path.parent.mkdir(exist_ok=True)
        path.touch(0o600)
        os.chown(path, NOBODY, NOBODY)
    os.chown(tmp_path / "private", NOBODY, NOBODY)
    (tmp_path / "private").chmod(0o700)
    return tmp_path


def test_what_may_not_be_read_names_its_owner(private):
    code = "import sys; from scripts.core.disk.rights import *; [print(denied(path)) for path in sys.argv[1:]]"
    nobody = user_name(NOBODY)
    paths = [private / "shut", private / "private", private / "private" / "file", private / "none", private]
    assert as_others(code, *paths).splitlines() == [
        f"Permission denied: {private}/shut is of user {nobody}, -rw-------",
        f"Permission denied: {private}/private is of user {nobody}, drwx------",
        f"Permission denied: {private}/private is of user {nobody}, drwx------",
        "",
        "",
    ]
    code = "import sys; from scripts.core.disk.rights import *; print(first_denied(sys.argv[1:]))"
    assert as_others(code, private / "none") == "\n"
    found = as_others(code, private)
    assert f" is of user {nobody}, " in found
    assert found.endswith(f"; ask them for: chmod -R a+rX {private}\n")


def test_a_folder_that_may_not_be_written_is_named(private):
    (private / "private").chmod(0o755)
    code = """
import sys
from scripts.core.disk.rights import *
for path in sys.argv[1:]:
    try:
        open(path, "w")
    except OSError as error:
        print(cause_of(error))
"""
    nobody = user_name(NOBODY)
    assert as_others(code, private / "private" / "new", private / "private").splitlines() == [
        f"Permission denied: {private}/private is of user {nobody}, drwxr-xr-x",
        "Is a directory",
    ]


def test_folders_in_which_nothing_can_be_written(private):
    (private / "private").chmod(0o755)
    code = "import sys; from scripts.core.disk.rights import *; print(*unwritable(sys.argv[1:]))"
    found = as_others(code, private, private / "none", private / "private")
    whose = f"is of user {user_name(NOBODY)}, drwxr-xr-x"
    assert found == (
        f"{private}/private: this folder cannot be written: Permission denied: {private}/private {whose}.\n"
    )


SHARED = """
import sys
from pathlib import Path
sys.stderr = sys.stdout
from scripts.core.command import run_command
from scripts.core.disk.shared_cache import build_targets
folder = Path(sys.argv[1])
targets = [folder / "genome.fa", folder / "star"]
def build(genome, star):
    genome.write_text("built")
    star.mkdir()
    (star / "SA").touch()
    print("built")
run_command(lambda: build_targets(Path(sys.argv[2]), "reference", dict, targets, build))
"""


@pytest.mark.parametrize(
    ("private", "words"),
    [
        ("", "{folder}/.made/reference.json: Permission denied: {folder} is of user nobody, drwx------; who made it"),
        ("none", "reference is still to be made. {folder}: this folder cannot be written: Permission denied: {folder}"),
        ("genome.fa", "{folder}/genome.fa: Permission denied: {folder}/genome.fa is of user nobody, -rw-------"),
        ("star/SA", "{folder}/star/SA: Permission denied: {folder}/star/SA is of user nobody, -rw-------"),
        (
            ".made/reference.json",
            "{folder}/.made/reference.json: Permission denied: {folder}/.made/reference.json is of",
        ),
    ],
)
def test_resources_of_a_colleague_are_used_or_named(tmp_path, private, words):
    folder = tmp_path / "resources"
    subprocess.run([sys.executable, "-c", SHARED, folder, tmp_path / "links"], cwd=HOME, check=True)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    if private != "none":
        assert as_others(SHARED, folder, tmp_path / "mine") == ""  # all may be read, nothing is built again
        (folder / private).chmod(0o700 if (folder / private).is_dir() else 0o600)
    else:
        (folder / "genome.fa").unlink()
    found = as_others(SHARED, folder, tmp_path / "other")
    assert words.format(folder=folder).replace("nobody", user_name(NOBODY)) in found
    assert found.count("\n") == 1


def test_a_command_ends_with_the_sentence(private):
    code = f"""
import sys
sys.stderr = sys.stdout
from scripts.core.command import run_command
run_command(lambda: open("{private}/shut"))
"""
    sentence = f"{private}/shut: Permission denied: {private}/shut is of user {user_name(NOBODY)}, -rw-------.\n"
    assert as_others(code) == sentence


def test_other_errors_keep_their_words(tmp_path):
    assert cause_of(OSError(errno.ENOSPC, "No space left on device"), tmp_path) == "No space left on device"
    assert cause_of(PermissionError("no")) == "no"
