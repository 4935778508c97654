"""The columns of obs: of plate cells, and of the cells of droplet libraries."""

import numpy as np

from scripts.plan.run_table import Run
from scripts.records.obs_columns import add_numbers, droplet_columns, join_values, library_fields, star_columns

ROWS = [Run(run="SRR1", spots="5", layout="single"), Run(run="SRR2", spots="7", bases="9", layout="single")]


def test_runs_of_a_cell_are_one_value():
    assert [join_values(ROWS, name) for name in ("run", "layout")] == ["SRR1;SRR2", "single"]
    assert [add_numbers(ROWS, name) for name in ("spots", "bases")] == [12, -1]


def test_a_library_has_what_its_reads_showed():
    fields = library_fields(ROWS, "10xv3", "", {"geo_age": "P1"})
    assert [fields[name] for name in ("run", "spots", "chemistry", "read_roles", "geo_age")] == [
        *("SRR1;SRR2", 12, "10xv3", "", "P1")
    ]
    assert not {"md5", "source", "status", "reason", "detail"} & fields.keys()


def test_fields_of_libraries_are_columns_of_their_cells():
    libraries = [{"spots": 3, "geo_z": "z", "run": "SRR1"}, {"spots": 4, "run": "SRR2", "geo_a": "a"}]
    columns = droplet_columns(libraries, [2, 1])
    assert list(columns) == ["run", "spots", "geo_a", "geo_z"]
    assert columns["spots"].tolist() == [3, 3, 4]
    assert [columns[name] for name in ("run", "geo_a", "geo_z")] == [
        *(["SRR1", "SRR1", "SRR2"], [None, None, "a"], ["z", "z", None])
    ]
    assert droplet_columns([], []) == {}


def test_numbers_of_logs_are_whole_or_decimal():
    logs = [{"Number of input reads": "4", "Mismatch rate per base, %": "0.43%", "Started job on": "x"}, {}]
    columns = star_columns(logs)
    assert columns["star_number_of_input_reads"].tolist() == [4, -1]
    decimals = columns["star_mismatch_rate_per_base_percent"]
    assert decimals[0] == 0.43
    assert np.isnan(decimals[1])
    assert len(columns) == 2
