"""The counts of a shard come back from disk as they were, in the same bytes each time."""

import time

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.core.errors import InputError
from scripts.plates.shard_counts import (
    TALLIES,
    ShardCounts,
    ShardReader,
    hash_genes,
    join_shards,
    merge_tools,
    read_shard_counts,
    write_shard_counts,
)

GENES = ["A,1", "GeneÄ", "Z", "__b", 'a"quoted"', "b"]


def make_shard(counts, genes=GENES, logs=None):
    counts = np.asarray(counts)
    cells = len(counts)
    return ShardCounts(
        genes=sorted(genes, key=str.encode),
        columns=[f"SRX{cell}" for cell in range(cells)],
        runs=[f"SRR{cell};SRR{cell}1" for cell in range(cells)],
        counts=scipy.sparse.csc_matrix(counts.reshape(cells, len(genes))),
        tallies=np.arange(cells * 5, dtype=np.int64).reshape(cells, 5) * 10**9,
        logs=logs or [{"Number of input reads": str(cell), "UNIQUE READS:": ""} for cell in range(cells)],
        reference="hg38 sha256:12ab",
        tools={"counter": "native", "STAR": "2.7.10b"},
    )


def assert_same(left, right):
    assert (left.genes, left.columns, left.runs) == (right.genes, right.columns, right.runs)
    assert (left.logs, left.reference, left.tools) == (right.logs, right.reference, right.tools)
    assert (left.tallies == right.tallies).all()
    assert left.counts.shape == right.counts.shape
    assert (left.counts != right.counts).nnz == 0


def test_a_shard_comes_back(tmp_path):
    logs = [{"a": "1", "b": "2"}, {"a": "", "c/d": "3%"}]
    shard = make_shard([[0, 1, 0, 0, 7, 0], [5, 0, 0, 2**31 + 5, 0, 0]], logs=logs)
    write_shard_counts(tmp_path / "shard.h5ad", shard)
    assert_same(read_shard_counts(tmp_path / "shard.h5ad"), shard)


def test_the_same_counts_give_the_same_bytes(tmp_path):
    shard = make_shard([[0, 1, 0, 0, 7, 0]])
    write_shard_counts(tmp_path / "one.h5ad", shard)
    second = int(time.time())
    while int(time.time()) == second:  # a clock of HDF5 would show another second
        time.sleep(0.01)
    shard.counts = scipy.sparse.csr_matrix(shard.counts)
    write_shard_counts(tmp_path / "two.h5ad", shard)
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "two.h5ad").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5ad", "two.h5ad"]


def test_anndata_reads_a_shard(tmp_path):
    shard = make_shard([[0, 1, 0, 0, 7, 0], [5, 0, 0, 3, 0, 0]])
    write_shard_counts(tmp_path / "shard.h5ad", shard)
    read = anndata.read_h5ad(tmp_path / "shard.h5ad")
    assert list(read.var_names) == shard.genes
    assert list(read.obs_names) == shard.columns
    assert list(read.obs["runs"]) == shard.runs
    assert (read.obs[list(TALLIES)].to_numpy() == shard.tallies).all()
    assert isinstance(read.X, scipy.sparse.csc_matrix)
    assert np.issubdtype(read.X.dtype, np.integer)
    assert (shard.counts != read.X).nnz == 0
    assert read.uns["reference"] == "hg38 sha256:12ab"
    assert read.uns["genes_sha256"] == hash_genes(shard.genes)
    assert list(read.uns["star_log"]["fields"]) == ["Number of input reads", "UNIQUE READS:"]


@pytest.mark.parametrize("cells", [0, 1, 3])
def test_few_cells_and_no_counts(tmp_path, cells):
    shard = make_shard(np.zeros((cells, len(GENES)), int))
    write_shard_counts(tmp_path / "shard.h5ad", shard)
    assert_same(read_shard_counts(tmp_path / "shard.h5ad"), shard)
    assert anndata.read_h5ad(tmp_path / "shard.h5ad").shape == (cells, len(GENES))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.integers(1, 70), st.integers(0, 2**32 - 1), st.data())
