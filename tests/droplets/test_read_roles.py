"""Which read is the barcode, which kit it is: told from reads of every kit, and never guessed."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inputs.droplet_reads import TENX, Maker, battery, make_lists
from scripts.core.errors import InputError, RunFault
from scripts.droplets import read_roles
from scripts.droplets.barcode_search import Lists, measure_alternatives, pack_windows
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.fastq_sample import SKIP, copy_sample, make_sample, sample_reads
from scripts.droplets.inclusion_lists import pack_codes
from scripts.droplets.role_evidence import judge_run
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses

CHEMISTRIES = Path(__file__).parents[2] / "config/chemistries.yaml"
KITS, KNOWN = read_chemistries(CHEMISTRIES)


@pytest.fixture(scope="module")
def lists() -> Lists:
    return make_lists(KNOWN, [name for name, one in KNOWN.items() if one.length], 0.02, 1)


@pytest.fixture(scope="module")
def maker(lists) -> Maker:
    return Maker(lists, 500, 3)


def judge(made, lists, **more):
    return judge_run(made.samples, len(made.roles) or len(made.samples), list(KITS.values()), lists, **more)


def fault_of(made, lists, **more) -> RunFault:
    with pytest.raises(RunFault) as told:
        judge(made, lists, **more)
    return told.value


def test_one_in_twelve_of_the_battery(lists):
    """The whole battery is in test_read_roles_battery.py and in the benchmark."""
    for made in list(battery(KITS, lists, 500, 4))[::12]:
        if made.fault:
            assert fault_of(made, lists).reason == made.fault, made.name
        else:
            verdict = judge(made, lists)
            assert verdict.roles == made.roles, made.name
            assert made.kit in [kit.name for kit in verdict.candidates], made.name


def test_kits_of_one_list_are_both_left_until_the_strand_tells(maker, lists):
    verdict = judge(maker.library(KITS["10x_5p_v2"], "BC", 26, 0.01), lists)
    assert [kit.name for kit in verdict.candidates] == ["10x_3p_v2", "10x_5p_v2"]
    assert verdict.strand == ""
    verdict = judge(maker.library(KITS["10x_5p_v3"], "BC", 28, 0.01), lists)
    assert [kit.name for kit in verdict.candidates] == ["10x_5p_v3"]
    assert verdict.strand == "Reverse"


def test_barcode_that_starts_late_is_found(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    late = np.concatenate([maker.random(3), made.samples[0].codes[:, :28]], axis=1)
    samples = {0: maker.sequenced(late, 0), 1: made.samples[1]}
    verdict = judge(made._replace(samples=samples), lists)
    assert (verdict.roles, verdict.offset) == (("barcode", "cdna"), 3)


def test_barcodes_in_reverse_complement_are_refused(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "BC", 28, 0)
    turned = 3 - made.samples[0].codes[:, 27::-1]
    fault = fault_of(made._replace(samples={0: maker.sequenced(turned, 0), 1: made.samples[1]}), lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert fault.detail.startswith(
        "the barcodes stand in reverse complement, which cannot be counted: read 1 from base"
    )


def test_two_kits_in_one_run_are_refused_and_both_named(maker, lists):
    one, two = (maker.library(KITS[name], "BC", 28, 0.01) for name in ("10x_3p_v2", "10x_3p_v4"))
    mixed = {
        read: one.samples[read]._replace(
            codes=np.concatenate([one.samples[read].codes, two.samples[read].codes]),
            lengths=np.concatenate([one.samples[read].lengths, two.samples[read].lengths]),
        )
        for read in (0, 1)
    }
    fault = fault_of(one._replace(samples=mixed), lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert "737K-august-2016" in fault.detail and "3M-3pgex-may-2023" in fault.detail
    assert "as of 10x Chromium 3′ v2 or 10x Chromium 5′ v1 or v2" in fault.detail
    assert "as of 10x Chromium GEM-X 3′ v4" in fault.detail


def test_run_table_decides_between_two_reads_with_barcodes(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    twice = made._replace(samples={0: made.samples[0], 1: made.samples[0], 2: made.samples[1]}, roles=("",) * 3)
    fault = fault_of(twice, lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert fault.detail.startswith("two readings explain the run: read 1 on 3M-february-2018 (")
    verdict = judge(twice, lists, given_roles=("none", "barcode", "cdna"))
    assert (verdict.roles, verdict.rank) == (("none", "barcode", "cdna"), 1)
    assert verdict.words.startswith(
        "Proved by barcodes, of the read that the run table names (rank 1): read 2 on 3M-february-2018 ("
    )


def test_barcodes_overrule_the_run_table(maker, lists):
    """The records suggest roles by lengths; the barcodes prove them."""
    made = maker.library(KITS["10x_3p_v3"], "CB", 150, 0.01, cdna=90)
    verdict = judge(made, lists, given_roles=("barcode", "cdna"))
    assert (verdict.roles, verdict.rank) == (("cdna", "barcode"), 3)


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        (("barcode", "cdna", "index"), "read_roles names 3 reads, but a spot of the run has 2."),
        (("barcode", "barcode"), "read_roles must name one barcode read and one cdna read."),
    ],
)
def test_unusable_roles_of_the_run_table_are_told(maker, lists, roles, words):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01), lists, given_roles=roles)
    assert (fault.reason, fault.detail) == ("LAYOUT_AMBIGUOUS", words)


def test_a_barcode_in_two_reads_is_found(maker, lists):
    made = maker.library(KITS["indrops_v3"], "CFIB", 38, 0.01, cdna=61)
    verdict = judge(made, lists)
    assert verdict.roles == ("cdna", "barcode", "index", "barcode")
    assert verdict.words.startswith("Proved by barcodes (rank 3): reads 2 and 4 on indrops-v3 (")
    assert judge(made, lists, given_roles=verdict.roles).roles == verdict.roles
    assert judge(made, lists, given_chemistry=KITS["indrops_v3"]).roles == verdict.roles
    fault = fault_of(maker.bulk((61, 8, 8, 30), 0.01), lists, given_chemistry=KITS["indrops_v3"])
    assert (fault.reason, fault.detail) == (
        "LAYOUT_AMBIGUOUS",
        "inDrops v3 (the barcode in two reads) keeps its barcode in two reads, and no two reads have theirs on"
        " indrops-v3.",
    )
    trimmed = fault_of(maker.library(KITS["indrops_v3"], "CFB", 20, 0.01), lists)
    assert trimmed.reason == "BARCODE_TRIMMED"
    assert trimmed.detail.endswith("100% of its reads are shorter than the 14 bases of barcode and UMI.")


def test_barcodes_that_start_late_from_spot_to_spot_are_found(maker, lists):
    made = maker.library(KITS["bd_rhapsody_enhanced"], "BC", 60, 0.01)
    figures = []
    verdict = judge(made, lists, figures=figures)
    assert (verdict.candidates[0].name, verdict.offset, verdict.roles) == (
        "bd_rhapsody_enhanced",
        0,
        ("barcode", "cdna"),
    )
    assert figures[0].share > 0.7


def test_named_kit_without_list_is_placed_by_lengths(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "ICB", 28, 0.01)
    verdict = judge(made, Lists({}, {}), given_chemistry=KITS["10x_3p_v3"])
    assert (verdict.roles, verdict.rank) == (("index", "cdna", "barcode"), 2)
    assert verdict.words == "Told by the read lengths (rank 2)"
    long = maker.library(KITS["10x_3p_v3"], "CB", 150, 0.01, cdna=150)
    fault = fault_of(long, Lists({}, {}), given_chemistry=KITS["10x_3p_v3"])
    assert fault.detail == (
        "neither barcodes nor lengths tell which read is the barcode read of 10x Chromium 3′ v3 or v3.1; name"
        " read_roles in the run table."
    )
    verdict = judge(long, Lists({}, {}), given_chemistry=KITS["10x_3p_v3"], given_roles=("cdna", "barcode"))
    assert (verdict.roles, verdict.rank) == (("cdna", "barcode"), 1)
    assert verdict.words == "Told by the run table (rank 1)"


def test_no_list_at_hand_is_told(maker, lists):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01), Lists({}, {}))
    assert (fault.reason, fault.detail) == (
        "CHEMISTRY_UNKNOWN",
        "no inclusion list is at hand to prove a kit; configure droplets.inclusion_lists, or name the chemistry.",
    )


def test_other_kits_are_refused_by_name(maker, lists):
    fault = fault_of(maker.library(KITS["10x_flex"], "BC", 28, 0.01), lists)
    assert fault.reason == "CHEMISTRY_UNKNOWN"
    assert fault.detail.startswith(
        "libraries of 10x Chromium Flex (fixed RNA) are not counted: they are ligated probes, which are counted against"
    )


def test_feature_barcodes_are_told_by_the_oligo_of_the_bead(lists):
    """Half of the barcodes of each oligo have two bases that no barcode of the other has."""
    packed = lists.packed["3M-february-2018"]
    middle = packed >> np.uint32(14) & 15
    for (first, second), fault in (((0b0010, 0b0100), ""), ((0b1101, 0b1011), "CHEMISTRY_UNKNOWN")):  # AG CA, TC GT
        oligo = packed[(middle == first) | (middle == second)]
        made = Maker(Lists({"3M-february-2018": oligo}, {"3M-february-2018": 16}), 500, 4).library(
            KITS["10x_3p_v3"], "BC", 28, 0.01
        )
        both = packed[np.isin(middle, [0b0010, 0b0100, 0b1101, 0b1011])]
        known = Lists({"3M-february-2018": both}, {"3M-february-2018": 16})
        if not fault:
            assert judge(made, known).candidates[0].name == "10x_3p_v3"
            continue
        told = fault_of(made, known)
        assert told.reason == fault
        assert told.detail.startswith(
            "feature barcodes (antibodies, guides or sample tags) beside 10x Chromium 3′ v3 or v3.1 are not counted: "
        )


def test_one_read_a_spot_has_lost_its_barcode(maker, lists):
    fault = fault_of(maker.bulk((90,), 0.01), lists)
    assert fault.reason == "BARCODE_LOST"


def test_barcode_read_alone_misses_the_cdna(maker, lists):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "IB", 28, 0.01), lists)
    assert (fault.reason, fault.detail) == (
        "READS_MISSING",
        "read 2 holds the barcodes, but there is no read long enough for cDNA.",
    )


def test_two_cdna_reads_are_not_chosen_from(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "CBC", 28, 0.01)
    fault = fault_of(made, lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert "read 2 holds the barcodes, but reads 1 and 3 could each be the cDNA; name read_roles" in fault.detail
    verdict = judge(made, lists, given_roles=("none", "barcode", "cdna"))
    assert (verdict.roles, verdict.rank) == (("none", "barcode", "cdna"), 3)


def test_length_does_not_tell_the_kit(maker, lists):
    """Reads of 26 bases from a kit whose UMI ends at base 28: ten bases of the UMI are enough to count."""
    verdict = judge(maker.library(KITS["10x_3p_v3"], "BC", 26, 0.01), lists)
    assert (verdict.candidates[0].name, verdict.umi_length) == ("10x_3p_v3", 10)
    assert verdict.words.endswith("), UMIs cut to 10 bases")
    verdict = judge(maker.library(KITS["10x_3p_v2"], "BC", 28, 0.01), lists)
    assert (verdict.candidates[0].name, verdict.umi_length) == ("10x_3p_v2", 10)
    assert verdict.words.endswith("%)")


def test_trimmed_barcodes_are_told_with_lengths(maker, lists):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 20, 0.01), lists)
    assert fault.detail == (
        "read 1 holds the barcodes of 10x Chromium 3′ v3 or v3.1, but 100% of its reads are shorter than the 26 bases"
        " of barcode and UMI."
    )
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 14, 0.01), lists)
    assert fault.detail == "read 1 holds barcodes of 3M-february-2018 cut to 14 bases, without UMI."


def test_a_constant_sequence_on_the_list_is_no_evidence(maker, lists):
    """An adapter that happens to be a barcode stands in every read."""
    packed = lists.packed["737K-august-2016"]
    adapter = np.tile(np.array([int(packed[7]) >> shift & 3 for shift in range(30, -2, -2)], dtype=np.uint8), (500, 1))
    reads = np.concatenate([adapter, maker.random(60)], axis=1)
    samples = {0: maker.sequenced(reads, 0), 1: maker.sequenced(maker.cdna(90), 0)}
    made = maker.bulk((90, 90), 0)._replace(samples=samples)
    assert fault_of(made, lists).reason == "CHEMISTRY_UNKNOWN"


def test_two_bases_in_turn_on_the_list_are_no_evidence(maker):
    turns = [sum((place % 2 ^ first) << 2 * place for place in range(16)) for first in (0, 1)]
    packed = np.unique(np.array([*turns, *range(10**9, 10**9 + 500)], dtype=np.uint32))
    known = Lists({"737K-august-2016": packed}, {"737K-august-2016": 16})
    reads = (np.arange(60) + maker.dice.integers(0, 2, 500)[:, None]) % 2
    samples = {0: maker.bulk((90, 60), 0).samples[0], 1: maker.sequenced(reads.astype(np.uint8), 0)}
    assert fault_of(maker.bulk((90, 60), 0)._replace(samples=samples), known).reason == "CHEMISTRY_UNKNOWN"


def test_poly_a_on_the_list_is_no_evidence(maker, lists):
    poly = Lists({"737K-august-2016": np.array([0, 1, 2, 3, 4**16 - 1], dtype=np.uint32)}, {"737K-august-2016": 16})
    tails = np.zeros((500, 60), dtype=np.uint8)
    made = maker.bulk((90, 60), 0)
    samples = {0: made.samples[0], 1: maker.sequenced(tails, 0)}
    assert fault_of(made._replace(samples=samples), poly).reason == "CHEMISTRY_UNKNOWN"


def test_lists_that_share_barcodes_are_told_apart_by_the_others(maker):
    dice = np.random.default_rng(1)
    small = np.unique(dice.integers(0, 4**16, 20_000, dtype=np.uint32))
    large = np.unique(np.concatenate([small, dice.integers(0, 4**16, 60_000, dtype=np.uint32)]))
    both = Lists(
        {"737K-august-2016": small, "3M-february-2018": large}, {"737K-august-2016": 16, "3M-february-2018": 16}
    )
    inside = Maker(both, 500, 9)
    verdict = judge(inside.library(KITS["10x_3p_v2"], "BC", 28, 0.01), both)
    assert verdict.candidates[0].name == "10x_3p_v2"  # every barcode is on the small list: by chance few would be
    verdict = judge(inside.library(KITS["10x_3p_v3"], "BC", 28, 0.01), both)
    assert verdict.candidates[0].name == "10x_3p_v3"


def test_figures_tell_share_and_chance(maker, lists):
    figures = []
    judge(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.0), lists, figures=figures)
    best = figures[0]
    assert (best.read, best.offset, best.reverse, best.names) == (0, 0, False, "3M-february-2018")
    assert best.share > 0.95
    assert best.chance == pytest.approx(lists.packed["3M-february-2018"].size / 4**16)
    tried = {one.names for one in figures if one.read == 0}
    assert {"737K-august-2016", "3M-3pgex-may-2023", "737K-arc-v1"} <= tried


def test_windows_are_the_sequences_at_their_offsets():
    sample = make_sample(["ACGTACGTNN", "TTTTTTTTAC"])
    packed, telling = pack_windows(sample.codes, 0, 4, 7, False)
    expected = [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2], [0, 1, 2, 3]]
    assert packed[0, :5].tolist() == pack_codes(np.array(expected, dtype=np.uint8)).tolist()
    assert telling[0].tolist() == [True, True, True, True, True, False, False]
    assert telling[1].tolist() == [False] * 6 + [True]
    turned, _ = pack_windows(sample.codes, 0, 4, 1, True)
    assert turned[0, 0] == packed[0, 0]  # ACGT is its own reverse complement
    assert turned[1, 0] == 0  # TTTT turned is AAAA


def test_short_lists_and_reads_are_no_trouble(lists):
    empty = make_sample([])
    assert measure_alternatives({0: empty}, [KITS["10x_3p_v3"].place], lists) == []
    short = make_sample(["ACG"] * 10)
    assert measure_alternatives({0: short}, [KITS["10x_3p_v3"].place], lists) == []


# FASTQ ---------------------------------------------------------------------------------------------------------------


def fastq(reads) -> str:
    return "".join(f"@{number}\n{read}\n+\n{'F' * len(read)}\n" for number, read in enumerate(reads))


@pytest.mark.parametrize(
    ("size", "skip", "expected"), [(2, 1, [1, 2]), (9, 0, [0, 1, 2, 3]), (2, 9, [2, 3]), (4, 2, [0, 1, 2, 3])]
)
def test_sample_is_taken_after_the_first_reads_or_at_the_end(tmp_path, size, skip, expected):
    reads = ["ACGT", "CC", "GGGNA", "T" * 150]
    (tmp_path / "a.fastq").write_text(fastq(reads))
    sample = sample_reads(tmp_path / "a.fastq", size, skip)
    assert sample.lengths.tolist() == [len(reads[place]) for place in expected]
    assert (sample.codes == make_sample([reads[place] for place in expected]).codes).all()
    assert copy_sample(tmp_path / "a.fastq", tmp_path / "b.fastq", size, skip) == len(expected)
    assert sample_reads(tmp_path / "b.fastq", 9, 0).lengths.tolist() == sample.lengths.tolist()


def test_last_line_without_end_is_read(tmp_path):
    (tmp_path / "a.fastq").write_text(fastq(["ACGT", "CC"])[:-1])
    assert sample_reads(tmp_path / "a.fastq", 9, 0).lengths.tolist() == [4, 2]


@pytest.mark.parametrize(
    ("text", "words"), [("@1\nAC\n+\n", "cut short"), (">1\nAC\n>2\nAC\n", "not FASTQ with four lines")]
)
def test_what_is_no_fastq_is_told(tmp_path, text, words):
    (tmp_path / "a.fastq").write_text(text)
    with pytest.raises(InputError, match=words):
        sample_reads(tmp_path / "a.fastq", 9, 0)


# The command ---------------------------------------------------------------------------------------------------------


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
    write_runs(folder / "plan.tsv", rows)
    arguments = ["--plan", folder / "plan.tsv", "--unit", "S.homo.X", "--fastq", folder / "fastq"]
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
    return Maker(Lists(packed, lists.lengths), 300, 8)


def test_command_tells_each_run_and_what_was_not_tried(folder, small):
    made = small.library(KITS["10x_3p_v3"], "IBC", 28, 0.01)
    other = small.library(KITS["10x_3p_v3"], "CB", 28, 0.01)  # a sibling of another layout
    told = command(folder, {"SRR1": made, "SRR2": other})
    assert told["library"] == "S.homo.X"
    assert told["inclusion_lists"] == {"3M-february-2018": 9000, "737K-august-2016": 9000}
    assert told["not_tried"]["10x_3p_v4"] == "no inclusion list 3M-3pgex-may-2023"
    assert told["runs"]["SRR1"]["roles"] == "index,barcode,cdna"
    assert told["runs"]["SRR2"]["roles"] == "cdna,barcode"
    assert told["runs"]["SRR1"]["chemistry"] == "10x_3p_v3"
    first = told["runs"]["SRR1"]["figures"][0]
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


def test_junk_at_the_head_of_a_run_is_passed_over(folder, small):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    command(folder, {"SRR1": made})
    for number, length in ((1, 28), (2, 90)):
        path = folder / f"fastq/SRR1_{number}.fastq"
        junk = b"@junk\n%s\n+\n%s\n" % (b"N" * length, b"#" * length)
        path.write_bytes(junk * SKIP + path.read_bytes())
    rows = folder / "plan.tsv"
    arguments = ["--plan", rows, "--unit", "S.homo.X", "--fastq", folder / "fastq", "--chemistries", CHEMISTRIES]
    arguments += ["--inclusion-lists", folder / "lists", "--output", folder / "roles.json", "--sample", 300]
    read_roles.main(list(map(str, arguments)))
    told = json.loads((folder / "roles.json").read_text())["runs"]["SRR1"]
    assert (told["roles"], told["chemistry"]) == ("barcode,cdna", "10x_3p_v3")
    assert told["figures"][0]["share"] > 0.7


def test_two_kits_in_one_library_are_refused_and_both_named(folder, small):
    runs = {
        "SRR1": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01),
        "SRR2": small.library(KITS["10x_3p_v2"], "BC", 26, 0.01),
    }
    told = command(folder, runs)["runs"]
    expected = {
        "reason": "LAYOUT_AMBIGUOUS",
        "detail": "the runs of the library disagree: SRR1 is 10x Chromium 3′ v3 or v3.1, but SRR2 is 10x Chromium 3′"
        " v2 or 10x Chromium 5′ v1 or v2.",
    }
    assert told["SRR1"]["fault"] == told["SRR2"]["fault"] == expected


def test_failed_runs_are_passed_over_and_faults_told_by_run(folder, small):
    runs = {"SRR1": small.bulk((90, 90), 0.01), "SRR2": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)}
    failed = RunStatus("SRR3", "failed", "DOWNLOAD_FAILED", "gone")
    told = command(folder, runs, [RunStatus("SRR1"), RunStatus("SRR2"), failed])["runs"]
    assert set(told) == {"SRR1", "SRR2"}
    assert told["SRR1"]["fault"]["reason"] == "CHEMISTRY_UNKNOWN"
    assert told["SRR1"]["fault"]["detail"].startswith(
        "no read has its barcodes on an inclusion list at hand (3M-february"
    )
    assert "fault" not in told["SRR2"]


def test_unequal_files_and_missing_reads_are_told(folder, small):
    made = small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    shorter = made.samples[1]._replace(codes=made.samples[1].codes[:-1], lengths=made.samples[1].lengths[:-1])
    runs = {"SRR1": made._replace(samples={0: made.samples[0], 1: shorter}), "SRR2": made._replace(samples={})}
    told = command(folder, runs)["runs"]
    assert told["SRR1"]["fault"]["reason"] == "READS_MISSING"
    assert told["SRR1"]["fault"]["detail"].endswith("the same number of reads: SRR1_1.fastq 300, SRR1_2.fastq 299.")
    assert told["SRR2"]["fault"]["detail"] == "there is no FASTQ file of the run."


def test_unknown_chemistry_names_the_nearest(folder, small):
    with pytest.raises(InputError, match=r"'10x_3p_v33' is not a chemistry .*; did you mean '10x_3p_v3'\?"):
        command(folder, {"SRR1": small.library(KITS["10x_3p_v3"], "BC", 28, 0.01)}, chemistry="10x_3p_v33")
