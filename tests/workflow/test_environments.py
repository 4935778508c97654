"""The environments of --sdm conda: each has what the commands of its rules import, in the versions of the lock file."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from scripts.__main__ import COMMANDS
from scripts.atlas.atlas_embed import BACK_ENDS

HOME = Path(__file__).parents[2]
DISTRIBUTION = {"yaml": "pyyaml", "vl_convert": "vl-convert-python", "HTSeq": "htseq", "simpler_flash": "simpler-flash"}
TAKEN_ALONG = {"urllib3"}  # by requests
RULE = re.compile(r"^(?:rule|checkpoint) (\w+):", re.MULTILINE)


def locked() -> dict[str, str]:
    lines = (HOME / "envs" / "requirements.lock").read_text(encoding="utf-8")
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lines, re.MULTILINE)}


def packages(environment: str) -> dict[str, str]:
    reported = yaml.safe_load((HOME / "envs" / f"{environment}.yaml").read_text(encoding="utf-8"))
    pinned = next(part["pip"] for part in reported["dependencies"] if isinstance(part, dict))
    return {name.lower(): version for name, version in (package.split("==") for package in pinned)}


def imported(module: str, seen: set[str]) -> set[str]:
    """Return the distributions that a module imports, itself or through other modules of the project."""
    path = HOME / module.replace(".", "/")
    source = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
    if module in seen or source is None:  # a function or class, not a module
        return set()
    seen.add(module)
    found = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            distribution = DISTRIBUTION.get(top, top)
            if top == "scripts":
                found |= imported(name, seen)
            elif top not in sys.stdlib_module_names:
                found.add(distribution)
    return found


def rules() -> list[tuple[str, str, str]]:
    """Return (rule, environment, command) of every rule that runs a command."""
    found = []
    for path in sorted((HOME / "rules").glob("*.smk")):
        parts = RULE.split(path.read_text(encoding="utf-8"))[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            environments = re.findall(r"envs/(\w+)\.yaml", text)
            command = re.search(r"-m scripts (\w+)", text)
            assert environments, name
            assert command, name
            found += [(name, environment, COMMANDS[command[1]]) for environment in environments]
    return found


@pytest.mark.parametrize(("rule", "environment", "command"), rules())
def test_an_environment_has_what_its_commands_import(rule, environment, command):
    needed = imported(command, set()) | imported("scripts.__main__", set())
    assert needed - TAKEN_ALONG <= set(packages(environment)), rule


@pytest.mark.parametrize("name", BACK_ENDS)
def test_an_environment_has_what_its_back_ends_import(name):
    environment = "scprint2" if name == "scprint2" else "python"
    assert imported(BACK_ENDS[name], set()) <= set(packages(environment))


@pytest.mark.parametrize("environment", ["python", "star", "sra_tools"])
def test_versions_are_those_of_the_lock_file(environment):
    assert packages(environment).items() <= locked().items()