def test_any_block_of_genes_can_be_read(tmp_path, cells, width, seed, data):
    random = np.random.default_rng(seed)
    dense = random.integers(0, 9, (cells, width)) * (random.random((cells, width)) < 0.4)
    write_shard_counts(tmp_path / "shard.h5ad", make_shard(dense, genes=[f"g{gene}" for gene in range(width)]))
    start = data.draw(st.integers(0, width))
    stop = data.draw(st.integers(start, width))
    with ShardReader(tmp_path / "shard.h5ad") as reader:
        indptr, cells_of, counts = reader.blocks().read(start, stop)
    block = scipy.sparse.csc_matrix((counts, cells_of, indptr), shape=(cells, stop - start))
    assert (block.toarray() == dense[:, start:stop]).all()


def test_parts_that_do_not_fit_are_refused(tmp_path):
    shard = make_shard([[0, 1, 0, 0, 7, 0]])
    shard.genes = shard.genes[::-1]
    with pytest.raises(ValueError, match="genes of a shard must be in byte order"):
        write_shard_counts(tmp_path / "shard.h5ad", shard)
    shard = make_shard([[0, 1, 0, 0, 7, 0]])
    shard.runs = []
    with pytest.raises(ValueError, match="must be of the same cells"):
        write_shard_counts(tmp_path / "shard.h5ad", shard)
    with pytest.raises(ValueError, match="a count of a shard is negative"):
        write_shard_counts(tmp_path / "shard.h5ad", make_shard([[0, -1, 0, 0, 7, 0]]))
    assert not (tmp_path / "shard.h5ad").exists()


def test_versions_of_tools_are_gathered():
    tools = [{"STAR": "2.7.9a", "HTSeq": "2.1.2"}, {"STAR": "2.7.11b, 2.7.10b"}, {}, {"STAR": "2.7.9a"}]
    assert merge_tools(tools) == {"HTSeq": "2.1.2", "STAR": "2.7.10b, 2.7.11b, 2.7.9a"}
    assert list(merge_tools(tools)) == ["HTSeq", "STAR"]
    assert merge_tools([]) == {}


def test_a_shard_without_tools_is_read(tmp_path):
    write_shard_counts(tmp_path / "shard.h5ad", make_shard([[0, 1, 0, 0, 7, 0]]))
    with h5py.File(tmp_path / "shard.h5ad", "a") as file:
        del file["uns/tools"]
    assert read_shard_counts(tmp_path / "shard.h5ad").tools == {}


def test_what_is_no_shard(tmp_path):
    (tmp_path / "text.h5ad").write_text("GENENAME")
    with pytest.raises(InputError, match="the counts of a shard cannot be read"):
        read_shard_counts(tmp_path / "text.h5ad")
    anndata.AnnData(np.zeros((1, 1))).write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(InputError, match="not the counts of a shard"):
        read_shard_counts(tmp_path / "other.h5ad")


def test_kept_cells_bring_the_versions_of_their_tools_along(tmp_path):
    now, earlier = make_shard([[3] * 6]), make_shard([[1] * 6, [2] * 6])
    now.columns, now.runs, now.tools = ["SRX9"], ["SRR9"], {"STAR": "2.7.11b", "counter": "native"}
    joined = join_shards(now, earlier, {"SRR1", "SRR9"})
    assert joined.columns == ["SRX9", "SRX1"]
    assert joined.counts.toarray().tolist() == [[3] * 6, [2] * 6]
    assert joined.tools == {"STAR": "2.7.10b, 2.7.11b", "counter": "native"}
    assert join_shards(now, earlier, {"SRR9"}).tools == now.tools
    earlier.reference = "mm9 sha256:2"
    with pytest.raises(InputError, match="kept counts are of mm9 sha256:2 and the new ones of hg38 sha256:12ab"):
        join_shards(now, earlier, set())
