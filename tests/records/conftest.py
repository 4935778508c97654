"""Fixtures for the look-up of small records."""

from collections.abc import Iterator

import pytest

from scripts.core.disk.locks import RateLimit
from tests.records.small_archives import SmallArchives


@pytest.fixture(autouse=True)
def spaces(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The spaces between requests that the rate limit would keep; here nobody waits."""
    kept: list[float] = []
    monkeypatch.setattr(RateLimit, "wait", lambda self: kept.append(self.interval))
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    return kept


@pytest.fixture
def small() -> Iterator[SmallArchives]:
    archives = SmallArchives()
    yield archives
    archives.close()
