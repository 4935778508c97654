"""Checks of counts, and cells of an earlier round."""

import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError, RunFault
from scripts.plan.status import RunStatus
from scripts.plates.count import check_fragments, choose_checked, join_cells
from scripts.plates.shard_counts import ShardCounts

LOG = {
    "Started job on": "Nov 21 05:08:15",
    "Number of input reads": "100",
    "Average input read length": "150",
    "UNIQUE READS:": "",
    "Uniquely mapped reads number": "60",
    "Uniquely mapped reads %": "60.00%",
    "Average mapped length": "148.00",
    "Mismatch rate per base, %": "0.30%",
    "Number of reads mapped to multiple loci": "10",
    "% of reads mapped to multiple loci": "10.00%",
    "Number of reads mapped to too many loci": "5",
    "Number of reads unmapped: too short": "25",
    "% of reads unmapped: other": "0.00%",
}


def test_fragments_must_be_those_that_star_mapped() -> None:
    check_fragments(LOG, 70)
    with pytest.raises(RunFault) as told:
        check_fragments(LOG, 69)
    assert told.value.reason == "READS_MISSING"
    assert told.value.detail == ("69 fragments were counted, but STAR mapped 70 (60 to one place, 10 to several).")
    with pytest.raises(RunFault, match="STAR was given 101 reads, but mapped 70 and dropped 30"):
        check_fragments(LOG | {"Number of input reads": "101"}, 70)


def test_the_checked_cell_does_not_depend_on_the_order() -> None:
    columns = [f"SRX{number}" for number in range(50)]
    assert choose_checked(columns) == choose_checked(columns[::-1])
    assert {choose_checked(columns[:size]) for size in range(1, 50)} > {columns[0]}


def make_shard(columns: list[str], tools: dict[str, str], reference: str = "mm10 sha256:1") -> ShardCounts:
    counts = scipy.sparse.csc_matrix(np.full((len(columns), 1), 3))
    tallies = np.zeros((len(columns), 5), np.int64)
    return ShardCounts(["g"], columns, list(columns), counts, tallies, [{} for _ in columns], reference, tools)


def test_kept_cells_bring_the_versions_of_their_tools_along() -> None:
    now = make_shard(["SRR3"], {"STAR": "2.7.11b", "counter": "native"})
    earlier = make_shard(["SRR1", "SRR2"], {"STAR": "2.7.10b", "counter": "native"})
    statuses = {run: RunStatus(run, state) for run, state in (("SRR1", "ok"), ("SRR2", "kept"), ("SRR3", "ok"))}
    joined = join_cells(now, earlier, statuses)
    assert joined.columns == ["SRR3", "SRR2"]
    assert joined.tools == {"STAR": "2.7.10b, 2.7.11b", "counter": "native"}
    statuses["SRR2"] = RunStatus("SRR2")
    assert join_cells(now, earlier, statuses).tools == now.tools
    with pytest.raises(InputError, match="kept counts are of mm9 sha256:2 and the new ones of mm10 sha256:1"):
        join_cells(now, make_shard(["SRR2"], {}, "mm9 sha256:2"), statuses)
