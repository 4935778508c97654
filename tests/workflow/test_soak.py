"""What a soak takes for a leftover; `python -m tests.workflow.soak` is the long one."""

import base64

from tests.workflow.leftovers import differences, list_files, readable, without_shard

FRESH = {"results/": 0, "results/runs.tsv": 10, "units/counts/a.h5ad": 5, "units/wanted.txt": 7, ".snakemake/log/1": 9}
EARLIER = {"results/b.h5ad": 3, "units/counts/a.h5ad": 4, "units/runs/b.tsv": 8, "logs/count/b.log": 2}


def test_files_of_a_folder(tmp_path):
    (tmp_path / "work/empty").mkdir(parents=True)
    (tmp_path / "work/file").write_text("four")
    (tmp_path / "resources").symlink_to(tmp_path / "work")
    (tmp_path / "mine").mkdir()
    found = {"a/work/": 0, "a/work/empty/": 0, "a/work/file": 4, "a/resources@": 0}
    assert list_files(tmp_path, "a/", ["a/mine"]) == found


def test_what_a_fresh_run_leaves_is_no_leftover():
    assert list(differences(FRESH, FRESH, [], 1)) == []
    kept = FRESH | {"units/runs/b.tsv": 8, "logs/count/b.log": 20, "units/counts/a.h5ad": 9}
    assert list(differences(kept, FRESH, [EARLIER], 1)) == []
    kept = {"units/align/": 0, "units/align/a/a.bam": 3, "units/align/a/a.Log.final.out": 4, "work/accepted": 1}
    assert list(differences(FRESH, FRESH | kept, [], 1)) == []  # a was counted when no alignments were kept
    assert list(differences(FRESH | kept, FRESH | kept | {"units/align/a/a.Log.final.out": 5}, [], 1)) == []
    assert without_shard("bam/GSE1.mus.0002/SRX1.bam") == "bam/GSE1.mus.SHARD/SRX1.bam"
    shards = {"units/counts/GSE1.mus.0000.h5ad": 5}, {f"units/counts/GSE1.mus.000{number}.h5ad": 4 for number in (1, 2)}
    assert list(differences(shards[1], shards[0], [], 1)) == []


def test_what_is_left_over_or_missing_or_has_grown():
    coded = f".snakemake/incomplete/{base64.urlsafe_b64encode(b'results/b.h5ad').decode()}"
    more = {"results/b.h5ad": 3, "work/fastq/b/": 0, "units/counts/a.h5ad": 10, "units/wanted.txt": 8, coded: 0}
    have = {name: size for name, size in (FRESH | more).items() if name != "results/runs.tsv"}
    assert list(differences(have | {".snakemake/log/2": 1}, FRESH, [EARLIER], 1)) == [
        ".snakemake/log/: 2 files after 1 calls",
        "results/runs.tsv: missing",
        ".snakemake/incomplete/(results/b.h5ad): left over, 0 bytes",
        "results/b.h5ad: left over, 3 bytes",
        "units/counts/a.h5ad: 10 bytes, more than the 9 of fresh runs together",
        "units/wanted.txt: 8 bytes instead of 7",
        "work/fastq/b/: left over, 0 bytes",
    ]
    assert readable(".snakemake/locks/0.input.lock") == ".snakemake/locks/0.input.lock"
