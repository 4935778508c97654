"""Which read is the barcode, which kit it is: judged from reads of every kit, and never guessed."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inputs.droplet_reads import Maker, battery, make_lists
from scripts.core.errors import RunFault
from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.fastq_sample import make_sample
from scripts.droplets.roles.barcode_search import PackedLists, join_samples, measure_alternatives
from scripts.droplets.roles.role_evidence import judge_run

CHEMISTRIES = Path(__file__).parents[3] / "config/chemistries.yaml"

KITS, KNOWN = read_chemistries(CHEMISTRIES)


@pytest.fixture(scope="module")
def lists() -> PackedLists:
    return make_lists(KNOWN, [name for name, one in KNOWN.items() if one.length], 0.02, 1)


@pytest.fixture(scope="module")
def maker(lists) -> Maker:
    return Maker(lists, 500, 3)


def judge(made, lists, **more):
    return judge_run(made.samples, len(made.roles) or len(made.samples), list(KITS.values()), lists, **more)


def fault_of(made, lists, **more) -> RunFault:
    with pytest.raises(RunFault) as raised:
        judge(made, lists, **more)
    return raised.value


@pytest.mark.tools
def test_one_in_twelve_of_the_battery(lists):
    """The whole battery is in test_role_evidence_battery.py and in the benchmark."""
    for made in list(battery(KITS, lists, 500, 4))[::12]:
        if made.fault:
            assert fault_of(made, lists).reason == made.fault, made.name
        else:
            verdict = judge(made, lists)
            assert verdict.roles == made.roles, made.name
            assert made.kit in [kit.name for kit in verdict.candidates], made.name


def test_kits_of_one_list_are_both_left_until_the_strand_decides(maker, lists):
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
        "Proved by barcodes, of the read that the run table names: read 2 on 3M-february-2018 ("
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
def test_unusable_roles_of_the_run_table_are_refused(maker, lists, roles, words):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01), lists, given_roles=roles)
    assert (fault.reason, fault.detail) == ("LAYOUT_AMBIGUOUS", words)


def test_a_barcode_in_two_reads_is_found(maker, lists):
    made = maker.library(KITS["indrops_v3"], "CFIB", 38, 0.01, cdna=61)
    verdict = judge(made, lists)
    assert verdict.roles == ("cdna", "barcode", "index", "barcode")
    assert verdict.words.startswith("Proved by barcodes: reads 2 and 4 on indrops-v3 (")
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
    verdict = judge(made, PackedLists({}, {}), given_chemistry=KITS["10x_3p_v3"])
    assert (verdict.roles, verdict.rank) == (("index", "cdna", "barcode"), 2)
    assert verdict.words == "Chosen by the read lengths"
    long = maker.library(KITS["10x_3p_v3"], "CB", 150, 0.01, cdna=150)
    fault = fault_of(long, PackedLists({}, {}), given_chemistry=KITS["10x_3p_v3"])
    assert fault.detail == (
        "neither barcodes nor lengths tell which read is the barcode read of 10x Chromium 3′ v3 or v3.1; name"
        " read_roles in the run table."
    )
    verdict = judge(long, PackedLists({}, {}), given_chemistry=KITS["10x_3p_v3"], given_roles=("cdna", "barcode"))
    assert (verdict.roles, verdict.rank) == (("cdna", "barcode"), 1)
    assert verdict.words == "Chosen by the run table"


def test_named_kit_whose_barcodes_are_of_another_is_refused_and_both_named(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    fault = fault_of(made, lists, given_chemistry=KITS["drop_seq"])
    assert fault.reason == "CHEMISTRY_UNKNOWN"
    assert re.fullmatch(
        r"Drop-seq \(no inclusion list\) is named, but read 1 on 3M-february-2018 \(8\d\.\d% of spots, chance .*%\), as"
        r" of 10x Chromium 3′ v3 or v3\.1; name that kit, or none\.",
        fault.detail,
    )
    assert judge(made, lists, given_chemistry=KITS["10x_3p_v3"]).doubt == ""


def test_what_speaks_against_a_named_kit_is_said(maker, lists):
    only = PackedLists({"737K-august-2016": lists.packed["737K-august-2016"]}, lists.lengths)
    bulk = maker.bulk((28, 90), 0.01)
    verdict = judge(bulk, only, given_chemistry=KITS["10x_3p_v2"], given_roles=("barcode", "cdna"))
    assert re.fullmatch(
        r"Chosen by the run table; only \d\.\d% of the barcodes of read 1 are on 737K-august-2016; the"
        r" barcode reads have 28 bases, barcode and UMI of 10x Chromium 3′ v2 26",
        verdict.words,
    )
    long = maker.library(KITS["10x_3p_v2"], "BC", 28, 0.01)
    assert judge(long, lists, given_chemistry=KITS["10x_5p_v2"]).words.endswith(
        "; the barcode reads have 28 bases, barcode and UMI of 10x Chromium 5′ v1 or v2 26"
    )
    assert judge(long, lists).doubt == ""


def test_missing_inclusion_lists_are_reported(maker, lists):
    fault = fault_of(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01), PackedLists({}, {}))
    assert (fault.reason, fault.detail) == (
        "CHEMISTRY_UNKNOWN",
        "no inclusion list that could prove a kit is configured; set droplets.inclusion_lists, or name the chemistry.",
    )


def test_other_kits_are_refused_by_name(maker, lists):
    fault = fault_of(maker.library(KITS["10x_flex"], "BC", 28, 0.01), lists)
    assert fault.reason == "CHEMISTRY_UNKNOWN"
    assert fault.detail.startswith(
        "libraries of 10x Chromium Flex (fixed RNA) are not counted: they are ligated probes, which are counted against"
    )


def test_feature_barcodes_are_known_by_the_oligo_of_the_bead(lists):
    """Half of the barcodes of each oligo have two bases that no barcode of the other has."""
    packed = lists.packed["3M-february-2018"]
    middle = packed >> np.uint32(14) & 15
    for (first, second), fault in (((0b0010, 0b0100), ""), ((0b1101, 0b1011), "CHEMISTRY_UNKNOWN")):  # AG CA, TC GT
        oligo = packed[(middle == first) | (middle == second)]
        made = Maker(PackedLists({"3M-february-2018": oligo}, {"3M-february-2018": 16}), 500, 4).library(
            KITS["10x_3p_v3"], "BC", 28, 0.01
        )
        both = packed[np.isin(middle, [0b0010, 0b0100, 0b1101, 0b1011])]
        known = PackedLists({"3M-february-2018": both}, {"3M-february-2018": 16})
        if not fault:
            assert judge(made, known).candidates[0].name == "10x_3p_v3"
            continue
        found = fault_of(made, known)
        assert found.reason == fault
        assert found.detail.startswith(
            "feature barcodes (antibodies, guides or sample tags) beside 10x Chromium 3′ v3 or v3.1 are not counted: "
        )


def test_one_read_a_spot_has_lost_its_barcode(maker, lists):
    fault = fault_of(maker.bulk((90,), 0.01), lists)
    assert fault.reason == "BARCODE_LOST"


def test_one_read_that_holds_barcodes_has_not_lost_them(maker, lists):
    made = maker.library(KITS["10x_3p_v3"], "BC", 28, 0.01)
    barcodes, cdna = made.samples[0], made.samples[1]
    joined = join_samples(barcodes, cdna, 28)
    fault = fault_of(made._replace(samples={0: joined}), lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert fault.detail.startswith(
        "the only read of a spot, of 118 bases, holds its barcode (read 1 on 3M-february-2018"
    )
    fault = fault_of(made._replace(samples={0: barcodes}), lists)
    assert (fault.reason, fault.detail[:54]) == (
        "READS_MISSING",
        "a spot has one read only, which holds its barcode (rea",
    )
    fault = fault_of(maker.bulk((202,), 0.01), lists)
    assert fault.reason == "LAYOUT_AMBIGUOUS"
    assert "of 202 bases, more than the cDNA has" in fault.detail
    fault = fault_of(maker.bulk((28,), 0.01), lists)
    assert fault.reason == "READS_MISSING"
    assert "of 28 bases as barcode and UMI have" in fault.detail


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


def test_length_does_not_prove_the_kit(maker, lists):
    """Reads of 26 bases from a kit whose UMI ends at base 28: ten bases of the UMI are enough to count."""
    verdict = judge(maker.library(KITS["10x_3p_v3"], "BC", 26, 0.01), lists)
    assert (verdict.candidates[0].name, verdict.umi_length) == ("10x_3p_v3", 10)
    assert verdict.words.endswith("), UMIs cut to 10 bases")
    verdict = judge(maker.library(KITS["10x_3p_v2"], "BC", 28, 0.01), lists)
    assert (verdict.candidates[0].name, verdict.umi_length) == ("10x_3p_v2", 10)
    assert verdict.words.endswith("%)")


def test_trimmed_barcodes_are_reported_with_lengths(maker, lists):
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


def test_a_library_of_one_cell_is_reported_as_that_and_counted_under_its_name(maker, lists):
    """All reads have one barcode, and it is on the list: that is no share of 0.0 %."""
    packed = lists.packed["3M-february-2018"]
    barcode = np.tile(np.array([int(packed[7]) >> shift & 3 for shift in range(30, -2, -2)], dtype=np.uint8), (500, 1))
    reads = np.concatenate([barcode, maker.random(12)], axis=1)
    samples = {0: maker.sequenced(reads, 0), 1: maker.sequenced(maker.cdna(90), 0)}
    made = maker.bulk((90, 90), 0)._replace(samples=samples)
    fault = fault_of(made, lists)
    assert fault.reason == "CHEMISTRY_UNKNOWN"
    assert fault.detail == (
        "100.0% of the spots have the same barcode, or one of two, of 3M-february-2018 in read 1; so few prove no kit."
        " If it is right, name the chemistry in the run table."
    )
    verdict = judge(made, lists, given_chemistry=KITS["10x_3p_v3"])
    assert (verdict.roles, verdict.candidates[0].name) == (("barcode", "cdna"), "10x_3p_v3")
    assert verdict.words == (
        "Chosen by the read lengths; 100.0% of the barcodes of read 1 are on 3M-february-2018, most of them"
        " the same barcode or one of two"
    )


def test_two_alternating_bases_on_the_list_are_no_evidence(maker):
    alternating = [sum((base % 2 ^ first) << 2 * base for base in range(16)) for first in (0, 1)]
    packed = np.unique(np.array([*alternating, *range(10**9, 10**9 + 500)], dtype=np.uint32))
    known = PackedLists({"737K-august-2016": packed}, {"737K-august-2016": 16})
    reads = (np.arange(60) + maker.dice.integers(0, 2, 500)[:, None]) % 2
    samples = {0: maker.bulk((90, 60), 0).samples[0], 1: maker.sequenced(reads.astype(np.uint8), 0)}
    assert fault_of(maker.bulk((90, 60), 0)._replace(samples=samples), known).reason == "CHEMISTRY_UNKNOWN"


def test_poly_a_on_the_list_is_no_evidence(maker, lists):
    poly = PackedLists(
        {"737K-august-2016": np.array([0, 1, 2, 3, 4**16 - 1], dtype=np.uint32)}, {"737K-august-2016": 16}
    )
    tails = np.zeros((500, 60), dtype=np.uint8)
    made = maker.bulk((90, 60), 0)
    samples = {0: made.samples[0], 1: maker.sequenced(tails, 0)}
    assert fault_of(made._replace(samples=samples), poly).reason == "CHEMISTRY_UNKNOWN"


def test_lists_that_share_barcodes_differ_by_the_others(maker):
    dice = np.random.default_rng(1)
    small = np.unique(dice.integers(0, 4**16, 20_000, dtype=np.uint32))
    large = np.unique(np.concatenate([small, dice.integers(0, 4**16, 60_000, dtype=np.uint32)]))
    both = PackedLists(
        {"737K-august-2016": small, "3M-february-2018": large}, {"737K-august-2016": 16, "3M-february-2018": 16}
    )
    inside = Maker(both, 500, 9)
    verdict = judge(inside.library(KITS["10x_3p_v2"], "BC", 28, 0.01), both)
    assert verdict.candidates[0].name == "10x_3p_v2"  # every barcode is on the small list: by chance few would be
    verdict = judge(inside.library(KITS["10x_3p_v3"], "BC", 28, 0.01), both)
    assert verdict.candidates[0].name == "10x_3p_v3"


def test_figures_are_share_and_chance(maker, lists):
    figures = []
    judge(maker.library(KITS["10x_3p_v3"], "BC", 28, 0.0), lists, figures=figures)
    best = figures[0]
    assert (best.read, best.offset, best.reverse, best.names) == (0, 0, False, "3M-february-2018")
    assert best.share > 0.95
    assert best.chance == pytest.approx(lists.packed["3M-february-2018"].size / 4**16)
    tried = {one.names for one in figures if one.read == 0}
    assert {"737K-august-2016", "3M-3pgex-may-2023", "737K-arc-v1"} <= tried


def test_short_lists_and_reads_are_no_trouble(lists):
    empty = make_sample([])
    assert measure_alternatives({0: empty}, [KITS["10x_3p_v3"].layout], lists) == []
    short = make_sample(["ACG"] * 10)
    assert measure_alternatives({0: short}, [KITS["10x_3p_v3"].layout], lists) == []
