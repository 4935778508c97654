"""The first judgement of assay and read layout from records alone."""

import io

import pytest

from scripts.records.answers.sra_xml import Experiment, Read, RemoteFile, SraRun, parse_experiments
from scripts.records.libraries.assay import LENGTHS, NAMES, OPTIONS, Judgement, find_roles, judge_experiment, methods_in
from scripts.records.libraries.evidence import RecordText, Scope
from scripts.records.libraries.single_cell import Siblings
from tests.records.small_archives import package, package_set, run

BAM = RemoteFile("possorted_genome_bam.bam", "10X Genomics bam file", 15_500_000_000, "0" * 32, "https://x/b.bam")
NOTHING, DROPLET, PLATE, BOTH = "", "on a Chromium controller", "by Smart-seq2", "by Smart-seq2 and by Chromium v3"
SINGLE_CELL = "TRANSCRIPTOMIC SINGLE CELL"


def one(*lengths: float, **more: object) -> SraRun:
    return SraRun("SRR1", spots="1000", reads=tuple(Read(length, 0, 1000) for length in lengths))._replace(**more)


def roles_of(run: SraRun) -> tuple[str, ...]:
    found = find_roles(run)
    return found[0] if found else ()


def judge(
    *runs: SraRun, own: str = "", protocol: str = "", given: str = "", source: str = SINGLE_CELL, **more: object
) -> Judgement:
    texts = (RecordText(Scope.NAME, "sample title", own), RecordText(Scope.PROTOCOL, "extraction protocol", protocol))
    return judge_experiment(Experiment("SRX1", source=source, runs=runs), texts, given=given, **more)


@pytest.mark.parametrize(
    ("lengths", "roles"),
    [
        ((28, 91), "barcode,cdna"),
        ((26, 98), "barcode,cdna"),
        ((10, 10, 28, 75), "index,index,barcode,cdna"),
        ((8, 28, 91), "index,barcode,cdna"),
        ((28, 90, 10, 10), "barcode,cdna,index,index"),
        ((10, 28, 10, 91), "index,barcode,index,cdna"),
        ((28, 150), "barcode,cdna"),
        ((91, 28), "cdna,barcode"),
        ((28, 91, 0), "barcode,cdna,none"),
        ((151, 151), ""),
        ((8, 150, 150), ""),
        ((98, 14, 10), ""),
        ((75, 75), ""),
        ((98,), ""),
        ((28, 28), ""),
        ((), ""),
    ],
)
def test_roles_by_length(lengths: tuple[float, ...], roles: str) -> None:
    assert ",".join(roles_of(one(*lengths))) == roles


def test_a_barcode_read_has_one_length() -> None:
    assert roles_of(one(reads=(Read(28, 0.5, 9), Read(89.5, 1.2, 9)))) == ("barcode", "cdna")
    assert roles_of(one(reads=(Read(28, 9.0, 9), Read(89.5, 1.2, 9)))) == ()
    assert roles_of(one(28, 91, variable=True)) == ()


@pytest.mark.parametrize(
    ("lengths", "files", "roles"),
    [
        ((8, 150, 150), "s_I1_001 s_R1_001 s_R2_001", "index,barcode,cdna"),
        ((150, 150), "s_R2.fastq.gz s_R1.fastq.gz", "cdna,barcode"),
        (
            (150, 150, 8, 8),
            "a_R1_001 a_R2_001 a_I1_001 a_I2_001",
            "barcode,cdna,index,index",
        ),
        ((10, 10, 151, 151), "a_I1_001 a_I2_001 a_R1_001 a_R2_001", "index,index,barcode,cdna"),
        ((151, 10, 151, 10), "a_R2_001 a_I1_001 a_R1_001 a_I2_001", "cdna,index,barcode,index"),
        ((101, 101, 8), "R2_R1_001 R2_R2_001 R2_I1_001", "barcode,cdna,index"),  # the sample is called R2
        ((150, 150), "donor.r1.fq.gz donor.r2.fq.gz", "barcode,cdna"),
        ((150, 150), "/in/run_R1/a_I1_R1.fq /in/run_R1/a_I1_R2.fq", "barcode,cdna"),
        ((98, 10, 14), "s_R1_001 s_R2_001 s_I1_001", ""),  # v1: the barcode is the index read
        ((50, 16, 50), "s_R1_001 s_R2_001 s_R3_001", ""),
        ((150, 30), "s_R1.fastq.gz s_R2.fastq.gz", "barcode,cdna"),  # cDNA that was trimmed
        ((30, 150), "s_R2.fastq.gz s_R1.fastq.gz", "cdna,barcode"),
        ((98, 8, 14, 10), "s_R1_001 s_I2_001 s_I1_001 s_R2_001", ""),  # v1 again
        ((150, 150), "s_1.fastq.gz s_2.fastq.gz", ""),
        ((150, 150), "s_R1_a s_R1_b", ""),
        ((150, 150), "s_R1_001", ""),
    ],
)
def test_roles_by_the_files_that_were_loaded(lengths: tuple[float, ...], files: str, roles: str) -> None:
    assert ",".join(roles_of(one(*lengths, read_files=tuple(files.split())))) == roles


