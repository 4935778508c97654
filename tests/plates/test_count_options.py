"""Options of counting on the toy world's cells, against htseq-count, the program."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest

from scripts.core.errors import InputError, MachineFault
from scripts.plates.counting import COUNTERS, Counting, count_by_strand, count_native
from scripts.plates.shard_counts import TALLIES, ShardCounts
from scripts.references.count_index import main as make_count_index
from scripts.references.gene_intervals import build_gene_intervals, read_gene_intervals, write_gene_intervals
from scripts.references.genes_table import read_genes
from scripts.references.gtf import read_exons
from tests.plates.shards import CHOSEN, lay_out, run_align, run_count, table
from tests.toy.world import World

pytestmark = pytest.mark.tools

OPTIONS = [
    ["--nonunique=all", "--min-quality=0", "--mode=union"],
    ["--nonunique=fraction", "--min-quality=0", "--mode=union"],
    ["--nonunique=none", "--secondary-alignments=score", "--min-quality=0"],
    ["--nonunique=fraction", "--secondary-alignments=score", "--supplementary-alignments=score", "--min-quality=0"],
    ["--strand", "forward", f"{CHOSEN[0]}=reverse"],
]


def run_htseq(bams: list[Path], annotation: Path, *options: str) -> tuple[list[str], np.ndarray]:
    """Return the names of rows, and rows × files, by the program itself."""
    command = [sys.executable, "-m", "HTSeq.scripts.count", "-q", "-r", "name", *options, *map(str, bams)]
    done = subprocess.run([*command, str(annotation)], capture_output=True, text=True, check=True)
    names, *_ = zip(*(line.split("\t") for line in done.stdout.splitlines()), strict=True)
    values = [line.split("\t")[1:] for line in done.stdout.splitlines()]
    return list(names), np.array(values, float)


def whole(counted: ShardCounts) -> np.ndarray:
    return np.concatenate([counted.counts.toarray(), counted.tallies], axis=1)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options).replace("--", ""))
def test_counters_give_the_same(mm10: Path, shard: Path, options: list[str], capsys: pytest.CaptureFixture) -> None:
    counted = {counter: run_count(shard, mm10, f"--counter={counter}", *options) for counter in COUNTERS}
    for shard_counts, statuses in counted.values():
        assert shard_counts.columns == CHOSEN
        assert all(status.ok and not status.detail for status in statuses.values())
        assert whole(shard_counts) == pytest.approx(whole(counted["htseq-count"][0]), rel=1e-12)
    assert "htseq-count gives the same 78 numbers." in capsys.readouterr().err
    plain, _ = run_count(shard, mm10)
    assert not np.array_equal(whole(plain), whole(counted["native"][0]))


def test_draws_are_repeated_and_share_out_what_is_ambiguous(mm10: Path, shard: Path) -> None:
    options = ["--nonunique=random", "--min-quality=0", "--mode=union"]
    for counter in COUNTERS:
        first, _ = run_count(shard, mm10, f"--counter={counter}", *options)
        again, _ = run_count(shard, mm10, f"--counter={counter}", *options)
        fraction, _ = run_count(shard, mm10, "--counter=native", "--nonunique=fraction", *options[1:])
        assert first.tools["counter"] == ("htseq-count" if counter == "htseq-count" else "native")
        assert (whole(first) == whole(again)).all()
        assert first.tallies.tolist() == fraction.tallies.tolist()
        assert np.ravel(first.counts.sum(axis=1)) == pytest.approx(np.ravel(fraction.counts.sum(axis=1)))


def test_a_strand_is_proved_by_the_reads(mm10: Path, shard: Path) -> None:
    """The toy world's libraries are without strand: the reads of each gene are on both."""
    plain, _ = run_count(shard, mm10)
    proved, _ = run_count(shard, mm10, "--strand", "auto")
    assert (whole(plain) == whole(proved)).all()
    assert (plain.strands, proved.strands) == ([], ["none"] * len(CHOSEN))


def write_stranded(path: Path, plus: int, minus: int) -> None:
    """Write reads without mates in a gene on the plus strand, so many on its strand and on the other."""
    header = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "chr1", "LN": 1000}]})
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for number in range(plus + minus):
            read = pysam.AlignedSegment(header)
            read.query_name, read.flag = f"r{number}", 0 if number < plus else 16
            read.reference_id, read.reference_start, read.mapping_quality = 0, 100, 255
            read.cigartuples, read.query_sequence = [(0, 50)], "A" * 50
            read.set_tag("NH", 1)
            out.write(read)


