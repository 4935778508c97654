"""What the largest node has, by the answers of sinfo."""

import pytest

from scripts.core.workflow import cluster
from scripts.core.workflow.cluster import Node, largest_node, parse_nodes

ANSWER = "short* 8 32000\nshort* 8 16000\nlong 64 64000\nlong 16 1000000+\nbig 2 9\n"


@pytest.mark.parametrize(
    ("partitions", "node"),
    [
        ((), Node(8, 32000)),  # the default partition
        (("long",), Node(64, 1000000)),
        (("short", "big"), Node(8, 32000)),
        (("short if threads < 9 else long",), Node(64, 1000000)),  # known for each job alone: any of them
    ],
)
def test_the_largest_node_of_the_partitions_that_are_named(partitions, node):
    assert parse_nodes(ANSWER, partitions) == node


def test_without_a_default_partition_all_count_and_without_an_answer_none():
    assert parse_nodes(ANSWER.replace("*", "")) == Node(64, 1000000)
    assert parse_nodes("") is None
    assert parse_nodes("slurm_load_partitions: Unable to contact slurm controller\n") is None


def test_slurm_is_asked(tmp_path, monkeypatch):
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\nprintf 'main* 4 8000\\n'\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert largest_node() == Node(4, 8000)
    sinfo.write_text("#!/bin/sh\nexit 1\n")
    assert largest_node() is None
    sinfo.write_text("#!/bin/sh\nexec sleep 9\n")
    monkeypatch.setattr(cluster, "_PATIENCE", 0.1)
    assert largest_node() is None
    sinfo.unlink()
    assert largest_node() is None
