"""The table of STAR logs."""

import csv
import gzip
import io

import numpy as np
import pytest
import scipy.sparse

from scripts import log_table
from scripts.formats.errors import InputError
from scripts.formats.run_table import Run, write_runs
from scripts.formats.shard_counts import ShardCounts, write_shard_counts
from scripts.formats.star_log import read_star_log

OLD = """\
                                 Started job on |\tJun 02 01:50:44
       Mapping speed, Million of reads per hour |\t6.53

                          Number of input reads |\t1000
                                    UNIQUE READS:
                      Mismatch rate per base, % |\t0.43%
                                  UNMAPPED READS:
                 % of reads unmapped: too short |\t79.00%
"""
NEW = (
    OLD.replace("1000", "0")
    .replace("0.43", "-nan")
    .replace(
        "                 % of reads",
        "            Number of reads unmapped: too short |\t790\n                 % of reads",
    )
)


def make(tmp_path, logs, more=(), failed=()):
    rows, read = [], []
    for number, text in enumerate(logs):
        (tmp_path / "log").write_text(text)
        read.append(read_star_log(tmp_path / "log"))
        row = Run("GSE1", "GSE1", f"GSM{number}", f"SRX{number}", f"SRR{9 - number}", species="mus", assay="plate")
        rows += [row, row._replace(run=f"SRR{9 - number}b")] if number == 0 else [row]
    kept = [number for number in range(len(logs)) if number not in failed]
    write_runs(tmp_path / "plan.tsv", [row._replace(status="planned") for row in rows])
    lost = {f"SRX{number}" for number in failed}
    settled = [row._replace(status="failed" if row.experiment in lost else "counted") for row in rows]
    write_runs(tmp_path / "runs.tsv", settled)
    shard = ShardCounts(
        ["g"],
        [f"SRX{number}" for number in kept],
        [";".join(row.run for row in rows if row.experiment == f"SRX{number}") for number in kept],
        scipy.sparse.csc_matrix((len(kept), 1), dtype=np.int64),
        np.zeros((len(kept), 5), np.int64),
        [read[number] for number in kept],
    )
    write_shard_counts(tmp_path / "GSE1.mus.0000.h5ad", shard)
    log_table.main(
        [
            *("--plan", str(tmp_path / "plan.tsv"), "--ledger", str(tmp_path / "runs.tsv"), "--species", "mus"),
            *("--counts", str(tmp_path / "{unit}.h5ad"), "--shard-size", "9", "--output", str(tmp_path / "log.csv.gz")),
            *more,
        ]
    )
    return gzip.decompress((tmp_path / "log.csv.gz").read_bytes()).decode()


def test_logs_of_two_versions(tmp_path):
    assert make(tmp_path, [OLD, NEW]) == (
        "FIELD_NAMES,SRR8,SRR9;SRR9b\nEXP_ID,GSE1,GSE1\nTAXON,mus,mus\nGSM,GSM1,GSM0\n"
        "Started job on,,\n"
        '"Mapping speed, Million of reads per hour",,\n'
        "Number of input reads,0,1000\n"
        "UNIQUE READS:,,\n"
        '"Mismatch rate per base, %",-nan%,0.43%\n'
        "UNMAPPED READS:,,\n"
        "Number of reads unmapped: too short,790,\n"
        "% of reads unmapped: too short,79.00%,79.00%\n"
    )


def test_the_clock_can_be_kept(tmp_path):
    table = list(csv.reader(io.StringIO(make(tmp_path, [OLD], ["--clock", "keep"]))))
    assert table[4:6] == [["Started job on", "Jun 02 01:50:44"], ["Mapping speed, Million of reads per hour", "6.53"]]


def test_failed_cells_are_not_in_it(tmp_path):
    assert make(tmp_path, [OLD, NEW], failed=[1]).startswith("FIELD_NAMES,SRR9;SRR9b\n")
    assert make(tmp_path, [OLD, NEW], failed=[0, 1]) == "FIELD_NAMES\nEXP_ID\nTAXON\nGSM\n"


def test_the_path_of_counts_needs_the_unit(tmp_path):
    with pytest.raises(InputError, match=r"there must be \{unit\} in it"):
        make(tmp_path, [OLD], ["--counts", str(tmp_path / "GSE1.mus.0000.h5ad")])
