"""A genome in memory: loaded for a block of code, gone after it. Whole shards: tests/plates/test_align_memory.py."""

from pathlib import Path

import pytest

from scripts.star.genome_memory import NOT_SHARED, SHARED, GenomeMemory
from tests.shared_memory import segments_of

pytestmark = pytest.mark.tools


def test_memory_of_the_node_is_removed_after_the_block(mm10: Path, tmp_path: Path) -> None:
    memory = GenomeMemory(mm10 / "star", tmp_path)
    with memory.load("shared") as genome_load:
        assert genome_load == SHARED
        assert len(segments_of(mm10)) == 2
    assert not segments_of(mm10)


def test_memory_is_removed_after_an_error_and_a_stop(mm10: Path, tmp_path: Path) -> None:
    memory = GenomeMemory(mm10 / "star", tmp_path)
    with pytest.raises(ZeroDivisionError), memory.load("shared"):
        memory.stop()
        raise ZeroDivisionError
    assert not segments_of(mm10)


def test_nothing_is_loaded_where_nothing_is_shared(mm10: Path, tmp_path: Path) -> None:
    with GenomeMemory(mm10 / "star", tmp_path).load("none") as genome_load:
        assert genome_load == NOT_SHARED
        assert not segments_of(mm10)
    assert list(tmp_path.iterdir()) == []