@pytest.mark.parametrize(
    ("lengths", "names", "without"),
    [
        ((8, 28, 91), "I1 R1 R2", True),
        ((28, 91, 8), "R1 R2 I1", True),
        ((10, 10, 28, 90), "I1 I2 R1 R2", True),
        ((28, 90, 10, 10), "R1 R2 I1 I2", True),
        ((10, 28, 10, 90), "I1 R1 I2 R2", True),
        ((91, 28), "R2 R1", True),
        ((91, 8, 26), "R2 I1 R1", True),
        ((28, 150), "R1 R2", True),
        ((150, 150), "R1 R2", False),
        ((151, 10, 151, 10), "R2 I1 R1 I2", False),
    ],
)
def test_a_record_with_and_without_the_loaders_options(lengths, names, without) -> None:
    """Lengths say the same as the loader's options, or nothing."""
    labels = names.split()
    files = " ".join(f"--read{place}PairFiles=x_{name}_001.fastq.gz" for place, name in enumerate(labels, 1))
    expected = tuple({"R1": "barcode", "R2": "cdna"}.get(name, "index") for name in labels)
    for options, roles in ((files, expected), ("", expected if without else ())):
        text = package_set(package("SRX1", [run("SRR1", lengths=lengths, options=options)]))
        (experiment,) = parse_experiments(io.BytesIO(text.encode()), "answer")
        assert judge_experiment(experiment, given="droplet").roles.get("SRR1", ()) == roles


@pytest.mark.parametrize(
    ("lengths", "files", "roles"),
    [
        ((8, 150, 150), "a_R2_001 a_R1_001 a_I1_001", "index,barcode,cdna"),  # listed in any order
        ((150, 150, 8), "a_I1_001 a_R1_001 a_R2_001", "barcode,cdna,index"),
        ((10, 10, 151, 151), "a_I1_001 a_I2_001 a_R1_001 a_R2_001", "index,index,barcode,cdna"),
        ((151, 151), "a_R1.fastq.gz a_R2.fastq.gz", "barcode,cdna"),
        ((151, 151), "a_L1_R1 a_L1_R2 a_L2_R1 a_L2_R2", "barcode,cdna"),
        ((151, 151), "a_L1_R1 a_L1_R2 a_L2_R2", ""),
        ((151, 151), "a_I1_001 a_R1_001 a_R2_001", ""),  # a file is not in the archive
        ((8, 151, 151), "a_R1_001 a_R2_001", ""),
        ((8, 151, 151), "a_R1_001 a_R2_001 a_R3_001", ""),
        ((50, 0), "a_R1.fastq.gz a_R2.fastq.gz", ""),
        ((98, 14, 8, 10), "a_R1_001 a_I1_001 a_I2_001 a_R2_001", ""),  # v1: the barcode is of 14 nt
        ((150, 150), "a_1.fastq.gz a_2.fastq.gz", ""),
    ],
)
def test_roles_by_the_names_of_the_files_on_offer(lengths: tuple[float, ...], files: str, roles: str) -> None:
    files = tuple(RemoteFile(name, "fastq", 1, "", "") for name in files.split())
    sra = (RemoteFile("SRR1", "SRA Normalized", 1, "", ""),)
    assert ",".join(roles_of(one(*lengths, files=files + sra))) == roles


def test_the_source_of_the_roles_is_kept() -> None:
    names = tuple(RemoteFile(f"a_{name}_001.fastq.gz", "fastq", 1, "", "") for name in ("I1", "R1", "R2"))
    labelled = one(8, 150, 150, read_files=("a_I1.fq", "a_R2.fq", "a_R1.fq"), files=names)
    judged = judge(labelled, one(8, 28, 91)._replace(run="SRR2"), own=DROPLET)
    assert judged.roles_from == {"SRR1": OPTIONS, "SRR2": LENGTHS}
    assert (judged.roles["SRR1"], judged.open) == (("index", "cdna", "barcode"), False)
    judged = judge(one(8, 150, 150, files=names), own=DROPLET)
    assert (judged.roles_from, judged.open) == ({"SRR1": NAMES}, True)
    assert judged.evidence[-1] == "its files are named R1 and R2: that order is assumed until the reads are examined"


