"""The version of the workflow, as pyproject.toml has it."""

import platform
import tomllib
from pathlib import Path

VERSION: str = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]


def own_versions() -> dict[str, str]:
    """Return the versions of the workflow and of the Python that runs it."""
    return {"sra2matrix": VERSION, "Python": platform.python_version()}
