"""What holds for the modules of all packages: no command imports another, and a class name stands for one thing."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scripts.__main__ import COMMANDS

HOME = Path(__file__).parents[1]
MODULES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((HOME / "scripts").rglob("*.py"))}


def imported(module: ast.Module) -> Iterator[str]:
    """Yield the dotted names of everything that a module imports, also inside functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_no_command_is_imported():
    commands = set(COMMANDS.values())
    found = {str(path): names for path, module in MODULES.items() if (names := commands.intersection(imported(module)))}
    assert found == {}


def test_tests_mirror_the_packages_of_core():
    core = HOME / "scripts" / "core"
    folders = [core, *(folder for folder in core.iterdir() if (folder / "__init__.py").exists())]
    for folder in folders:
        modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        assert len(modules) <= 15
        tests = HOME / "tests" / folder.relative_to(HOME / "scripts")
        assert {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")} <= modules


def test_a_class_name_stands_for_one_thing():
    modules = defaultdict(list)
    for path, module in MODULES.items():
        for node in module.body:
            if isinstance(node, ast.ClassDef):
                modules[node.name.lstrip("_")].append(str(path))
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}