def test_lengths_prove_droplets_against_words() -> None:
    judged = judge(one(28, 91), own=PLATE)
    assert (judged.assay, judged.open, judged.roles) == ("droplet", False, {"SRR1": ("barcode", "cdna")})
    assert judged.evidence[0] == "its reads are of 28, 91 nt: one holds a barcode, one cDNA"
    assert judged.evidence[-1] == "the reads do not confirm that: taken for droplet"


def test_a_technical_read_beside_the_cdna_proves_droplets() -> None:
    judged = judge(one(reads=(Read(150, 0, 9, "T"), Read(150, 0, 9, "B"))))
    assert (judged.assay, judged.open, judged.roles) == ("droplet", True, {})


def test_words_decide_where_lengths_do_not() -> None:
    judged = judge(one(151, 151), protocol=DROPLET)
    assert (judged.assay, judged.open, judged.fault) == ("droplet", True, "")
    assert "the reads must show which of them holds the barcode" in judged.evidence
    assert judge(one(75, 75), protocol=PLATE).assay == "plate"
    assert judge(one(75, 75), own=PLATE, protocol=DROPLET).assay == "plate"
    assert judge(one(75, 75), own=BOTH, protocol=DROPLET).assay == "droplet"


def test_an_index_read_speaks_of_droplets_where_nothing_else_does() -> None:
    files = ("a_I1_001.fastq.gz", "a_R1_001.fastq.gz", "a_R2_001.fastq.gz")
    judged = judge(one(8, 150, 150, read_files=files))
    assert (judged.assay, judged.open, judged.roles) == ("droplet", True, {"SRR1": ("index", "barcode", "cdna")})
    assert judge(one(8, 150, 150, read_files=files), source="TRANSCRIPTOMIC").assay == "plate"
    assert judge(one(8, 150, 150, read_files=files), own=PLATE).assay == "plate"


def test_many_spots_of_single_cells_are_no_plate() -> None:
    judged = judge(one(151, 151, spots="90000000"))
    assert (judged.assay, judged.open, judged.fault) == ("droplet", True, "")
    judged = judge(one(151, 151, spots="90000000"), source="TRANSCRIPTOMIC")
    assert (judged.assay, judged.open, judged.fault) == ("plate", False, "NOT_SINGLE_CELL")
    assert judge(one(75, 75)).open is False
    assert judge(one()).open is True  # no statistics


def test_the_barcode_is_lost() -> None:
    judged = judge(one(98, files=(BAM,)))
    assert (judged.assay, judged.fault) == ("droplet", "BARCODE_LOST")
    assert judged.detail == (
        "The archive holds only the cDNA read of this droplet library (98 nt); the barcodes are lost, "
        "but the submitter's BAM is on offer: possorted_genome_bam.bam, 15.5 GB, https://x/b.bam"
    )
    assert judge(one(98, 8), protocol=DROPLET).fault == "BARCODE_LOST"
    assert judge(one(98, 0), protocol=DROPLET).detail.endswith("(98, 0 nt); the barcodes are lost.")
    assert judge(one(98)).assay == "plate"
    assert judge(one(28, 91, files=(BAM,))).fault == ""
    assert judge(one(), protocol=DROPLET).fault == ""


@pytest.mark.parametrize(
    ("lengths", "starts", "reason", "words"),
    [
        ((202,), (), "LAYOUT_AMBIGUOUS", "202 is 101 + 101"),
        ((119, 8), (), "LAYOUT_AMBIGUOUS", "119 is 28 + 91"),
        ((400,), (), "LAYOUT_AMBIGUOUS", "it is longer than any cDNA read, of at most 151 nt"),
        ((126,), (1, 27), "LAYOUT_AMBIGUOUS", "the record's spot descriptor begins its second read at base 27"),
        ((126,), (1,), "BARCODE_LOST", "(126 nt); the barcodes are lost."),
        ((26,), (1, 27), "READS_MISSING", "only the barcode read of this droplet library (26 nt), and no cDNA."),
        ((98,), (1, 99), "BARCODE_LOST", "(98 nt); the barcodes are lost."),
    ],
)
def test_one_read_of_a_library_is_not_always_the_cdna(lengths, starts, reason, words) -> None:
    judged = judge_experiment(Experiment("SRX1", runs=(one(*lengths),), starts=starts), given="droplet")
    assert judged.fault == reason
    assert words in judged.detail


