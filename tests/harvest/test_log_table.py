"""The table of STAR logs."""

import csv
import gzip
import io

import numpy as np
import pytest
import scipy.sparse

from scripts.core.errors import InputError
from scripts.harvest import log_table
from scripts.plan.run_table import Run, write_runs
from scripts.plan.units import Cut, cut_into_units, write_units
from scripts.plates.shard_counts import ShardCounts, write_shard_counts
from scripts.star.log import read_star_log

OLD = """\
                                 Started job on |\tJun 02 01:50:44
       Mapping speed, Million of reads per hour |\t6.53

                          Number of input reads |\t1000
                                    UNIQUE READS:
                      Mismatch rate per base, % |\t0.43%
                                  UNMAPPED READS:
                 % of reads unmapped: too short |\t79.00%
                     % of reads unmapped: other |\t0.10%
"""
NEW = (
    OLD.replace("1000", "0")
    .replace("0.43", "-nan")
    .replace(
        "                 % of reads unmapped: too",
        "            Number of reads unmapped: too short |\t790\n                 % of reads unmapped: too",
    )
)


LOGS = {
    "SRR1.mus.Log.final.out": OLD,
    "SRR2Log.final.out": NEW.replace("\n", "\r\n"),
    "more/SRR3.Log.final.out": OLD.replace("1000", "7"),
    "SRR4/Log.final.out": OLD.replace("1000", "8"),
    "SRR1.homo.Log.final.out": "not of this species",
    "SRR1.mus.Log.out": "Finished successfully",
}


def write_logs(folder, logs):
    for name, text in logs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def make_of_folder(tmp_path, more=()):
    output = str(tmp_path / "log.csv.gz")
    log_table.main(["--logs", str(tmp_path / "logs"), "--species", "mus", "--output", output, *more])
    return gzip.decompress((tmp_path / "log.csv.gz").read_bytes()).decode()


def make(tmp_path, logs, more=(), failed=()):
    rows, read = [], []
    for number, text in enumerate(logs):
        (tmp_path / "log").write_text(text)
        read.append(read_star_log(tmp_path / "log"))
        row = Run("GSE1", "GSE1", f"GSM{number}", f"SRX{number}", f"SRR{9 - number}", species="mus", assay="plate")
        rows += [row, row._replace(run=f"SRR{9 - number}b")] if number == 0 else [row]
    kept = [number for number in range(len(logs)) if number not in failed]
    units = cut_into_units([row._replace(status="planned") for row in rows], Cut(9))
    write_units(tmp_path / "units", units, "experiment")
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
            *("--units", str(tmp_path / "units"), "--ledger", str(tmp_path / "runs.tsv"), "--species", "mus"),
            *("--counts", str(tmp_path / "{unit}.h5ad"), "--output", str(tmp_path / "log.csv.gz")),
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
        "% of reads unmapped: other,0.10%,0.10%\n"
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


def test_plain_logs_of_a_folder(tmp_path, capsys):
    write_logs(tmp_path / "logs", LOGS | {"SRR5.mus.Log.final.out.gz": OLD})
    assert make_of_folder(tmp_path) == (
        "FIELD_NAMES,SRR1,SRR2,SRR3,SRR4,SRR5\nEXP_ID,,,,,\nTAXON,mus,mus,mus,mus,mus\nGSM,,,,,\n"
        "Started job on,,,,,\n"
        '"Mapping speed, Million of reads per hour",,,,,\n'
        "Number of input reads,1000,0,7,8,1000\n"
        "UNIQUE READS:,,,,,\n"
        '"Mismatch rate per base, %",0.43%,-nan%,0.43%,0.43%,0.43%\n'
        "UNMAPPED READS:,,,,,\n"
        "Number of reads unmapped: too short,,790,,,\n"
        "% of reads unmapped: too short,79.00%,79.00%,79.00%,79.00%,79.00%\n"
        "% of reads unmapped: other,0.10%,0.10%,0.10%,0.10%,0.10%\n"
    )
    assert (
        "2 of 7 files are passed over, not named RUN.mus.Log.final.out: SRR1.homo.Log.final.out, SRR1.mus.Log.out.\n"
        in capsys.readouterr().err
    )


