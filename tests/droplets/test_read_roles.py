"""The command read_roles."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inputs.droplet_reads import TENX, Maker, make_lists
from scripts.core.errors import InputError
from scripts.droplets import read_roles
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.fastq_sample import SKIP
from scripts.droplets.roles.barcode_search import PackedLists
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"

KITS, KNOWN = read_chemistries(CHEMISTRIES)
NXT = "3M-february-2018_NXT"


@pytest.fixture(scope="module")
def lists() -> PackedLists:
    return make_lists(KNOWN, [name for name, one in KNOWN.items() if one.length], 0.02, 1)


def fastq(reads) -> str:
    return "".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(reads))


@pytest.fixture
def folder(tmp_path, lists):
    (tmp_path / "lists").mkdir()
    letters = "ACGT"
    for name in TENX[1:3]:
        barcodes = (
            "".join(letters[int(code) >> shift & 3] for shift in range(30, -2, -2))
            for code in lists.packed[name][:9000]
        )
        (tmp_path / f"lists/{name}.txt").write_text("".join(f"{barcode}\n" for barcode in barcodes))
    return tmp_path


def command(folder, runs, statuses=None, roles="", chemistry="auto"):
    """Run the command on runs (name → library) and return what it wrote."""
    (folder / "fastq").mkdir(exist_ok=True)
    for run, made in runs.items():
        for number, sample in made.samples.items():
            reads = [
                "".join("ACGTN"[code] for code in codes[:length])
                for codes, length in zip(sample.codes, sample.lengths, strict=True)
            ]
            (folder / f"fastq/{run}_{number + 1}.fastq").write_text(fastq(reads))
    write_statuses(folder / "fastq/status.tsv", statuses or [RunStatus(run) for run in runs])
    rows = [
        Run(series="S", experiment="X", run=run, species="homo", assay="droplet", status="planned", read_roles=roles)
        for run in runs
    ]
    write_runs(folder / "S.homo.X.tsv", rows)
    arguments = ["--runs", folder / "S.homo.X.tsv", "--fastq", folder / "fastq"]
    arguments += [
        "--chemistries",
        CHEMISTRIES,
        "--inclusion-lists",
        folder / "lists",
        "--output",
        folder / "roles.json",
    ]
    read_roles.main([*map(str, arguments), "--chemistry", chemistry])
    return json.loads((folder / "roles.json").read_text())


@pytest.fixture
def small(folder, lists):
    packed = {name: lists.packed[name][:9000] for name in TENX[1:3]}
    return Maker(PackedLists(packed, lists.lengths), 300, 8)


def test_command_writes_each_run_and_what_was_not_tried(folder, small):
    made = small.library(KITS["10x_3p_v3"], "IBC", 28, 0.01)
    other = small.library(KITS["10x_3p_v3"], "CB", 28, 0.01)  # a sibling of another layout
    written = command(folder, {"SRR1": made, "SRR2": other})
    assert written["library"] == "S.homo.X"
    assert written["inclusion_lists"] == {"3M-february-2018": 9000, "737K-august-2016": 9000}
    assert written["not_tried"]["10x_3p_v4"] == "no inclusion list 3M-3pgex-may-2023"
    assert written["runs"]["SRR1"]["roles"] == "index,barcode,cdna"
    assert written["runs"]["SRR2"]["roles"] == "cdna,barcode"
    assert written["runs"]["SRR1"]["chemistry"] == "10x_3p_v3"
    first = written["runs"]["SRR1"]["figures"][0]
    assert first | {"share": 0, "chance": 0} == {
        "read": 2,
        "inclusion_list": "3M-february-2018",
        "start": 1,
        "orientation": "forward",
        "share": 0,
        "chance": 0,
    }
    before = (folder / "roles.json").read_bytes()
    command(folder, {"SRR1": made, "SRR2": other})
    assert (folder / "roles.json").read_bytes() == before


def test_junk_at_the_head_of_a_run_is_skipped(folder, small):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    command(folder, {"SRR1": made})
    for number, length in ((1, 28), (2, 90)):
        path = folder / f"fastq/SRR1_{number}.fastq"
        junk = b"@junk\n%s\n+\n%s\n" % (b"N" * length, b"#" * length)
        path.write_bytes(junk * SKIP + path.read_bytes())
    rows = folder / "S.homo.X.tsv"
    arguments = ["--runs", rows, "--fastq", folder / "fastq", "--chemistries", CHEMISTRIES]
    arguments += ["--inclusion-lists", folder / "lists", "--output", folder / "roles.json", "--sample", 300]
    read_roles.main(list(map(str, arguments)))
    written = json.loads((folder / "roles.json").read_text())["runs"]["SRR1"]
    assert (written["roles"], written["chemistry"]) == ("barcode,cdna", "10x_3p_v3")
    assert written["figures"][0]["share"] > 0.7


def test_a_run_of_index_reads_says_whose_they_are(folder, small):
    runs = {"SRR1": small.bulk((10, 10), 0.01), "SRR2": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)}
    statuses = [RunStatus("SRR1", spots="300"), RunStatus("SRR2", spots="300")]
    written = command(folder, runs, statuses)["runs"]
    assert written["SRR1"]["fault"] == {
        "reason": "INDEX_READS_ONLY",
        "detail": "the run holds only index reads (10, 10 nt), those of the 300 spots of SRR2.",
    }
    assert "fault" not in written["SRR2"]
    statuses[0] = RunStatus("SRR1", spots="299")
    assert command(folder, runs, statuses)["runs"]["SRR1"]["fault"]["detail"].endswith("index reads (10, 10 nt).")


def test_roles_of_a_joined_run_are_those_of_its_status(folder, small):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    statuses = [RunStatus("SRR1", read_roles="barcode,cdna"), RunStatus("SRR2", "joined", read_roles="cdna")]
    written = command(folder, {"SRR1": made, "SRR2": made._replace(samples={})}, statuses, roles="barcode")["runs"]
    assert {run: verdict["roles"] for run, verdict in written.items()} == {"SRR1": "barcode,cdna"}


def test_two_kits_in_one_library_are_refused_and_both_named(folder, small):
    runs = {
        "SRR1": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01),
        "SRR2": small.library(KITS["10x_3p_v2"], "BC", 26, 0.01),
    }
    written = command(folder, runs)["runs"]
    expected = {
        "reason": "LAYOUT_AMBIGUOUS",
        "detail": "the runs of the library disagree: SRR1 is 10x Chromium 3′ v3 or v3.1, but SRR2 is 10x Chromium 3′"
        " v2 or 10x Chromium 5′ v1 or v2.",
    }
    assert written["SRR1"]["fault"] == written["SRR2"]["fault"] == expected


def test_a_run_of_feature_barcodes_is_left_out_by_name(folder, small):
    """One of another list, beside two lanes of gene expression; alone it fails as before."""
    letters = "ACGT"
    other = Maker(PackedLists({NXT: small.dice.integers(0, 1 << 32, 9000).astype(np.uint32)}, {NXT: 16}), 300, 9)
    other.lists.packed[NXT].sort()
    words = (
        "".join(letters[int(code) >> shift & 3] for shift in range(30, -2, -2)) for code in other.lists.packed[NXT]
    )
    (folder / f"lists/{NXT}.txt").write_text("".join(f"{barcode}\n" for barcode in words))
    features = other.library(KITS["10x_feature_v3"], "BC", 28, 0.01)
    lanes = {run: small.library(KITS["10x_3p_v3"], "BC", 28, 0.01) for run in ("SRR1", "SRR3")}
    written = command(folder, lanes | {"SRR2": features})["runs"]
    assert "fault" not in written["SRR1"] and "fault" not in written["SRR3"]
    fault = written["SRR2"]["fault"]
    assert fault["reason"] == "NOT_RNA"
    assert fault["detail"].startswith(
        "libraries of feature barcodes beside 10x Chromium 3′ v3 or v3.1 are not counted: they are reads of antibodies,"
        " guides or sample tags, not of RNA; read 1 on 3M-february-2018_NXT ("
    )
    assert fault["detail"].endswith("; the library is counted from SRR1, SRR3.")
    alone = command(folder, {"SRR2": features})["runs"]["SRR2"]["fault"]
    assert (alone["reason"], "is counted from" in alone["detail"]) == ("CHEMISTRY_UNKNOWN", False)


def test_a_run_of_tags_is_left_out_where_its_barcodes_are_those_of_the_cdna(folder, small):
    """As antibodies beside 10x 5′: ten random bases, one of 8 tags with errors, and a constant end."""
    made = {run: small.library(KITS["10x_5p_v2"], "BC", 26, 0.01) for run in ("SRR1", "SRR2")}
    tags = np.concatenate([small.random(10), small.constant(15, 8), small.random(9), small.constant(20, 1)], axis=1)
    made["SRR2"].samples[1] = small.sequenced(tags, 0.01)
    written = command(folder, made)["runs"]
    assert "fault" not in written["SRR1"] and written["SRR1"]["tag_share"] < 0.3
    fault = written["SRR2"]["fault"]
    assert fault["reason"] == "NOT_RNA"
    assert re.fullmatch(
        r"its reads beside the barcodes are tags of antibodies, guides or samples: \d+% of them have one of a few"
        r" sequences at one place, of SRR1 \d+%; the library is counted from SRR1\.",
        fault["detail"],
    )
    assert "fault" not in command(folder, {"SRR2": made["SRR2"]})["runs"]["SRR2"]  # its counts decide
    made["SRR2"].samples[0] = small.sequenced(small.random(28), 0.01)  # barcodes of a list that is not configured
    fault = command(folder, made)["runs"]["SRR2"]["fault"]
    assert fault["reason"] == "NOT_RNA" and fault["detail"].endswith("; the library is counted from SRR1.")


def test_failed_runs_are_skipped_and_faults_reported_by_run(folder, small):
    runs = {"SRR1": small.bulk((90, 90), 0.01), "SRR2": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)}
    failed = RunStatus("SRR3", "failed", "DOWNLOAD_FAILED", "gone")
    written = command(folder, runs, [RunStatus("SRR1"), RunStatus("SRR2"), failed])["runs"]
    assert set(written) == {"SRR1", "SRR2"}
    assert written["SRR1"]["fault"]["reason"] == "CHEMISTRY_UNKNOWN"
    assert written["SRR1"]["fault"]["detail"].startswith(
        "no read has its barcodes on a configured inclusion list (3M-february"
    )
    assert "fault" not in written["SRR2"]


def test_unequal_files_and_missing_reads_are_reported(folder, small):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    shorter = made.samples[1]._replace(codes=made.samples[1].codes[:-1], lengths=made.samples[1].lengths[:-1])
    runs = {"SRR1": made._replace(samples={0: made.samples[0], 1: shorter}), "SRR2": made._replace(samples={})}
    written = command(folder, runs)["runs"]
    assert written["SRR1"]["fault"]["reason"] == "READS_MISSING"
    assert written["SRR1"]["fault"]["detail"].endswith("the same number of reads: SRR1_1.fastq 300, SRR1_2.fastq 299.")
    assert written["SRR2"]["fault"]["detail"] == "there is no FASTQ file of the run."


@pytest.mark.parametrize(
    "reads", [b"@r\nACGT\nACGT\n+\nIIII\nIIII\n", b"@r\nAC\xffT\n\nIIII\n", b"@r\n\0", b">r\nACGT\n"]
)
def test_a_file_that_is_no_fastq_is_the_fault_of_its_run(folder, small, reads):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    (folder / "fastq").mkdir()
    for number in (1, 2):
        (folder / f"fastq/SRR1_{number}.fastq").write_bytes(reads * 400)
    written = command(folder, {"SRR1": made._replace(samples={}), "SRR2": made})["runs"]
    assert written["SRR1"]["fault"]["reason"] == "READS_MISSING"
    assert "SRR1_1.fastq" in written["SRR1"]["fault"]["detail"]
    assert "fault" not in written["SRR2"]


def test_unknown_chemistry_names_the_nearest(folder, small):
    with pytest.raises(InputError, match=r"'10x_3p_v33' is not a chemistry .*; did you mean '10x_3p_v3'\?"):
        command(folder, {"SRR1": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)}, chemistry="10x_3p_v33")
