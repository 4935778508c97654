"""Features (antibodies, guides, sample tags) are found by their tags, counted, and joined with the cells."""

import json
import random
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest

from scripts.core.errors import InputError
from scripts.droplets import read_roles, solo
from scripts.droplets.fastq_sample import make_sample
from scripts.droplets.features.feature_reference import Feature, FeatureMatcher, read_features
from scripts.droplets.features.features_h5ad import ARCHIVE, CellsOfLibrary, translate, write_features_h5ad
from scripts.droplets.mex.mex_reader import read_archive
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from tests.droplets.counting import count_library, pack_counted

CHEMISTRIES = Path(__file__).parents[3] / "config/chemistries.yaml"
HEAD = "id,name,read,pattern,sequence,feature_type\n"


def dna(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("ACGT", k=length))


def test_tables_of_both_forms_are_read(tmp_path):
    (tmp_path / "a.csv").write_text(
        HEAD + "CD3,CD3_TotalSeqB,R2,5PNNNNNNNNNN(BC)NNN,AACAAGACCCTTGAG,Antibody Capture\n"
    )
    (tmp_path / "b.tsv").write_text("name\tsequence\tread\tpattern\nRAB1A\taattcgggaa\tR2\t(BC)\n")
    assert read_features(tmp_path / "a.csv") == [
        Feature("CD3", "CD3_TotalSeqB", "AACAAGACCCTTGAG", 10, "Antibody Capture")
    ]
    assert read_features(tmp_path / "b.tsv") == [Feature("RAB1A", "RAB1A", "AATTCGGGAA", -1, "Antibody Capture")]


def test_all_faults_of_a_table_are_reported(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "name,sequence,read,pattern\nA,ACGTN,R2,^(BC)\nB,ACGTACGT,R1,BC\n,ACGTACGA,R2,(BC)\nB,CCGTACGT,R2,(BC)\n"
    )
    with pytest.raises(InputError) as raised:
        read_features(path)
    assert str(raised.value).splitlines() == [
        f"The feature reference ({path}) needs 5 corrections:",
        "feature 1 (A): sequence 'ACGTN' is not 8 to 32 bases of A, C, G and T.",
        "feature 2 (B): read 'R1' is not R2, the read beside the barcodes.",
        "feature 2 (B): pattern 'BC' is not like 5PNNNNNNNNNN(BC), ^(BC) or (BC).",
        "feature 3 (without a name): it needs a name.",
        "feature 'B': there more than once.",
    ]
    path.write_text("name,sequence\n")
    with pytest.raises(InputError, match="the columns read, pattern are missing"):
        read_features(path)
    path.write_text("name,sequence,read,pattern\n")
    with pytest.raises(InputError, match="it has no feature"):
        read_features(path)


def test_tags_are_found_where_the_pattern_has_them():
    anchored = [
        Feature("a", "a", "ACGTACGT", 3, ""),
        Feature("b", "b", "ACGTACCA", 3, ""),
        Feature("c", "c", "TTTTGGGG", 3, ""),
    ]
    matcher = FeatureMatcher([*anchored, Feature("d", "d", "GGATCCGGATCC", -1, "")])
    reads = {
        "NNNACGTACGTAA": 0,
        "CCCTTTTGGGGAA": 2,
        "CCCTTTTGGGCAA": 2,  # one base wrong
        "CCCACGTACGAAA": -1,  # as near to a as to b
        "CCACGTACGTAAA": -1,  # a base too early
        "AAAAAGGATCCGGATCC": 3,
        "AAAAAGGATCCGGATCA": -1,  # anywhere, but not whole
        "ACG": -1,
    }
    assert matcher.match(make_sample(list(reads))).tolist() == list(reads.values())
    assert matcher.share(make_sample(list(reads))) == 0.5
    assert matcher.match(make_sample([])).tolist() == []


def test_the_other_oligo_of_a_bead_has_two_bases_complemented():
    assert translate(b"AAACCCAAGAAACACT") == b"AAACCCATCAAACACT"  # as 10x pairs them
    assert translate(translate(b"AAACCCAAGAAACACT")) == b"AAACCCAAGAAACACT"