def test_a_bam_stands_in_only_where_every_run_has_one_for_everybody() -> None:
    free = BAM._replace(anonymous=("https://x/b.bam",))
    with_bam, without = one(98, files=(free,)), one(98)._replace(run="SRR2")
    assert judge(with_bam).bams == {"SRR1": free}
    assert judge(one(98, files=(BAM,))).bams == {}
    assert judge(with_bam, without).bams == {}
    assert judge(with_bam, without).fault == "BARCODE_LOST"


def test_the_user_decides() -> None:
    assert judge(one(28, 91), given="plate").assay == "plate"
    judged = judge(one(75, 75), given="droplet")
    assert (judged.assay, judged.open) == ("droplet", True)
    assert judged.evidence[0] == "the configuration says droplet"


@pytest.mark.parametrize(
    ("text", "assays"),
    [
        ("10x Genomics 3' V3.1", "droplet"),
        ("loaded on the 10X Chromium controller", "droplet"),
        ("Chromium Next GEM Single Cell 3p RNA library v3.1", "droplet"),
        ("encapsulated using the inDrop platform, CEL-Seq protocol, 96-well plates", "droplet"),
        ("Drop-seq", "droplet"),
        ("10X PBS was diluted to 1x; 10x objective", ""),
        ("Smart-seq2 in 384-well plates", "plate"),
        ("SMARTer kit, C1 Single-Cell Auto Prep IFC chip (Fluidigm)", "plate"),
        ("sorted into 96 well plates, Nextera XT", "plate"),
        ("cells in droplets or in 96-well plates", "droplet plate"),
        ("lipid droplets were stained; droplet digital PCR", ""),
        ("mice were given hexavalent chromium; chromium(VI) exposure system", ""),
        ("10x Genomics for one cohort, Smart-seq2 for the other", "droplet plate"),
        ("RNA was extracted with Trizol", ""),
        ("MARS-seq", "pooled"),
        ("CEL-Seq2 was used as described", "pooled"),
        ("mCEL-Seq2 of cells in 384-well plates", "pooled"),
        ("barcoded oligo-dT primers in each well of a 384-well plate", "pooled"),
        ("Quartz-Seq2", "pooled"),
        ("Quartz-Seq", "plate"),
        ("FACS sort, sequenced on a NextSeq", ""),
    ],
)
def test_words(text: str, assays: str) -> None:
    assert " ".join(sorted(methods_in(text))) == assays


def test_siblings_vote_for_a_library_that_names_no_method() -> None:
    """Eight of sixteen were sequenced with 26 nt of barcodes, the others with 151 nt on both sides."""
    design = RecordText(Scope.DESIGN, "overall design", "scRNA-seq was done on sorted cells")
    bulk = RecordText(Scope.PROTOCOL, "extraction protocol", "RNA was extracted with TRIzol; TruSeq stranded mRNA")
    experiment = Experiment("SRX1", source="TRANSCRIPTOMIC", runs=(one(151, 151, spots="30000000"),))
    judged = judge_experiment(experiment, [design], Siblings(16, droplets=8))
    assert (judged.assay, judged.open, judged.fault) == ("droplet", True, "")
    assert "8 experiments of its study are droplet libraries by their reads" in judged.evidence
    assert judge_experiment(experiment, [design, bulk], Siblings(16, droplets=8)).fault == "NOT_SINGLE_CELL"
    assert judge_experiment(experiment, [design], Siblings(16, droplets=2)).fault == "NOT_SINGLE_CELL"
    assert judge_experiment(experiment, [design], Siblings(16)).fault == "NOT_SINGLE_CELL"


@pytest.mark.parametrize(
    ("names", "assay"),
    [
        ("a_S20_L001_R1_001 a_S21_L001_R1_001 a_S22_L001_R1_001 a_S23_L001_R1_001", "droplet"),
        ("a_S20_L001_R1_001 a_S20_L002_R1_001 a_S20_L003_R1_001 a_S20_L004_R1_001", "plate"),
        ("a_S20_L001_R1_001 a_S21_L001_R1_001", "plate"),
        ("a_SI-GA-A3_2_S1_L001_R1_001", "droplet"),
        ("a_SI-Rhizome_S1_L001_R1_001", "plate"),
    ],
)
def test_four_sample_indexes_in_a_row_are_of_10x(names: str, assay: str) -> None:
    files = tuple(RemoteFile(name, "fastq", 1, "", "") for name in names.split())
    judged = judge(one(151, 151, files=files))
    assert (judged.assay, judged.open) == (assay, assay == "droplet")


