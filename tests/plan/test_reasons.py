"""The table of reason codes: each is documented, and each that the code gives is in it."""

import re
from pathlib import Path

from scripts.core.yaml_text import load_yaml
from scripts.plan.reasons import REASONS, worth_retry

HOME = Path(__file__).parents[2]
GIVEN = re.compile(r'(?:RunFault\(\s*|reason=|reason\s*=\s*|reason, detail = )"([A-Z][A-Z_]+)"')


def test_every_reason_has_a_stage_a_meaning_and_a_remedy():
    for code, reason in REASONS.items():
        assert reason.stage and reason.meaning and reason.remedy.endswith("."), code
        assert reason.retry == ("--config retry=" in reason.remedy), code


def test_a_new_try_is_advised_only_where_it_can_help():
    for code in ["EMPTY_READS", "CHEMISTRY_UNKNOWN", "LAYOUT_AMBIGUOUS", "QUALITY_LITE", "BARCODE_TRIMMED"]:
        assert worth_retry([code]) == [], code
    assert worth_retry(["READS_MISSING", "OF_AN_OLDER_VERSION", "DISK_LIMIT", "LOW_MAPPING", "READS_MISSING"]) == [
        "DISK_LIMIT",
        "READS_MISSING",
    ]


def test_a_bound_is_a_key_of_the_configuration_and_no_reason_for_another_try():
    sections = load_yaml((HOME / "config/config.schema.yaml").read_text(encoding="utf-8"))["properties"]
    bounds = {code: reason.bound for code, reason in REASONS.items() if reason.bound}
    assert {"LOW_MAPPING", "LOW_VALID_BARCODES", "LOW_GENE_SHARE", "ENRICHED_LIBRARY", "LOW_COMPLEXITY"} == {*bounds}
    for code, bound in bounds.items():
        section, _, key = bound.partition(".")
        assert key in sections[section]["properties"]
        assert key in REASONS[code].remedy
        assert worth_retry([code]) == []


def test_every_reason_that_is_given_is_in_the_table():
    given = {
        code
        for path in (HOME / "scripts").rglob("*.py")
        for code in GIVEN.findall(path.read_text(encoding="utf-8"))
        if "atlas" not in path.parts  # cells without a row have reasons of their own
    }
    assert {"READS_MISSING", "LOW_GENE_SHARE", "OTHER_SPECIES", "LEFT_OUT_BY_USER"} <= given
    assert given <= REASONS.keys()
