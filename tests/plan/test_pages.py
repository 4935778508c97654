"""Pages that are made from code are what the code makes."""

from scripts.plan.pages import pages


def test_pages_are_up_to_date():  # make docs
    for path, content in pages().items():
        assert path.read_text(encoding="utf-8") == content, path.name
