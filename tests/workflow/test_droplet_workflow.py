"""Droplet libraries in the whole workflow: what is changed after they were counted costs no read."""

import json
import re
import shutil

import pytest

from scripts.droplets.mex.mex_reader import read_archive
from scripts.plan.run_table import read_runs
from tests.checksums import sums
from tests.toy import catalogue
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]

LIBRARIES = (catalogue.LIBRARY_V3, catalogue.LIBRARY_V2)


FEATURES = {"features": ["Gene", "Velocyto"], "layers": ["Velocyto_unspliced"]}


def archives_requested(server):
    """Return the requests for archives of runs."""
    return [request.path for request in server.requests if "sra-pub" in request.path]


def run(world, folder, **droplets):
    """Run the workflow on both libraries with these options; return the requests for archives of runs."""
    with Server(world) as server:
        configuration = world.configuration(server) | {"series": list(LIBRARIES), "max_failed": 1}
        configuration |= {"mex": {"metadata_name": droplets.pop("metadata_name", "metadata.tsv")}}
        configuration["droplets"] = configuration["droplets"] | FEATURES | droplets
        assert run_workflow(folder, configuration, ["--quiet", "--cores", "2"]) == 0
        return archives_requested(server)


@pytest.fixture(scope="module")
def analysis(world, tmp_path_factory):
    """Two libraries below a floor, then below another one, then counted; ledger, archives, requests each time."""
    folder = tmp_path_factory.mktemp("droplets")
    seen = []
    for barcodes, genes in ((0.999, 0), (0, 0.998), (0, 0)):
        requests = run(world, folder, min_valid_barcodes=barcodes, min_gene_share=genes)
        archives = sorted(path.parent.name for path in (folder / "results").glob("mex/*/Velocyto_spliced_*.tar.gz"))
        folders = list((folder / "results").glob("mex/*"))
        seen.append((read_runs(folder / "results/runs.tsv"), archives, folders, requests))
    return folder, seen


def test_a_library_is_judged_by_another_floor_without_a_read(analysis):
    _, (low, failed, counted) = analysis
    assert low[3] and not failed[3] and not counted[3]
    assert {(row.status, row.reason) for row in low[0]} == {("failed", "LOW_VALID_BARCODES")}
    for row in low[0]:
        assert re.fullmatch(
            r"9\d\.\d% of the reads have a barcode of the inclusion list; the floor is 99\.9%\.", row.detail
        )
        assert row.read_roles
    assert {(row.status, row.reason) for row in failed[0]} == {("failed", "LOW_GENE_SHARE")}
    assert {row.status for row in counted[0]} == {"counted"}
    assert [(seen[1], seen[2]) for seen in (low, failed)] == [([], []), ([], [])]  # no empty folder either
    assert counted[1] == sorted(LIBRARIES * 2)


def test_what_is_changed_after_the_count_is_that_of_a_fresh_run_without_a_read(world, analysis, tmp_path):
    folder, _ = analysis
    first = sums(folder / "results")
    shutil.rmtree(folder / "work")
    changes = {"cell_filter": "TopCells 9", "metadata_name": "manifest.tsv", "features": ["Gene"], "layers": []}
    assert run(world, folder, min_valid_barcodes=0, min_gene_share=0, **changes) == []
    assert run(world, tmp_path, min_valid_barcodes=0, min_gene_share=0, **changes)
    assert sums(folder / "results") == sums(tmp_path / "results")
    assert run(world, folder, min_valid_barcodes=0.999, min_gene_share=0, **changes) == []  # failed now
    assert {row.reason for row in read_runs(folder / "results/runs.tsv")} == {"LOW_VALID_BARCODES"}
    assert list((folder / "results/mex").iterdir()) == []
    assert run(world, folder, min_valid_barcodes=0, min_gene_share=0) == []  # back again
    assert sums(folder / "results") == first
    (folder / "results/mex" / LIBRARIES[0] / "Gene_Unique_raw.tar.gz").unlink()
    for name in (f"mex/{LIBRARIES[1]}", "droplets", "quality"):
        shutil.rmtree(folder / "results" / name)
    assert run(world, folder, min_valid_barcodes=0, min_gene_share=0) == []
    assert sums(folder / "results") == first


def test_layers_of_velocyto_are_those_of_the_archives(analysis):
    import anndata

    folder, _ = analysis
    data = anndata.read_h5ad(folder / f"results/droplets/{catalogue.DROPLET}.homo.h5ad")
    layer = data.layers["unspliced"]
    assert layer.dtype.kind == "i"
    assert set(data.layers) == {"spliced", "unspliced", "ambiguous"}
    for library in LIBRARIES:
        archive = read_archive(folder / f"results/mex/{library}/Velocyto_unspliced_filtered.tar.gz")
        own = layer[(data.obs["experiment"] == library).to_numpy()]
        assert own.nnz > 0
        assert (archive.matrix != own.T).nnz == 0


def test_evidence_has_every_run_with_its_figures(analysis):
    folder, (*_, (ledger, *_)) = analysis
    reported = [json.loads(line) for line in (folder / "units/evidence.jsonl").read_text().splitlines()]
    assert [one["run"] for one in reported] == [row.run for row in ledger]
    for one in reported:
        assert (one["strand"], one["reads"]["rank"]) == ("Forward", 3)
        best, *others = one["reads"]["figures"]
        assert best["share"] > 0.9 > max(other["share"] for other in others)
        assert all(figure["chance"] < 0.1 for figure in one["reads"]["figures"])
        assert one["records"]["evidence"]
    by_strand = next(one for one in reported if one["experiment"] == catalogue.LIBRARY_V2)
    assert "the strand tells 10x Chromium 3′ v2: of the probed reads" in by_strand["detail"]


def test_libraries_without_an_inclusion_list_are_not_downloaded(world, tmp_path, capfd):
    with Server(world) as server:
        configuration = world.configuration(server) | {"series": [catalogue.LIBRARY_V2], "max_failed": 1}
        configuration["droplets"] = {}
        assert run_workflow(tmp_path, configuration, ["resolve"]) == 0
        told = capfd.readouterr().out
        assert run_workflow(tmp_path, configuration, ["--quiet"]) == 0
        assert not [request for request in server.requests if "SRR9000103" in request.path.rpartition("/")[2]]
    assert "What will fail:\n  1 droplet library (SRX9000102): no inclusion list is configured" in told
    (row,) = read_runs(tmp_path / "results" / "runs.tsv")
    assert (row.status, row.reason) == ("failed", "CHEMISTRY_UNKNOWN")
    assert row.detail.startswith(
        "no inclusion list is configured, and only barcodes prove a kit; set droplets.inclusion_"
    )
    with Server(world) as server:  # a list that cannot be fetched is known before any download, too
        configuration["droplets"] = {"inclusion_lists": {"737K-august-2016": f"{server.url}/files/none.txt"}}
        assert run_workflow(tmp_path, configuration, ["--quiet"]) != 0
        assert not [request for request in server.requests if "SRR9000103" in request.path.rpartition("/")[2]]
    assert "none.txt" in capfd.readouterr().err
    with Server(world) as server:  # with the list it is counted, and nobody has to ask for another try
        assert (
            run_workflow(tmp_path, world.configuration(server) | {"series": [catalogue.LIBRARY_V2]}, ["--quiet"]) == 0
        )
    (row,) = read_runs(tmp_path / "results" / "runs.tsv")
    assert (row.status, row.chemistry) == ("counted", "10x_3p_v2")