def test_plain_logs_with_a_ledger_are_grouped_by_experiment(tmp_path):
    row = Run("GSE1", "201", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted")
    rows = [row, row._replace(run="SRR2"), row._replace(run="SRR3", experiment="SRX3", sample="GSM3")]
    write_runs(tmp_path / "runs.tsv", rows)
    logs = {name: text for name, text in LOGS.items() if "SRR4" not in name}
    logs["SRR2Log.final.out"] = OLD.replace("1000", "3000").replace("79.00%", "75.00%")
    write_logs(tmp_path / "logs", logs)
    table = make_of_folder(tmp_path, ["--ledger", str(tmp_path / "runs.tsv")])
    assert table.startswith("FIELD_NAMES,SRR1;SRR2,SRR3\nEXP_ID,201,201\nTAXON,mus,mus\nGSM,GSM1,GSM3\n")
    assert "\nNumber of input reads,4000,7\n" in table
    assert "\n% of reads unmapped: too short,76.00%,79.00%\n" in table  # weighted by reads: old logs have no number


def test_logs_that_cannot_be_read_are_all_reported(tmp_path):
    folder = tmp_path / "logs"
    whole = gzip.compress(OLD.encode())
    write_logs(folder, LOGS | {"SRR2Log.final.out": OLD[:-200], "SRR3.mus.Log.final.out": "", "SRR6.Log.final.out": ""})
    (folder / "more/SRR3.Log.final.out").unlink()
    (folder / "SRR7.Log.final.out.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "SRR8.Log.final.out").write_text(OLD + OLD)
    with pytest.raises(InputError) as error:
        make_of_folder(tmp_path)
    lines = str(error.value).splitlines()
    assert lines[0] == "The folder of logs needs 5 corrections:"
    assert lines[1].startswith(f"{folder}/SRR2Log.final.out: cut short; it ends with 'UNIQUE READS:'")
    assert "SRR3.mus.Log.final.out: not a Log.final.out of STAR; it has no line 'Number of input reads'." in lines[2]
    assert "SRR7.Log.final.out.gz: cut short or damaged, it cannot be inflated" in lines[4]
    assert "SRR8.Log.final.out, line 10: the field 'Started job on' is duplicated" in lines[5]
    assert not (tmp_path / "log.csv.gz").exists()


def test_names_that_are_not_understood_are_reported(tmp_path):
    write_logs(
        tmp_path / "logs", {"SRR1.Log.final.out": OLD, "SRR1.mus.Log.final.out": OLD, "a.b.c.Log.final.tsv": OLD}
    )
    with pytest.raises(InputError) as error:
        make_of_folder(tmp_path)
    assert str(error.value).splitlines()[1:] == [
        "SRR1.mus.Log.final.out: a second file of SRR1, beside SRR1.Log.final.out.",
        "a.b.c.Log.final.tsv: not named RUN.mus.Log.final.out.",
    ]
    for path in (tmp_path / "logs").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"no file is named RUN\.mus\.Log\.final\.out, e\.g\. SRR1274127\.mus\.Log"):
        make_of_folder(tmp_path)
    (tmp_path / "logs").rmdir()
    with pytest.raises(InputError, match="logs: not a folder"):
        make_of_folder(tmp_path)


def test_no_input_is_an_error(tmp_path):
    with pytest.raises(InputError, match="give --units, --ledger and --counts, or --logs with a folder"):
        log_table.main(["--species", "mus", "--output", str(tmp_path / "x")])


def test_names_of_logs_with_dots_are_names(tmp_path):
    names = ("p.A1Log.final.out", "p.A2.Log.final.out", "p.A3.mus.Log.final.out", "p.A4/Log.final.out.gz")
    write_logs(tmp_path / "logs", dict.fromkeys(names, OLD))
    assert make_of_folder(tmp_path).splitlines()[0] == "FIELD_NAMES,p.A1,p.A2,p.A3,p.A4"
