"""The set-up: what it installs from where, that a second call does nothing twice, and what it says where it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
BASICS = (
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "id",
    "install",
    "mkdir",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "touch",
    "chmod",
)
TOOLS = (
    "STAR samtools prefetch fastq-dump vdb-validate sra-stat vdb-dump latf-load sharq general-loader kar kdbmeta"
    " align-info"
).split()
PYTHON = """#!/bin/bash
# Plays Python 3.11: makes an environment that holds itself, and writes down what pip is asked for.
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin && touch .venv/bin/activate && install -m 755 "$0" .venv/bin/python ;;
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
        (self.bin / name).unlink(missing_ok=True)  # a link to the machine's program is not written through
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def set_up(self, *arguments: str) -> tuple[int, str, list[str]]:
        """Return exit status, what is said, and the calls of package managers."""
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [self.bin / "bash", self.folder / "envs" / "setup.sh", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.bin), "HOME": str(self.folder), "OS_RELEASE": str(self.folder / "os-release")},
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


@pytest.mark.parametrize(
    ("name", "version", "old"),
    [("debian", "11", True), ("ubuntu", "22.04", True), ("debian", "12", False), ("ubuntu", "24.04", False)],
)
def test_a_system_that_is_too_old_is_told_so(machine, name, version, old):
    (machine.folder / "os-release").write_text(f'ID={name}\nVERSION_ID="{version}"\nPRETTY_NAME="{name} {version}"\n')
    machine.install("apt-get", APT % ("none", machine.bin, machine.bin))
    machine.install("sudo", '#!/bin/bash\n[ "$2" = true ] || "${@:2}"\n')
    status, said, called = machine.set_up()
    assert status == 1
    assert (f"set-up: the packages of {name} {version} are too old: its Python" in said) is old
    assert ("Take Debian 12, Ubuntu 24.04 or later ones" in said) is old
    assert ("as root:  apt-get install rna-star" in said) is not old
    assert bool(called) is not old  # it is not asked for what it does not have
    assert "Without root and conda:        get micromamba, one program, and call this again:\n" in said
    assert max(map(len, said.splitlines()[2:])) < 100


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


@pytest.mark.parametrize("place", ["bin", ".local/bin"])
def test_without_apt_they_come_from_conda(machine, place):
    machine.install("python3.12", PYTHON)
    machine.install("micromamba", MICROMAMBA % " ".join(TOOLS))
    (machine.folder / place).mkdir(parents=True, exist_ok=True)
    (machine.bin / "micromamba").rename(machine.folder / place / "micromamba")  # where its installer puts it
    status, said, called = machine.set_up()
    assert status == 0, said
    assert said.splitlines() == [
        "set-up: micromamba: the programs of envs/star.yaml into .tools (some minutes)",
        "set-up: micromamba: the programs of envs/sra_tools.yaml into .tools (some minutes)",
        "set-up: Python packages of envs/requirements.lock into .venv (a minute or two)",
    ]
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


def test_warnings_are_in_the_log_and_errors_on_the_terminal(machine):
    for tool in TOOLS:
        machine.install(tool, "#!/bin/bash\n")
    pip = '*"-m pip"*) echo "WARNING: old cache" >&2; {} ;;'
    machine.install("python3", PYTHON.replace('*"-m pip"*) echo "pip ${*: -1}" >>calls ;;', pip.format("exit 0")))
    status, said, _ = machine.set_up()
    assert (status, "WARNING" in said) == (0, False)
    assert (machine.folder / ".setup.log").read_text() == "WARNING: old cache\n"
    (machine.folder / ".venv/.stamp").unlink()
    failing = pip.format('echo "ERROR: no network" >&2; exit 1')
    machine.install("python3", PYTHON.replace('*"-m pip"*) echo "pip ${*: -1}" >>calls ;;', failing))
    status, said, _ = machine.set_up()
    assert status == 1
    assert f"failed. The end of {machine.folder}/.setup.log:\n  | WARNING: old cache\n  | ERROR: no network\n" in said
    assert "a Python from 3.11 to 3.14" in said


