"""Embedding atlases: cells as vectors, and every row knows where it came from.

    python -m scripts.atlas COMMAND …

Each command tells its options with --help.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.core.errors import InputError, run_command

COMMANDS = ("embed", "pack", "check", "locate", "search", "distribution", "train", "agreement")


def first_line(command: str) -> str:
    """Return the first line of a command's description, without running it."""
    source = Path(__file__).with_name(f"{command}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def help_text() -> str:
    """Return the description with a line for each command."""
    lines = (f"  {command:14}{first_line(command)}" for command in COMMANDS)
    return "\n".join([__doc__.strip(), "", "commands:", *lines])


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
        return
    command, *rest = arguments
    if command not in COMMANDS:
        raise InputError(f"atlas: {command!r} is no command; there are {', '.join(COMMANDS)}.")
    sys.argv = [f"{Path(sys.argv[0]).name} {command}", *rest]
    importlib.import_module(f"scripts.atlas.{command}").main(rest)


if __name__ == "__main__":
    run_command(main)