@pytest.mark.parametrize(
    ("name", "assay"), [("WT_10x", "droplet"), ("WT 10x PBS", "plate"), ("10X_rep1", "droplet"), ("110x", "plate")]
)
def test_a_bare_10x_in_a_name(name: str, assay: str) -> None:
    assert judge(one(151, 151), own=name).assay == assay
    assert judge(one(151, 151), own=name, source="TRANSCRIPTOMIC").fault == "NOT_SINGLE_CELL"


def test_a_short_read_beside_the_cdna_holds_barcodes_of_pooled_cells() -> None:
    judged = judge(one(12, 90))
    assert (judged.assay, judged.fault) == ("droplet", "CHEMISTRY_UNKNOWN")
    assert judged.detail == (
        "Many cells are in one library: its spots have a short barcode read, and no chemistry for it is configured. "
        "If it is one cell, set `assay: {SRX1: plate}`."
    )
    index = tuple(RemoteFile(f"a_{read}_001.fastq.gz", "fastq", 1, "", "") for read in ("I1", "R1"))
    assert judge(one(8, 75, files=index)).fault == ""
    assert judge(one(8, 75), protocol=PLATE).fault == ""
    assert judge(one(16, 75), protocol=PLATE).fault == "CHEMISTRY_UNKNOWN"
    assert judge(one(12, 90), given="plate").fault == ""
    assert judge(one(12, 90), pinned=True).fault == ""


def test_smart_seq2_with_barcodes_of_cells_is_pooled() -> None:
    """As in many records: cDNA by Smart-seq2, with a barcode a cell, and the cells of a plate in one library."""
    for protocol in (
        "a modified Smart-seq2 protocol with cell-specific barcodes",
        "Smart-seq2 with barcoded oligo-dT primers",
        "STRT libraries by a modified Smart-seq2",
    ):
        assert judge(one(150, 150), protocol=protocol).fault == "CHEMISTRY_UNKNOWN"
    for protocol in ("Smart-seq2; barcoded Nextera primers", "Smart-seq3 with UMIs", "Smart-seq2, dual index"):
        assert judge(one(75, 75), protocol=protocol).fault == ""
    many = Siblings(300, small=300, single_cell=300)
    assert judge(one(50, spots="1000000"), protocol="STRT on a Fluidigm C1", siblings=many).fault == ""


def test_a_method_of_pooled_cells_may_have_a_long_barcode_read() -> None:
    assert judge(one(26, 60), protocol="CEL-Seq2").fault == "CHEMISTRY_UNKNOWN"
    assert judge(one(26, 60), protocol="CEL-Seq2", given="droplet").fault == ""
    assert judge(one(26, 60), protocol="each mRNA has a cell barcode and a UMI").fault == ""
    assert judge(one(26, 60, files=(BAM,)), protocol="CEL-Seq2").fault == ""


def test_barcodes_without_wells_are_of_droplets() -> None:
    judged = judge(one(151, 151), protocol="each mRNA has a cell barcode and a UMI")
    assert (judged.assay, judged.open, judged.fault) == ("droplet", True, "")
    judged = judge(one(151, 151), protocol="cells in 384 wells, each mRNA has a cell barcode and a UMI")
    assert (judged.assay, judged.open, judged.fault) == ("droplet", False, "CHEMISTRY_UNKNOWN")
    assert judge(one(75), protocol="a kit with UMIs", source="TRANSCRIPTOMIC").fault == "NOT_SINGLE_CELL"


def test_pooled_cells_may_be_separated_in_the_archive() -> None:
    """STRT and its like: a barcode a cell, and an experiment a cell, where there are hundreds of small ones."""
    small = one(50, spots="1000000")
    many = Siblings(300, small=300, single_cell=300)
    assert judge(small, protocol="CEL-Seq2", siblings=many).fault == ""
    assert judge(small, protocol="CEL-Seq2", siblings=Siblings(20, small=20)).fault == "CHEMISTRY_UNKNOWN"
    assert judge(one(15, 50, spots="1000000"), protocol="CEL-Seq2", siblings=many).fault == "CHEMISTRY_UNKNOWN"
    assert judge(one(50, spots="30000000"), protocol="CEL-Seq2", siblings=many).fault == "CHEMISTRY_UNKNOWN"
