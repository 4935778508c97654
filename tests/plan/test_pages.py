"""Pages that are made from code are what the code makes."""

from pathlib import Path

from scripts.plan.configuration import configuration_page
from scripts.plan.reasons import reasons_page

HOME = Path(__file__).parents[2]


def test_pages_are_up_to_date():  # make docs
    for name, page in (("docs/reasons.md", reasons_page()), ("config/README.md", configuration_page())):
        assert (HOME / name).read_text(encoding="utf-8") == page, name