@pytest.mark.tools
def test_an_environment_can_be_activated_one_of_an_earlier_set_up_too(machine):
    machine.install("python3", f'#!/bin/bash\nexec "{sys._base_executable}" "$@"\n')
    for tool in TOOLS:
        machine.install(tool, "#!/bin/bash\n")
    (machine.folder / "envs" / "requirements.lock").write_text("# no packages\n", encoding="utf-8")
    activate = machine.folder / ".venv" / "bin" / "activate"
    for _ in range(2):
        status, said, _ = machine.set_up()
        assert status == 0, said
        entered = ["bash", "-c", '. "$0" && python -c "import sys; print(sys.prefix)"', activate]
        prefix = subprocess.run(entered, capture_output=True, text=True, check=True).stdout.strip()
        assert Path(prefix) == machine.folder / ".venv"
        activate.unlink()  # as in an environment of venv --upgrade


@pytest.mark.skipif(os.getuid() != 0, reason="apt-get is asked only by root or with sudo")
def test_what_only_tests_need_comes_when_asked_for(machine):
    machine.install("python3", PYTHON)
    for tool in TOOLS:
        machine.install(tool, "#!/bin/bash\n")
    programs = "Rscript sbatch slurmctld slurmd munged slurmdbd mariadbd"
    machine.install("apt-get", APT % (programs, machine.bin, machine.bin))
    assert machine.set_up()[2] == ["pip envs/requirements.lock"]
    update, install = machine.set_up("slurm", "slurm-accounting", "r")[2]
    assert update == "apt-get -q update"
    # Daemons are looked for in /usr/sbin too, where this machine may have them.
    assert {"r-base-core", "slurm-wlm"} <= set(install.split())
    status, said, _ = machine.set_up("gimp")
    known = "slurm, slurm-accounting, r, chromium and debootstrap"
    assert (status, said) == (2, f"set-up: unknown argument gimp; {known} are known\n")


class Ci:
    """CI's script, where make, the set-up and the demo on Debian only say that they are called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (".ci", "envs", "bin", "tests"):
            (folder / name).mkdir()
        shutil.copy(HOME / ".ci" / "run", folder / ".ci" / "run")

    def run(self, root: int = 0, installed: bool = True, demo: int = 0) -> tuple[int, list[str], str]:
        """Return exit status, the calls, and the errors. ``demo`` is the exit status of the demo on Debian."""
        scripts = {
            "envs/setup.sh": f"exit {0 if installed else 1}",
            "bin/make": 'echo "make $*"',
            "bin/id": f"echo {root}",
            "tests/debian.sh": f'echo "debian.sh $2"; exit {demo}',
        }
        for name, text in scripts.items():
            (self.folder / name).write_text(f"#!/bin/bash\n{text}\n")
            (self.folder / name).chmod(0o755)
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"}
        done = subprocess.run([self.folder / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(("root", "installed"), [(0, False), (1000, True)])
def test_ci_skips_what_it_cannot_install(tmp_path, root, installed):
    status, called, said = Ci(tmp_path).run(root, installed)
    assert (status, called) == (0, ["make test"])
    for what in ("R", "Slurm", "debootstrap"):
        assert f"no {what} can be installed here" in said


@pytest.mark.parametrize(("demo", "status"), [(0, 0), (2, 2), (69, 0)])
def test_ci_fails_with_the_demo_on_the_other_debian_where_that_can_be_made(tmp_path, demo, status):
    tests = [] if status else ["make test"]
    assert Ci(tmp_path).run(demo=demo) == (status, ["debian.sh demo", *tests], "")


def test_a_root_of_debian_that_cannot_be_made_says_why(machine):
    (machine.folder / "tests").mkdir()
    script = shutil.copy(HOME / "tests" / "debian.sh", machine.folder / "tests")
    for uid, reason in (("1000", "that needs root"), ("0", "debootstrap is not installed")):
        machine.install("id", f"#!/bin/bash\necho {uid}\n")
        command = [machine.bin / "bash", script, "trixie", "demo"]
        environment = {"PATH": str(machine.bin), "HOME": str(machine.folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (69, f"debian.sh: no root of Debian trixie: {reason}\n")
