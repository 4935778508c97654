"""The command that runs a back end: what it adds, and what it says of back ends that fail."""

import json
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.atlas import atlas_embed
from scripts.atlas.embedders import fixture
from scripts.atlas.embedders.expression import seed_of
from scripts.atlas.store.layout import PUBLIC
from scripts.atlas.store.part import Cell, EmbeddedPart
from scripts.core.errors import InputError, Interrupted
from tests.atlas.small_matrices import GENES, draw_counts, write_droplets, write_matrix


def run(matrix, output, *more, backend="fixture"):
    fixed = ["--backend", backend, "--matrix", matrix, "--species", "homo", "--tax-id", "9606", "--output", output]
    atlas_embed.main([*map(str, fixed), *map(str, more)])
    return EmbeddedPart(output)


def write_interpreter(path: Path, text: str) -> Path:
    """A program that stands in for the Python of a back end."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def droplets(tmp_path):
    counts = draw_counts(12)
    counts[5] = 0
    (tmp_path / "results" / "droplets").mkdir(parents=True)
    return write_droplets(tmp_path / "results" / "droplets" / "GSE2.homo.h5ad", counts, {"SRX1": 7, "SRX2": 5})


def test_a_part_is_complete(tmp_path, droplets, capsys):
    part = run(droplets, tmp_path / "part")
    assert part.arrays["embs"].shape == (12, 424)
    assert part.arrays["top3"].shape == part.arrays["scores"].shape == (12, 23)
    assert part.description.layout == PUBLIC
    assert part.dropped == {5: "NO_COUNTS"}
    assert part.matrix.path == "droplets/GSE2.homo.h5ad"
    assert part.matrix.cells == 12
    assert list(part.cells())[7] == Cell("GSE2", "GSMSRX2", "SRX2", "SRR1SRX2;SRR2SRX2", "homo", "AAAAAAAA")
    assert not list(tmp_path.glob("*.part"))
    assert capsys.readouterr().err == f"{tmp_path}/part: 12 cells of {droplets}, 1 dropped (NO_COUNTS).\n"


def test_rows_of_a_run_do_not_depend_on_what_else_is_there(tmp_path, droplets):
    part = run(droplets, tmp_path / "part", "--seed", "3")
    alone = write_droplets(tmp_path / "alone.h5ad", draw_counts(5), {"SRX2": 5})
    assert (run(alone, tmp_path / "alone", "--seed", "3").arrays["embs"] == part.arrays["embs"][7:]).all()
    assert (run(alone, tmp_path / "other", "--seed", "4").arrays["embs"] != part.arrays["embs"][7:]).mean() > 0.9
    draws = fixture.draw(seed_of(3, "SRR1SRX2;SRR2SRX2"), 5)
    assert (next(draws)[0].astype(np.float16) == part.arrays["embs"][7:]).all()


def test_the_same_bytes_every_time(tmp_path, droplets):
    for name in ("one", "two"):
        run(droplets, tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_an_older_part_is_replaced(tmp_path, droplets):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "old").touch()
    run(droplets, tmp_path / "part")
    assert not (tmp_path / "part" / "old").exists()


@pytest.mark.parametrize(
    ("path", "reported"),
    [
        ("results/homo.h5ad", "homo.h5ad"),
        ("/a/results/old/results/droplets/b.h5ad", "droplets/b.h5ad"),
        ("/somewhere/homo.h5ad", "homo.h5ad"),
    ],
)
def test_paths_are_relative_to_the_results(path, reported):
    assert atlas_embed.result_path(Path(path)) == reported


def test_options_after_the_dashes_reach_the_back_end(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(3))
    python = write_interpreter(tmp_path / "python", "import sys\nprint(sys.argv[1:], file=sys.stderr)\nsys.exit(7)\n")
    with pytest.raises(InputError) as caught:
        run(matrix, tmp_path / "part", "--python", python, "--model", "w", "--", "--device", "cpu", backend="scprint2")
    reported = str(caught.value).splitlines()
    assert reported[0] == "The back end scprint2 ended with exit status 7; its last lines:"
    assert reported[1].startswith("['-m', 'scripts.atlas.embedders.scprint2', '--matrix', ")
    assert reported[1].endswith("'--seed', '0', '--model', 'w', '--device', 'cpu']")


def test_the_last_lines_of_a_crash_are_shown(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(3))
    text = "import sys\nfor line in range(99): print('line', line, file=sys.stderr)\nimport not_there\n"
    python = write_interpreter(tmp_path / "python", text)
    with pytest.raises(InputError) as caught:
        run(matrix, tmp_path / "part", "--python", python)
    reported = str(caught.value).splitlines()
    assert reported[0] == "The back end fixture ended with exit status 1; its last lines:"
    assert "line 98" in reported
    assert "line 50" not in reported
    assert reported[-1] == f"Is {python} the Python of its environment? --python names another one."
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.h5ad", "python"]


def test_a_fault_of_the_back_end_is_passed_on(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(3))
    with pytest.raises(
        InputError, match=r"^The back end svd-baseline cannot embed this:\ngone.npz: cannot be read: No "
    ):
        run(matrix, tmp_path / "part", "--model", "gone.npz", backend="svd-baseline")


def test_a_back_end_that_was_killed_may_be_tried_again(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(3))
    python = write_interpreter(tmp_path / "python", "import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(Interrupted, match=r"The back end fixture was ended by SIGKILL; was there too little memory"):
        run(matrix, tmp_path / "part", "--python", python)


def test_no_such_interpreter(tmp_path):
    matrix = write_matrix(tmp_path / "m.h5ad", draw_counts(3))
    with pytest.raises(InputError, match=r"--python gone/python: no such program; give the Python of the back"):
        run(matrix, tmp_path / "part", "--python", "gone/python")


CHANGED = """
import json, runpy, sys
from pathlib import Path
import numpy as np
sys.argv = sys.argv[2:]
module = sys.argv[0]
runpy.run_module(module, run_name="__main__", alter_sys=False)
folder = Path(sys.argv[sys.argv.index("--output") + 1])
embs, top3, scores = (np.load(folder / f"{kind}.npy") for kind in ("embs", "top3", "scores"))
CHANGE
for kind, values in (("embs", embs), ("top3", top3), ("scores", scores)):
    np.save(folder / f"{kind}.npy", values)
