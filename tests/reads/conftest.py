"""Directories of an analysis with a download, or a conversion, to come."""

import pytest

from tests.reads.analysis_directory import Analysis, Conversion
from tests.reads.resolver import Resolver


@pytest.fixture
def analysis(tmp_path, server, world):
    """The analysis of one run."""
    return Analysis(tmp_path, server, world, ["SRR9000001"])


@pytest.fixture
def several(tmp_path, server, world):
    """The analysis of several runs."""
    return Analysis(tmp_path, server, world, [f"SRR900000{number}" for number in range(1, 6)])


@pytest.fixture
def conversion(tmp_path, world, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Conversion(tmp_path, world)


@pytest.fixture
def resolver():
    """A server of files, none at first."""
    made = Resolver()
    yield made
    made.server.shutdown()
    made.server.server_close()
