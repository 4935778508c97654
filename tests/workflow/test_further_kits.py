"""Kits whose barcodes are public, or found in the reads, through the whole workflow from files of one's own."""

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import pytest

from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.mex.mex_reader import read_archive
from scripts.harvest import verify
from scripts.plan.run_table import Run, read_runs, write_runs
from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]

_, LISTS = read_chemistries(Path(__file__).parents[2] / "config/chemistries.yaml")
WELLS = Path(LISTS["split-seq-round1"].file).read_text(encoding="utf-8").split()


TAGS = ("AACAAGACCCTTGAG", "CTCATTGTAACTCCT", "GGTTACGATCCATGA")


class Rewriter:
    """Turns the barcode reads of a 10x library into those of another kit; a barcode becomes always the same one."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.wells: dict[str, list[int]] = {}
        self.beads: dict[str, str] = {}

    def split_seq(self, barcode: str, umi: str) -> str:
        one, two, three = self.wells.setdefault(barcode, [self.dice.randrange(number) for number in (96, 96, 48)])
        primer = WELLS[three + 48 * (sum(map(ord, umi)) % 2)]  # a molecule has one of the two primers
        return f"{umi[:10]}{WELLS[one]}{'A' * 30}{WELLS[two]}{'C' * 30}{primer}"

    def split_name(self, barcode: str) -> str:
        """Return what STAR calls the cell of a barcode of 10x."""
        one, two, three = self.wells[barcode]
        return f"{WELLS[one]}_{WELLS[two]}_{WELLS[three]}"

    def tags(self, barcode: str, umi: str) -> str:
        """Return the read of a tag: each cell has one of three, and some of its spots have none."""
        tag = TAGS[sum(map(ord, barcode)) % 3]
        return (tag if ord(umi[0]) % 4 else "ACACACACACACACA") + "A" * 20

    def drop_seq(self, barcode: str, umi: str) -> str:
        bead = self.beads.setdefault(barcode, "".join(self.dice.choices("ACGT", k=12)))
        return bead + umi[:8]


def molecules(folder: Path) -> dict[str, int]:
    """Return barcode → molecules in genes."""
    archive = read_archive(folder / "Gene_Unique_raw.tar.gz")
    sums = archive.matrix.sum(axis=0).A1.tolist()
    return {barcode.decode(): int(total) for barcode, total in zip(archive.barcodes, sums, strict=True) if total}


def rewrite(source: Path, target: Path, barcode_read: Callable[[str, str], str]) -> None:
    """Write a FASTQ whose bases are made of barcode and UMI of each read of another."""
    lines = gzip.decompress(source.read_bytes()).decode().splitlines()
    for at in range(1, len(lines), 4):
        lines[at] = barcode_read(lines[at][:16], lines[at][16:])
        lines[at + 2] = "F" * len(lines[at])
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_kits_without_a_configured_list_are_counted(world, tmp_path):
    fastq = world.folder / "fastq"
    barcodes, cdna = (fastq / f"SRR9000103_{read}.fastq.gz" for read in (1, 2))
    maker = Rewriter(1)
    for name in ("split_seq", "drop_seq", "tags"):
        rewrite(barcodes, tmp_path / f"{name}.fastq", getattr(maker, name))
    rows = [
        Run(run=name, experiment=name, species="homo", assay="droplet", chemistry=kit, source=f"file:{path};{cdna}")
        for name, kit, path, cdna in (
            ("tenx", "", barcodes, cdna),
            ("wells", "", "split_seq.fastq", cdna),
            ("beads", "drop_seq", "drop_seq.fastq", cdna),
            ("tags", "", barcodes, "tags.fastq"),
        )
    ]
    table = "".join(f"tag{number},{tag},R2,^(BC)\n" for number, tag in enumerate(TAGS))
    (tmp_path / "features.csv").write_text(f"name,sequence,read,pattern\n{table}")
    write_runs(tmp_path / "runs.tsv", rows)
    with Server(world) as server:
        configuration = world.configuration(server) | {"run_table": "runs.tsv"}
        configuration["droplets"] = configuration["droplets"] | {"features_reference": "features.csv"}
        assert run_workflow(tmp_path, configuration, ["--quiet", "--cores", "2"]) == 0
    ledger = {row.run: row for row in read_runs(tmp_path / "results/runs.tsv")}
    assert {run: (row.status, row.chemistry) for run, row in ledger.items()} == {
        "tenx": ("counted", ledger["tenx"].chemistry),
        "wells": ("counted", "split_seq"),
        "beads": ("counted", "drop_seq"),
        "tags": ("counted", ledger["tags"].chemistry),
    }
    assert ledger["tags"].detail.count("Counted on the 3 features of features.csv, which 7") == 1
    assert "Proved by barcodes" in ledger["wells"].detail
    assert "hexamer barcode of each of the 48 wells are joined" in ledger["wells"].detail
    assert "No inclusion list: the " in ledger["beads"].detail
    tenx, wells, beads = (molecules(tmp_path / f"results/mex/{run}") for run in ("tenx", "wells", "beads"))
    expected = sum(tenx.values())
    for made, names in ((wells, {one: maker.split_name(one) for one in tenx}), (beads, maker.beads)):
        counted = sum(made.get(names[barcode], 0) for barcode in tenx)
        assert 0.9 * expected < counted <= expected  # a misread barcode of 10x has become another one
    described = read_archive(tmp_path / "results/mex/wells/Gene_Unique_raw.tar.gz").metadata["description"]
    assert described.endswith("the oligo-dT and the hexamer barcode of each well are joined")
    tagged = anndata.read_h5ad(next((tmp_path / "results/droplets/features").glob("*.h5ad")))
    assert set(tagged.obs["library"]) == {"tenx"}
    assert list(tagged.var_names) == ["tag0", "tag1", "tag2"]
    own = [sum(map(ord, barcode)) % 3 for barcode in tagged.obs["barcode"]]
    assert tagged.X.toarray().argmax(axis=1).tolist() == own
    assert tagged.X[range(len(own)), own].sum() > 0.95 * tagged.X.sum()
    cells = anndata.read_h5ad(next((tmp_path / "results/droplets").glob("*.h5ad"))).obs
    assert set(cells["experiment"]) == {"tenx", "wells", "beads"}
    assert set(tagged.obs_names) == set(cells.index[cells["experiment"] == "tenx"])
    verify.main([str(tmp_path / "results")])


def test_probes_of_flex_are_counted_on_their_probe_set(world, tmp_path):
    dice = random.Random(3)
    barcodes = world.folder / "fastq/SRR9000103_1.fastq.gz"
    genes = [f"ENSG{number:011d}" for number in range(40)]
    probes = {gene: "".join(dice.choices("ACGT", k=50)) for gene in genes}
    rows = "".join(f"{gene},{bases},{gene}|N{number}|x,TRUE\n" for number, (gene, bases) in enumerate(probes.items()))
    (tmp_path / "probes.csv").write_text(f"#panel_name=toy\ngene_id,probe_seq,probe_id,included\n{rows}")

    def gel_bead(barcode: str, umi: str) -> str:
        return barcode[::-1] + umi + "AC"

    def ligated(barcode: str, umi: str) -> str:
        gene = genes[sum(number * ord(base) for number, base in enumerate(umi)) % 40]
        return f"{probes[gene]}ACGCGGTTAGCACGTACC{('ACTTTAGG', 'AACGGGAA')[ord(barcode[0]) % 2]}{'A' * 14}"

    rewrite(barcodes, tmp_path / "barcodes.fastq", gel_bead)
    rewrite(barcodes, tmp_path / "probes.fastq", ligated)
    listed = (world.folder / "inclusion_lists/737K-august-2016.txt").read_text(encoding="utf-8").split()
    (tmp_path / "beads.txt").write_text("".join(f"{barcode[::-1]}\n" for barcode in listed))
    source = "file:barcodes.fastq;probes.fastq"
    write_runs(tmp_path / "runs.tsv", [Run(run="flex", species="homo", assay="droplet", source=source)])
    with Server(world) as server:
        configuration = world.configuration(server) | {"run_table": "runs.tsv"}
        configuration["droplets"] = {
            "inclusion_lists": {"737K-fixed-rna-profiling": "beads.txt"},
            "probe_sets": {"homo": "probes.csv"},
        }
        assert run_workflow(tmp_path, configuration, ["--quiet", "--cores", "2"]) == 0
    (row,) = read_runs(tmp_path / "results/runs.tsv")
    assert (row.status, row.chemistry) == ("counted", "10x_flex"), row
    assert "Counted on the probe set probes.csv (40 probes of 40 genes" in row.detail
    cells = anndata.read_h5ad(next((tmp_path / "results/droplets").glob("*.h5ad")))
    assert list(cells.var_names) == genes
    assert {barcode.partition("_")[2] for barcode in cells.obs["barcode"]} == {"ACTTTAGG", "AACGGGAA"}
    verify.main([str(tmp_path / "results")])
