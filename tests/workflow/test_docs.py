"""What the documentation names exists: files, commands, targets of make, links."""

import re
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS

HOME = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "config/*.md", "scripts/**/*.md")
    for path in HOME.glob(pattern)
    if path.name != "CHANGELOG.md"  # names what is gone, too
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w/.{])((?:scripts|rules|tests|envs|profiles|docs|benchmarks)/[\w./-]+\.\w+)", text)
    assert [path for path in paths if not (HOME / path).exists()] == []
    assert set(re.findall(r"python -m scripts ([a-z]\w*)", text)) <= set(COMMANDS)
    targets = re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"(?<!snake)make ([a-z][a-z-]+)", " ".join(re.findall(r"`[^`]*`", text)))) <= set(targets)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(((?!https?:)[^)#\s]+[^)\s]*)\)", text)]
    assert [link for link in links if not (page.parent / link).exists()] == []
