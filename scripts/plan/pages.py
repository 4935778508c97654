"""Write the pages that are made from code: docs/reasons.md and config/README.md (``make docs``)."""

from pathlib import Path

import yaml

from scripts.core.files import write_atomic
from scripts.plan.configuration import configuration_page
from scripts.plan.reasons import reasons_page

_HOME = Path(__file__).resolve().parents[2]


def pages() -> dict[Path, str]:
    """Return path → content of every page."""
    schema = yaml.safe_load((_HOME / "config/config.schema.yaml").read_text(encoding="utf-8"))
    return {_HOME / "docs/reasons.md": reasons_page(), _HOME / "config/README.md": configuration_page(schema)}


if __name__ == "__main__":
    for path, content in pages().items():
        write_atomic(path, content)