def test_libraries_of_each_strand_are_proved_and_counted_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    index, exons = tmp_path / "index.npz", tmp_path / "exons.gtf"
    exons.write_text('chr1\t.\texon\t51\t400\t.\t+\t.\tgene_id "g";\n')
    write_gene_intervals(index, build_gene_intervals(read_exons(exons), ["g"]))
    made = {"forward": (290, 10), "reverse": (5, 295), "both": (160, 140), "few": (2, 0)}
    for name, reads in made.items():
        write_stranded(tmp_path / f"{name}.bam", *reads)
    cells = {name: [tmp_path / f"{name}.bam"] for name in made}
    counting = Counting(index, exons, ["g"], "union", "none")
    for counter in COUNTERS:
        counted, strands = count_by_strand(cells, dict.fromkeys(made, "auto"), counting, counter, 2)
        assert strands == {"forward": "forward", "reverse": "reverse", "both": "none", "few": "none"}
        assert {name: int(cell.genes[0]) for name, cell in counted.cells.items()} == {
            "forward": 290, "reverse": 295, "both": 300, "few": 2,
        }  # fmt: skip
        assert list(counted.cells) == list(made)
    assert "457 fragments are on the genes' strand and 445 on the other; cells: 2 none, 1 forward, 1 reverse." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("feature", "attribute"),
    [("gene", "gene_id"), ("exon", "gene_name"), ("transcript", "transcript_id"), ("exon", "transcript_id")],
)
def test_other_features_are_counted_as_htseq_count_does(
    mm10: Path, shard: Path, tmp_path: Path, feature: str, attribute: str
) -> None:
    chosen = [f"--type={feature}", f"--id-attribute={attribute}", f"--output={tmp_path / 'index.npz'}"]
    make_count_index(
        [
            *(f"--annotation={mm10 / 'annotation.gtf'}", f"--genes={mm10 / 'genes.tsv'}", *chosen),
            *(f"--exons={tmp_path / 'exons.gtf'}", f"--features={tmp_path / 'features.tsv'}"),
        ]
    )
    steps = read_gene_intervals(tmp_path / "index.npz")
    bams = [shard / "aligned" / f"{column}.bam" for column in CHOSEN[:2]]
    options = ["-s", "no", "-m", "union", "-t", feature, "-i", attribute]
    text = (mm10 / "annotation.gtf").read_text()  # htseq-count stops at a spike-in, which has no gene_name
    named = re.sub(r'^(.*gene_id "(ERCC-[^"]+)".*)$', r'\1 gene_name "\2";', text, flags=re.M)
    (tmp_path / "named.gtf").write_text(named)
    names, truth = run_htseq(bams, tmp_path / "named.gtf", *options)
    ours = [count_native([bam], steps, "union", "none") for bam in bams]
    listed = [row.gene_id for row in read_genes(tmp_path / "features.tsv")]
    assert [*steps.genes, *TALLIES] == [*listed, *TALLIES] == names
    assert [[*cell.genes, *cell.tallies] for cell in ours] == truth.T.tolist()
    assert truth[: len(steps.genes)].sum() > 0


def test_two_passes_a_cell_and_star_s_own_defaults(world: World, mm10: Path, tmp_path: Path) -> None:
    """The annotation has all junctions of the toy world, so that a second pass changes no count."""
    lay_out(world, tmp_path, CHOSEN[:2])
    run_align(tmp_path, mm10, "--set=twopassMode=Basic", "--threads=2")
    twice, _ = run_count(tmp_path, mm10)
    truth = world.plate_truth()
    assert table(twice) == {column: truth[column] for column in CHOSEN[:2]}
    run_align(tmp_path, mm10, "--preset=star_defaults", "--set=outFilterMultimapNmax=1", "--threads=2")
    unique, _ = run_count(tmp_path, mm10)
    assert unique.columns == CHOSEN[:2]
    assert unique.tallies[:, TALLIES.index("__alignment_not_unique")].tolist() == [0, 0]
    assert twice.tallies[:, TALLIES.index("__alignment_not_unique")].min() > 0


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("genomeLoad=LoadAndKeep", "genomeLoad: it cannot be set, the workflow shares a genome in memory"),
        ("twoPassMode=Basic", r"twoPassMode: STAR has no such option; did you mean twopassMode\?"),
    ],
)
def test_options_that_star_cannot_have_are_refused(mm10: Path, shard: Path, chosen: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_align(shard, mm10, f"--set={chosen}")


def test_a_value_that_star_refuses_is_a_fault_of_the_options(world: World, mm10: Path, tmp_path: Path) -> None:
    lay_out(world, tmp_path, CHOSEN[:2])
    with pytest.raises(MachineFault, match=r"STAR fails on any read, also on one of our own: .*outFilterType"):
        run_align(tmp_path, mm10, "--set=outFilterType=BySJ", "--genome-memory=none")
