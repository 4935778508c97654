"""The set-up: what it installs from where, that a second call does nothing twice, and what it says where it cannot."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
BASICS = ("bash", "cat", "cut", "dirname", "env", "id", "mkdir", "rm", "sed", "sha256sum", "sort", "touch", "chmod")
TOOLS = "STAR samtools prefetch fasterq-dump vdb-validate sra-stat vdb-dump latf-load sharq general-loader kar".split()
PYTHON = """#!/bin/bash
# Plays Python 3.11: makes an environment that holds itself, and writes down what pip is asked for.
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin && cat "$0" >.venv/bin/python && chmod +x .venv/bin/python ;;
    *"-m pip"*) echo "pip ${*: -1}" >>calls ;;
    *ensurepip*) ;;
    *version_info*) echo "(3, 11)" ;;
esac
"""
MICROMAMBA = """#!/bin/bash
echo "micromamba $1 ${*: -1}" >>calls
mkdir -p .tools/conda-meta .tools/bin
for tool in %s; do echo '#!/bin/bash' >.tools/bin/$tool; chmod +x .tools/bin/$tool; done
"""
APT = """#!/bin/bash
echo "apt-get $*" >>calls
if [ "${*: -1}" != update ]; then
    for tool in %s; do echo '#!/bin/bash' >"%s/$tool"; chmod +x "%s/$tool"; done
fi
"""


class Machine:
    """A checkout on a machine that has nothing but what is put into its ``bin``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        shutil.copytree(HOME / "envs", folder / "envs")
        for name in BASICS:
            (self.bin / name).symlink_to(shutil.which(name))

    def install(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def set_up(self) -> tuple[int, str, list[str]]:
        """Return exit status, what is said, and the calls of package managers."""
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [self.bin / "bash", self.folder / "envs" / "setup.sh"],
            cwd=self.folder,
            env={"PATH": str(self.bin), "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        called = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
        return done.returncode, done.stderr, called


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_where_nothing_can_be_installed_all_that_is_missing_is_named(machine):
    status, said, called = machine.set_up()
    assert status == 1
    assert not called
    missing = next(line for line in said.splitlines() if line.startswith("set-up: these programs are missing:"))
    assert set(missing.partition("missing: ")[2].split()) == {*TOOLS, "python3(>=3.11,with-venv)"}
    assert "apt-get install rna-star sra-toolkit samtools python3 python3-venv" in said
    assert "envs/star.yaml and envs/sra_tools.yaml" in said


@pytest.mark.skipif(os.getuid() != 0, reason="apt-get is asked only by root or with sudo")
def test_missing_tools_come_from_apt(machine):
    machine.install("python3.11", PYTHON)
    machine.install("samtools", "#!/bin/bash\n")
    machine.install("apt-get", APT % (" ".join(TOOLS), machine.bin, machine.bin))
    status, said, called = machine.set_up()
    assert status == 0, said
    assert called == [
        "apt-get -q update",
        "apt-get -q install -y --no-install-recommends rna-star sra-toolkit",
        "pip envs/requirements.lock",
    ]
    assert machine.set_up() == (0, "", [])


def test_without_apt_they_come_from_conda(machine):
    machine.install("python3.12", PYTHON)
    machine.install("micromamba", MICROMAMBA % " ".join(TOOLS))
    status, said, called = machine.set_up()
    assert status == 0, said
    assert called == [
        "micromamba create envs/star.yaml",
        "micromamba install envs/sra_tools.yaml",
        "pip envs/requirements.lock",
    ]
    assert machine.set_up() == (0, "", [])


def test_another_lock_file_is_installed(machine):
    machine.install("python3", PYTHON)
    for tool in TOOLS:
        machine.install(tool, "#!/bin/bash\n")
    assert machine.set_up()[2] == ["pip envs/requirements.lock"]
    with (machine.folder / "envs" / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n# another\n")
    assert machine.set_up()[2] == ["pip envs/requirements.lock"]
    assert machine.set_up()[2] == []


@pytest.mark.parametrize(("root", "installed", "slurm"), [(0, True, "all"), (0, False, ""), (1000, True, "")])
def test_ci_runs_every_test_once_and_those_on_slurm_where_it_can_be_had(tmp_path, root, installed, slurm):
    for folder in (".ci", "envs", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(HOME / ".ci" / "run", tmp_path / ".ci" / "run")
    scripts = {
        "envs/setup.sh": f"exit {0 if installed else 1}",
        "bin/make": 'echo "make $* SLURM_TESTS=${SLURM_TESTS:-}"',
        "bin/id": f"echo {root}",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run([tmp_path / ".ci/run"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"make test SLURM_TESTS={slurm}\n"
    assert ("no Slurm can be installed here" in done.stderr) == (not slurm)
