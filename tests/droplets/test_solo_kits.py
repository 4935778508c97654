"""STARsolo takes every kit's options: molecules of known genes, read with each kit, are counted as they were made."""

import gzip
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.mex.mex_reader import read_archive
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, read_statuses, write_statuses
from tests.droplets.counting import count_library, pack_counted

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"
KITS, KNOWN = read_chemistries(CHEMISTRIES)
GENES = 4
COPIES = 3
EXON = 900

pytestmark = [pytest.mark.tools, pytest.mark.skipif(shutil.which("STAR") is None, reason="STAR is not installed")]


def dna(dice: random.Random, length: int) -> str:
    return "".join(dice.choices("ACGT", k=length))


Spell = Callable[[list[str], random.Random], list[str]]


def far_from(others: list[str], dice: random.Random, length: int) -> str:
    """Return a UMI that no collapsing takes for one of the others, and add it to them."""
    while True:
        umi = dna(dice, length)
        apart = 2 if length > 4 else 1
        if all(sum(one != two for one, two in zip(umi, other, strict=True)) > apart for other in others):
            others.append(umi)
            return umi


def turned(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.fixture(scope="module")
def genome(tmp_path_factory) -> tuple[Path, list[str]]:
    """An index of single-exon genes, and the sequence of each."""
    return make_genome(tmp_path_factory.mktemp("kits"), [f"N{number}" for number in range(GENES)])


def make_genome(folder: Path, names: list[str]) -> tuple[Path, list[str]]:
    """Return an index of single-exon genes of these names, which is made in the folder, and the sequence of each."""
    dice = random.Random(11)
    contig = dna(dice, len(names) * 2000 + 4000)
    genes, lines = [], []
    for start in (500, 700):  # without any junction STAR makes no index
        name = 'gene_id "G9"; transcript_id "T9"; gene_name "N9";'
        lines.append(f"chr1\ttoy\texon\t{start}\t{start + 90}\t.\t+\t.\t{name}\n")
    for number, gene_name in enumerate(names):
        start = 1000 + 2000 * number
        genes.append(contig[start : start + EXON])
        name = f'gene_id "G{number}"; transcript_id "T{number}"; gene_name "{gene_name}";'
        lines.append(f"chr1\ttoy\texon\t{start + 1}\t{start + EXON}\t.\t+\t.\t{name}\n")
    (folder / "genome.fa").write_text(f">chr1\n{contig}\n")
    (folder / "genes.gtf").write_text("".join(lines))
    command = ["STAR", "--runMode", "genomeGenerate", "--genomeDir", "index", "--genomeFastaFiles", "genome.fa"]
    command += ["--sjdbGTFfile", "genes.gtf", "--sjdbOverhang", "75", "--genomeSAindexNbases", "5"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "index", genes


def write_fastq(path: Path, reads: list[str]) -> None:
    text = "".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(reads))
    path.write_bytes(gzip.compress(text.encode(), 1))


def barcode_read(kit, segments: list[str], umi: str, offset: int, dice: random.Random) -> list[str]:
    """Return the bases of a barcode read, or its pieces where an adapter stands between them."""
    read = list("A" * offset + "C" * kit.read_end)
    for part, text in zip(kit.barcode, segments, strict=True):
        first = offset + part.start - 1
        read[first : first + part.length] = text
    if not kit.umi_own_read:
        first = offset + kit.umi_start - 1
        read[first : first + kit.umi_length] = umi
    adapter = dict(kit.solo).get("soloAdapterSequence", "")
    if kit.shift:  # the adapter has the linkers between the parts, and they start late
        for position, base in enumerate(adapter):
            read[position] = base if base != "N" else read[position]
        return [*dice.choice(("", "A", "GT", "TCA")), *read, *"TTTT"]
    if adapter and kit.umi_start < kit.barcode[1].start:
        return [segments[0], adapter, umi, segments[1]]
    return [segments[0], adapter, segments[1], umi] if adapter else read


def count(
    folder: Path,
    name: str,
    genome,
    *more: str,
    long_read: bool = False,
    offset: int = 0,
    short: int = 0,
    cut: int = 0,
    strand: str = "",
    public: bool = False,
    spell: Spell | None = None,
    apart: bool = False,
) -> tuple[dict, dict, RunStatus]:
    """Make a library of a kit, count it, and return what was made, what was counted, and the run's status.

    ``public``: with the lists that come with the workflow. ``spell`` gives the parts of the barcode as a molecule has
    them, and ``apart`` says that these count, not those of its cell.
    """
    index, genes = genome
    kit = KITS[name]
    dice = random.Random(name)
    (folder / "lists").mkdir()
    parts = {}
    for list_name in kit.lists:
        lengths_of = [KNOWN[list_name].length] if KNOWN[list_name].length else [8, 9, 10, 11]
        if kit.found:
            continue
        if public:
            barcodes = Path(KNOWN[list_name].file).read_text().split()
            parts[list_name] = barcodes[: len(barcodes) // 2] if KNOWN[list_name].wells else barcodes
            continue
        parts[list_name] = sorted({dna(dice, dice.choice(lengths_of)) for _ in range(30)})
        (folder / f"lists/{list_name}.txt").write_text("".join(f"{part}\n" for part in parts[list_name]))
    first_reads, barcode_reads, umi_reads, cdna_reads = [], [], [], []
    made: dict[tuple[str, str], int] = {}
    for cell in range(6):
        segments = [
            (dice.choice(parts[part.list]) if part.list in parts else dna(dice, part.length)) for part in kit.barcode
        ]
        barcode = ("_" if len(segments) > 1 else "").join(segments)
        umis: list[str] = []
        for gene in range(GENES):
            for _ in range((5 if kit.umi_length > 4 else 1) + cell):
                umi = far_from(umis, dice, kit.umi_length - cut)
                spelled = spell(segments, dice) if spell else segments
                key = ("_".join(spelled) if apart else barcode), f"G{gene}"
                made[key] = made.get(key, 0) + 1
                for _ in range(COPIES):
                    read = barcode_read(kit, spelled, umi, offset, dice)
                    start = dice.randrange(0, EXON - 400)
                    piece = genes[gene][start : start + 350]
                    mate = ""
                    if long_read:  # the template switch, then the RNA's own strand from its 5′ end
                        mate = "TTTCTTATATGGG" + piece[:80]
                    kept = kit.prefix[1]
                    first_reads.append("".join(read[kept : kit.before]))
                    barcode_reads.append("".join(read[kit.before :]) + mate)
                    umi_reads.append(umi)
                    other = list("G" * (kit.cdna_start - 1))  # what the cDNA read has before its cDNA
                    other[kit.prefix[0] - 1 : kit.prefix[0] - 1 + kept] = read[:kept]
                    cdna_reads.append(
                        "".join(other) + (piece[-90:] if (strand or kit.strand) == "Forward" else turned(piece)[:90])
                    )
    for _ in range(short):  # reads whose barcode read was trimmed: they cannot be counted, the others can
        barcode_reads.append(dna(dice, dice.randrange(1, kit.read_end)))
        umi_reads.append(dna(dice, kit.umi_length))
        cdna_reads.append(genes[0][:90])
    order = list(range(len(cdna_reads)))
    dice.shuffle(order)
    third = {"umi": umi_reads} if kit.umi_own_read else {"barcode": first_reads} if kit.split else {}
    roles = ["cdna", "barcode", *third]
    reads = folder / "fastq"
    reads.mkdir()
    for number, column in enumerate((cdna_reads, barcode_reads, *third.values()), 1):
        write_fastq(reads / f"R1_{number}.fastq.gz", [column[spot] for spot in order])
    write_statuses(reads / "status.tsv", [RunStatus("R1", spots=str(len(order)))])
    write_runs(
        folder / "S.homo.X.tsv",
        [Run(series="S", experiment="X", run="R1", species="homo", assay="droplet", status="planned")],
    )
    lengths = [90.0, *(float(len(column[0])) for column in (barcode_reads, *third.values()))]
    verdict = {
        "roles": ",".join(roles),
        "chemistry": "",
        "candidates": [name],
        "offset": offset,
        "umi_length": kit.umi_length - cut,
        "mean_lengths": lengths,
        "words": "Told by the test",
    }
    (folder / "roles.json").write_text(json.dumps({"runs": {"R1": verdict}}))
    arguments = ["--runs", folder / "S.homo.X.tsv", "--fastq", reads, "--index", index]
    arguments += ["--roles", folder / "roles.json", "--chemistries", CHEMISTRIES, "--inclusion-lists", folder / "lists"]
    arguments += ["--output", folder / "solo", "--status", folder / "status.tsv", "--cell-filter", "None"]
    count_library([*arguments, "--features", "Gene", "--multireads", "Unique", *more])
    status = read_statuses(folder / "status.tsv")["R1"]
    counted: dict[tuple[str, str], int] = {}
    if status.ok:
        pack_counted(folder / "solo", folder / "mex")
        archive = read_archive(folder / "mex/Gene_Unique_raw.tar.gz")
        matrix = archive.matrix.tocoo()
        counted = {
            (archive.barcodes[column].decode(), archive.features[row][0]): int(value)
            for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
        }
    return made, counted, status


@pytest.mark.parametrize("name", [kit.name for kit in KITS.values() if not kit.refused])
def test_molecules_are_counted_with_every_kit(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome)
    assert (status.ok, status.chemistry) == (True, name), status
    assert status.detail.startswith(f"Told by the test; strand {KITS[name].strand}.")
    assert counted == made


@pytest.mark.parametrize("name", ["mars_seq2", "strt_seq_2i"])
def test_all_bases_of_the_cdna_are_aligned(tmp_path, genome, name):
    """With the adapters of Cell Ranger, STAR 2.7.10b takes the bases of clip5pNbases off what is aligned."""
    made, counted, status = count(tmp_path, name, genome)
    assert status.ok, status
    assert counted == made
    assert "Average mapped length |\t90.00" in (tmp_path / "solo/Log.final.out").read_text()


@pytest.mark.parametrize("name", ["10x_3p_v3", "split_seq"])
def test_star_s_own_defaults_count_the_same_molecules(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome, "--preset=star_defaults")
    assert status.ok, status
    assert counted == made
    log = (tmp_path / "solo/Log.out").read_text()
    assert "--outFilterType" not in log.partition("##### Command Line:")[2].partition("\n##")[0]


def test_long_barcode_read_of_a_5_prime_library_is_aligned_with_its_mate(tmp_path, genome):
    made, counted, status = count(tmp_path, "10x_5p_v2", genome, long_read=True)
    assert status.ok, status
    assert counted == made
    log = (tmp_path / "solo/Log.out").read_text()
    assert "--soloBarcodeMate 1 --clip5pNbases 39 0" in log


def test_umis_that_were_sequenced_in_part_are_counted(tmp_path, genome):
    made, counted, status = count(tmp_path, "10x_3p_v3", genome, cut=2)
    assert status.ok, status
    assert counted == made
    assert "--soloUMIlen 10" in (tmp_path / "solo/Log.out").read_text()


@pytest.mark.parametrize("name", ["10x_3p_v3", "10x_3p_v1", "split_seq"])
def test_barcode_that_starts_late_is_counted(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome, offset=2)
    assert status.ok, status
    assert counted == made


def test_long_barcode_read_of_a_3_prime_library_is_read_at_its_start(tmp_path, genome):
    made, counted, status = count(tmp_path, "10x_3p_v3", genome, long_read=True)
    assert status.ok, status
    assert counted == made


@pytest.mark.parametrize("name", ["10x_3p_v3", "split_seq"])
def test_some_trimmed_barcode_reads_leave_the_others_counted(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome, short=60)
    assert status.ok, status
    assert counted == made


RECEPTORS = {"tr": ["TRAC", "TRBC2", "TRBV20-1", "ACTB"], "ig": ["IGKC", "IGHM", "IGLV2-14", "Ighg1"]}


@pytest.mark.parametrize("kind, share", [("tr", 0.75), ("ig", 1.0)])
def test_a_library_of_receptors_is_no_gene_expression(tmp_path, kind, share):
    """Three of four genes are TR segments, or all are IG segments; each has as many reads."""
    genome = make_genome(tmp_path, RECEPTORS[kind])
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    _, _, status = count(first, "10x_5p_v2", genome)
    assert (status.state, status.reason) == ("failed", "ENRICHED_LIBRARY"), status
    assert f"of the 540 reads in genes {share:.1%} are on segments of" in status.detail
    figures = json.loads((first / "solo.json").read_text())
    assert (figures["gene_reads"], figures["antisense_reads"], figures["genes"]) == (540, 0, 4)
    assert (figures[f"{kind}_share"], figures["top_gene_share"]) == (share, 0.25)
    assert not (first / "mex").exists()
    second.mkdir()
    made, counted, status = count(second, "10x_5p_v2", genome, "--bounds", f"max_{kind}_share=1")
    assert status.ok, status
    assert counted == made


def test_reads_of_the_other_strand_fail_a_kit_that_was_named(tmp_path, genome):
    _, _, status = count(tmp_path, "10x_3p_v2", genome, "--min-gene-share", "0", strand="Reverse")
    assert (status.reason, status.detail) == (
        "CHEMISTRY_UNKNOWN",
        "10x Chromium 3′ v2 has cDNA of strand Forward, but most reads in genes are of the other strand: 0 are on the"
        " genes' strand and 540 on the other. Name another kit, or none.",
    )


def test_options_of_the_user_change_what_is_said_of_the_reads(tmp_path, genome):
    made, counted, status = count(
        tmp_path, "10x_3p_v2", genome, "--set=soloStrand=Reverse", "--set=soloUMIlen=10", strand="Reverse"
    )
    assert status.ok, status
    words = "Told by the test; strand Reverse. star_options replaces soloStrand Forward by Reverse."
    assert status.detail.startswith(words)
    assert counted == made


WELLS = Path(KNOWN["split-seq-round1"].file).read_text().split()


def one_of_two_primers(segments: list[str], dice: random.Random) -> list[str]:
    """Return the barcode with the hexamers' part for every other molecule."""
    well = WELLS.index(segments[2])
    return [*segments[:2], WELLS[well + dice.choice((0, 48))]]


def with_one_base_wrong(segments: list[str], dice: random.Random) -> list[str]:
    """Return the barcode of a molecule; one of ten has another base in its last part."""
    *before, last = segments
    place = dice.randrange(len(last))
    wrong = last[:place] + "ACGT"[("ACGT".index(last[place]) + dice.randrange(1, 4)) % 4] + last[place + 1 :]
    return [*before, wrong if dice.random() < 0.1 else last]


def primers_with_one_base_wrong(segments: list[str], dice: random.Random) -> list[str]:
    return with_one_base_wrong(one_of_two_primers(segments, dice), dice)


@pytest.mark.parametrize("spell", [one_of_two_primers, primers_with_one_base_wrong])
def test_two_primers_of_a_well_are_one_cell(tmp_path, genome, spell):
    made, counted, status = count(tmp_path, "split_seq", genome, public=True, spell=spell)
    assert status.ok, status
    assert counted == made
    assert len({barcode for barcode, _ in counted}) == 6
    assert "The oligo-dT and the hexamer barcode of each of the 48 wells are joined." in status.detail
    table = (tmp_path / "solo/wells.tsv").read_text().splitlines()
    assert table[:2] == ["hexamer\toligo_dt", "GATAGACA\tAACGTGAT"]
    archive = read_archive(tmp_path / "mex/Gene_Unique_raw.tar.gz")
    assert "split-seq-round1_joined_wells.txt" in archive.metadata["arguments"]
    assert archive.matrix.shape[1] == 48 * 96 * 96


def test_two_primers_of_a_well_are_kept_apart(tmp_path, genome):
    made, counted, status = count(
        tmp_path, "split_seq", genome, "--no-join-wells", public=True, spell=one_of_two_primers, apart=True
    )
    assert status.ok, status
    assert counted == made
    assert len({barcode for barcode, _ in counted}) == 12
    assert "wells" not in status.detail
    assert not (tmp_path / "solo/wells.tsv").exists()


def test_wells_of_a_list_that_lost_its_order_are_kept_apart(tmp_path, genome):
    made, counted, status = count(tmp_path, "parse_v2", genome)  # its lists are made, and sorted
    assert counted == made
    assert "The two primers of a well are kept apart: split-seq-round1 is not in the order" in status.detail


@pytest.mark.parametrize("name", ["drop_seq", "seq_well", "quartz_seq2", "mars_seq2", "strt_seq_2i"])
def test_barcodes_without_a_list_are_corrected(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome, spell=with_one_base_wrong)
    assert status.ok, status
    assert counted == made
    assert "No inclusion list: the 6 barcodes of the reads are the list, and " in status.detail


@pytest.mark.parametrize("name", ["split_seq", "cel_seq2", "microwell_seq", "sci_rna_seq3"])
def test_public_lists_need_no_configuration(tmp_path, genome, name):
    made, counted, status = count(tmp_path, name, genome, public=True)
    assert status.ok, status
    assert counted == made