@pytest.mark.tools
@pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")
@pytest.mark.parametrize("own_oligo", [True, False])
def test_features_are_counted_and_joined_with_their_cells(tmp_path, monkeypatch, own_oligo):
    dice = random.Random(7)
    tags = [dna(dice, 15) for _ in range(5)]
    reference = tmp_path / "features.csv"
    reference.write_text(
        HEAD + "".join(f"F{n},N{n},R2,5PNNNNNNNNNN(BC),{tag},Antibody Capture\n" for n, tag in enumerate(tags))
    )
    beads = [f"{dna(dice, 7)}AG{dna(dice, 7)}" for _ in range(200)]  # of the oligo for RNA
    captured = [translate(bead.encode()).decode() if own_oligo else bead for bead in beads]
    (tmp_path / "lists").mkdir()
    listed = sorted({*beads, *(translate(bead.encode()).decode() for bead in beads)})
    (tmp_path / "lists/3M-february-2018.txt").write_text("".join(f"{barcode}\n" for barcode in listed))
    made: dict[tuple[str, str], int] = {}
    spots = []
    for number, barcode in enumerate(captured):
        for feature, tag in enumerate(tags):
            for _ in range(dice.randrange(3, 6) if number < 30 else dice.randrange(2) * (feature == 0)):
                umi = dna(dice, 12)
                made[barcode, f"F{feature}"] = made.get((barcode, f"F{feature}"), 0) + 1
                spots += [(barcode + umi, dna(dice, 10) + tag + "A" * 40)] * 2
    spots += [(captured[0] + dna(dice, 12), dna(dice, 65)) for _ in range(60)]  # without a tag
    dice.shuffle(spots)
    reads = tmp_path / "fastq"
    reads.mkdir()
    for number in (1, 2):
        lines = (f"@{name}\n{spot[number - 1]}\n+\n{'F' * len(spot[number - 1])}\n" for name, spot in enumerate(spots))
        (reads / f"R1_{number}.fastq").write_text("".join(lines))
    write_statuses(reads / "status.tsv", [RunStatus("R1", spots=str(len(spots)))])
    row = Run(series="S", experiment="TAGS", run="R1", species="homo", assay="droplet", status="planned")
    write_runs(tmp_path / "S.homo.TAGS.tsv", [row])
    common = ["--runs", tmp_path / "S.homo.TAGS.tsv", "--fastq", reads, "--chemistries", CHEMISTRIES]
    common += ["--inclusion-lists", tmp_path / "lists"]
    roles = tmp_path / "roles.json"
    read_roles.main([*map(str, common), "--output", str(roles)])
    if own_oligo:
        assert "are not counted" in json.loads(roles.read_text())["runs"]["R1"]["fault"]["detail"]
    common += ["--features-reference", reference]
    read_roles.main([*map(str, common), "--output", str(roles)])
    verdict = json.loads(roles.read_text())["runs"]["R1"]
    assert (verdict["candidates"], verdict["features"] > 0.9) == (["10x_3p_v3"], True)
    more = ["--roles", roles, "--index", tmp_path / "index", "--output", tmp_path / "solo"]
    (tmp_path / "index").mkdir()
    monkeypatch.setattr(solo, "require_index", lambda path: None)  # the reference is not used
    count_library([*common, *more, "--status", tmp_path / "status.tsv"])
    status = read_statuses(tmp_path / "status.tsv")["R1"]
    assert status.ok, status
    assert "Counted on the 5 features of features.csv, which 9" in status.detail
    written = pack_counted(tmp_path / "solo", tmp_path / "mex", ["Gene", "SJ"])
    assert [path.name for path in written] == [ARCHIVE]
    archive = read_archive(written[0])
    matrix = archive.matrix.tocoo()
    counted = {
        (archive.barcodes[column].decode(), archive.features[line][0]): int(value)
        for line, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
    }
    assert counted == made
    assert archive.features[0] == ("F0", "N0", "Antibody Capture")
    cells = CellsOfLibrary("RNA", np.array([bead.encode() for bead in [*beads[:28], "A" * 16]]))
    other = CellsOfLibrary("OTHER", np.array([dna(dice, 16).encode() for _ in range(30)]))
    assert write_features_h5ad(tmp_path / "f.h5ad", [other, cells], [("TAGS", tmp_path / "mex")]) == []
    data = anndata.read_h5ad(tmp_path / "f.h5ad")
    assert list(data.obs_names) == [f"RNA_{barcode}" for barcode in cells.barcodes.astype(str)]
    assert set(data.obs["feature_library"]) == {"TAGS"}
    assert list(data.var["feature_types"]) == ["Antibody Capture"] * 5
    assert data.X.toarray().tolist() == [
        [made.get((captured[number], f"F{feature}"), 0) for feature in range(5)] for number in range(28)
    ] + [[0] * 5]
    (words,) = write_features_h5ad(tmp_path / "f.h5ad", [other], [("TAGS", tmp_path / "mex")])
    assert words == "TAGS: its barcodes are of no library of gene expression; its archive has all of them."
    assert anndata.read_h5ad(tmp_path / "f.h5ad").shape == (0, 5)