"""


def changed(tmp_path, change):
    """What is said of the fixture's part of a matrix with a dropped cell, after a change."""
    counts = draw_counts(6)
    counts[2] = 0
    matrix = write_matrix(tmp_path / "m.h5ad", counts)
    python = write_interpreter(tmp_path / "python", CHANGED.replace("CHANGE", change))
    with pytest.raises(InputError) as caught:
        run(matrix, tmp_path / "part", "--python", python)
    assert not (tmp_path / "part").exists()
    return str(caught.value).replace(str(matrix), "M").splitlines()


def test_every_fault_of_a_part_is_reported(tmp_path):
    change = "embs[0, 3] = np.inf; top3[1, 0] = 77; scores[3, 3:6] = 1, 2, 3; embs[2, 9] = 1"
    assert changed(tmp_path, change) == [
        "What the back end fixture made of M needs 4 corrections:",
        "embs.npy: 1 rows have a number that is not finite.",
        "top3.npy: 1 rows have a label of cell_type that its decoder does not know.",
        "embs.npy: 1 dropped rows are not zeros, e.g. 2.",
        "scores.npy: 1 rows of tissue do not have their best label first.",
    ]


def test_lost_rows_are_reported(tmp_path):
    change = (
        "embs, top3, scores, kept = embs[:3], top3[:3], scores[:3], np.load(folder / 'kept.npy')[:3];"
        " np.save(folder / 'kept.npy', kept)"
    )
    assert changed(tmp_path, change)[1] == (
        "embs.npy: 3 rows, but the matrix has 6 cells; a back end drops cells in kept.npy only."
    )


def test_files_that_do_not_fit_are_reported(tmp_path):
    reported = changed(tmp_path, "embs = embs[:, :9].astype('f4'); scores = scores[:, :4]")
    assert reported[0].startswith("What the back end fixture made of M: The embedded part ")
    assert reported[1:] == [
        "embs.npy: its numbers are float32, expected float16.",
        "scores.npy: its shape is (6, 4), but the description has 23 columns.",
    ]


def test_a_part_of_another_back_end_is_reported(tmp_path):
    change = (
        "reported = json.loads((folder / 'describe.json').read_text()); reported['name'] = 'scprint2';"
        " (folder / 'describe.json').write_text(json.dumps(reported))"
    )
    assert changed(tmp_path, change)[1] == "describe.json: it is of the back end scprint2, expected fixture."


def test_a_matrix_without_cells(tmp_path):
    path = write_matrix(
        tmp_path / "m.h5ad",
        np.zeros((0, len(GENES))),
        obs={name: [] for name in ("series", "sample", "experiment", "runs", "species")},
    )
    part = run(path, tmp_path / "part")
    assert (part.rows, json.loads((tmp_path / "part" / "matrix.json").read_text())["cells"]) == (0, 0)
