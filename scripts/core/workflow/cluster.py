"""What the nodes of a cluster have, asked of Slurm."""

import subprocess
from collections.abc import Collection
from typing import NamedTuple

_PATIENCE = 30  # seconds until Slurm's controller has answered


class Node(NamedTuple):
    """What a job on one node may have at most."""

    cpus: int
    memory_mb: int


def largest_node(partitions: Collection[str] = ()) -> Node | None:
    """Return the most CPUs and memory of a node in these partitions of Slurm, or in the default one.

    None where Slurm cannot be asked. Where a partition has another name, all of them count.
    """
    command = ["sinfo", "--noheader", "--Node", "--format", "%P %c %m"]  # man sinfo; a star marks the default
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_nodes(done.stdout, partitions) if not done.returncode else None


def parse_nodes(answer: str, partitions: Collection[str] = ()) -> Node | None:
    """Return the largest node by the lines ``partition CPUs memory`` of an answer, see :func:`largest_node`."""
    rows = [line.split() for line in answer.splitlines()]
    nodes = [(row[0], int(row[1]), int(row[2].rstrip("+"))) for row in rows if len(row) == 3 and row[1].isdecimal()]
    known = {name.removesuffix("*") for name, _, _ in nodes}
    wanted = set(partitions) if set(partitions) <= known else known
    if not partitions:
        wanted = {name.removesuffix("*") for name, _, _ in nodes if name.endswith("*")} or known
    of_jobs = [(cpus, memory) for name, cpus, memory in nodes if name.removesuffix("*") in wanted]
    return Node(*map(max, zip(*of_jobs, strict=True))) if of_jobs else None
