"""Results that are no longer asked for are removed, and nothing else."""

import pytest

from scripts.core.errors import InputError
from scripts.harvest import wanted

SHARD, LIBRARY, OTHER = "GSE1.mus.0000", "GSE2.homo.SRX1", "GSE2.homo.lib.2"


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "units/runs").mkdir(parents=True)

    def call(units, named=(), kinds=()):
        for path in (tmp_path / "units/runs").iterdir():
            path.unlink()
        for unit in units:
            (tmp_path / f"units/runs/{unit}.tsv").touch()
        wanted.main(["--units=units/runs", "--named", *named, "--kinds", *kinds, "--output=units/wanted.txt"])
        return (tmp_path / "units/wanted.txt").read_text().splitlines()

    return call


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_units_have_results_of_their_own():
    assert wanted.results_of_units([], wanted.KINDS) == set()
    assert wanted.results_of_units([SHARD], ["plate_bam", "cells"]) == {f"results/bam/{SHARD}"}
    assert wanted.results_of_units([SHARD, LIBRARY, OTHER], []) == {"results/mex/SRX1", "results/mex/lib.2"}
    assert wanted.results_of_units([SHARD, LIBRARY], ["cells", "features", "droplet_bam"]) == {
        *("results/mex/SRX1", "results/droplets/GSE2.homo.h5ad", "results/droplets/features/GSE2.homo.h5ad"),
        f"results/bam/{LIBRARY}",
    }


def test_what_is_no_longer_asked_for_is_removed_and_files_of_others_stay(call, tmp_path, capsys):
    make(tmp_path, "results/mus.tpm.csv.gz", "results/mex/SRX1/a.tar.gz", "results/mex/lib.2/a.tar.gz")
    make(tmp_path, "results/droplets/GSE2.homo.h5ad", "results/mine.h5ad", "results/mus.h5ad")
    assert call([SHARD, LIBRARY, OTHER], ["results/mus.h5ad", "results/mus.tpm.csv.gz"], ["cells"]) == [
        *("results/droplets/GSE2.homo.h5ad", "results/mex/SRX1", "results/mex/lib.2", "results/mus.h5ad"),
        "results/mus.tpm.csv.gz",
    ]
    assert capsys.readouterr().err == ""
    assert call([SHARD, LIBRARY], ["results/mus.h5ad"]) == ["results/mex/SRX1", "results/mus.h5ad"]
    assert capsys.readouterr().err.splitlines() == [
        f"results/{path}: no longer asked for, removed."
        for path in ("droplets/GSE2.homo.h5ad", "mex/lib.2", "mus.tpm.csv.gz")
    ]
    left = {path.relative_to(tmp_path / "results").as_posix() for path in (tmp_path / "results").rglob("*")}
    assert left == {"mine.h5ad", "mus.h5ad", "mex", "mex/SRX1", "mex/SRX1/a.tar.gz"}


def test_a_folder_goes_into_which_a_killed_job_wrote_nothing(call, tmp_path):
    make(tmp_path, "results/mus.h5ad")
    call([SHARD], ["results/mus.h5ad"], ["plate_bam"])
    (tmp_path / "results/bam").mkdir()
    call([SHARD], ["results/mus.h5ad"])
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["mus.h5ad"]


def test_nothing_outside_the_results_is_removed(call, tmp_path):
    make(tmp_path, "config/config.yaml", "mine")
    for path in ("config/config.yaml", "results", str(tmp_path / "mine")):
        (tmp_path / "units/wanted.txt").write_text(f"{path}\n")
        call([])
    (tmp_path / "units/wanted.txt").write_text("results/../mine\n")
    with pytest.raises(InputError, match=r"'\.\.' cannot be the name of a file or folder in results"):
        call([])
    assert (tmp_path / "config/config.yaml").exists() and (tmp_path / "mine").exists()
