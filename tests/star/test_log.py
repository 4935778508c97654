"""STAR's Log.final.out is read as it is, whatever the version."""

import itertools
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.star.log import CLOCK_FIELDS, format_log, merge_fields, read_star_log, sum_logs

NEW = """\
                                 Started job on |\tJun 02 01:50:44
                             Started mapping on |\tJun 02 02:02:16
                                    Finished on |\tJun 02 02:14:42
       Mapping speed, Million of reads per hour |\t6.53

                          Number of input reads |\t1000
                                    UNIQUE READS:
                   Uniquely mapped reads number |\t200
                        Uniquely mapped reads % |\t20.00%
                      Mismatch rate per base, % |\t-nan%
                                  UNMAPPED READS:
            Number of reads unmapped: too short |\t790
                 % of reads unmapped: too short |\t79.00%
                     % of reads unmapped: other |\t0.01%
                                  CHIMERIC READS:
                            % of chimeric reads |\t0.00%
"""
OLD = ["Number of input reads", "UNIQUE READS:", "UNMAPPED READS:", "% of reads unmapped: too short"]

LOG = {
    "Started job on": "Nov 21 05:08:15",
    "Number of input reads": "100",
    "Average input read length": "150",
    "UNIQUE READS:": "",
    "Uniquely mapped reads number": "60",
    "Uniquely mapped reads %": "60.00%",
    "Average mapped length": "148.00",
    "Mismatch rate per base, %": "0.30%",
    "Number of reads mapped to multiple loci": "10",
    "% of reads mapped to multiple loci": "10.00%",
    "Number of reads mapped to too many loci": "5",
    "Number of reads unmapped: too short": "25",
    "% of reads unmapped: other": "0.00%",
}
OTHER = LOG | {
    "Number of input reads": "50",
    "Average input read length": "75",
    "Uniquely mapped reads number": "20",
    "Average mapped length": "74.00",
    "Mismatch rate per base, %": "0.60%",
}
EMPTY = {name: "-nan%" if name.startswith("Mismatch") else "0" for name in LOG}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_values_and_names_are_trimmed_and_in_order(tmp_path):
    log = read_star_log(write(tmp_path / "Log.final.out", NEW))
    assert list(log)[:4] == list(CLOCK_FIELDS)
    assert list(log.items())[4:] == [
        ("Number of input reads", "1000"),
        ("UNIQUE READS:", ""),
        ("Uniquely mapped reads number", "200"),
        ("Uniquely mapped reads %", "20.00%"),
        ("Mismatch rate per base, %", "-nan%"),
        ("UNMAPPED READS:", ""),
        ("Number of reads unmapped: too short", "790"),
        ("% of reads unmapped: too short", "79.00%"),
        ("% of reads unmapped: other", "0.01%"),
        ("CHIMERIC READS:", ""),
        ("% of chimeric reads", "0.00%"),
    ]


def test_line_ends_and_comments_do_not_matter(tmp_path):
    plain = read_star_log(write(tmp_path / "plain", NEW))
    (tmp_path / "crlf").write_bytes(NEW.replace("\n", "\r\n").encode())
    assert read_star_log(tmp_path / "crlf") == plain
    assert read_star_log(write(tmp_path / "short", NEW.rstrip("\n"))) == plain
    remarks = NEW + "\nComments:\n  **Unique reads**\nUniquely mapped reads %: should not be below 80%.\n"
    assert read_star_log(write(tmp_path / "remarks", remarks)) == plain


def test_what_is_no_log(tmp_path):
    with pytest.raises(InputError, match=r"not a Log\.final.out of STAR; it has no line 'Number of input reads'"):
        read_star_log(write(tmp_path / "empty", ""))
    with pytest.raises(
        InputError, match=r"short: cut short; it ends with 'UNMAPPED READS:' and has no line '% of reads"
    ):
        read_star_log(write(tmp_path / "short", NEW[: NEW.index("Number of reads unmapped")]))
    with pytest.raises(InputError, match=r"line 17: the field 'Started job on' is duplicated; two logs in one file"):
        read_star_log(write(tmp_path / "twice", NEW + NEW))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Number of input reads", "9" * 5000),
        ("Number of input reads", "-1"),
        ("Uniquely mapped reads number", "٣"),
        ("Uniquely mapped reads %", "20;00%"),
        ("Mismatch rate per base, %", "x"),
        ("Started job on", "x" * 101),
    ],
)
def test_values_that_star_does_not_write(tmp_path: Path, name: str, value: str) -> None:
    lines = [f"{name} |\t{value}" if line.split("|")[0].strip() == name else line for line in NEW.splitlines()]
    path = tmp_path / "Log.final.out"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        InputError, match=rf"Log.final.out, line \d+: {name}: .* is not what STAR writes there"
    ) as error:
        read_star_log(path)
    assert len(str(error.value)) < 300


def test_fields_of_versions_are_merged_in_the_order_of_star():
    new = ["a", "U", "b", "c", "d"]
    logs = [new, ["a", "U", "d"], ["a", "x", "U", "c"], []]
    for order in itertools.permutations(logs):
        assert merge_fields(order) == ["a", "x", "U", "b", "c", "d"]
    assert merge_fields([]) == []
    assert merge_fields([OLD]) == OLD


def test_the_longest_log_decides_what_short_ones_leave_open():
    longest = ["z", "a", "b", "c"]
    for order in itertools.permutations([longest, ["a", "b"], ["a", "c"]]):
        assert merge_fields(order) == longest


def test_a_log_of_two_calls() -> None:
    summed = sum_logs([LOG, OTHER])
    assert list(summed) == list(LOG)
    assert summed["Number of input reads"] == "150"
    assert summed["Average input read length"] == "125"
    assert summed["Uniquely mapped reads number"] == "80"
    assert summed["Uniquely mapped reads %"] == "53.33%"
    assert summed["Average mapped length"] == "129.50"
    assert summed["Mismatch rate per base, %"] == "0.34%"  # of 60 x 148 and 20 x 74 bases
    assert summed["% of reads mapped to multiple loci"] == "13.33%"
    assert summed["UNIQUE READS:"] == ""


def test_an_empty_call_changes_no_mean(tmp_path: Path) -> None:
    summed = sum_logs([LOG, EMPTY])
    assert summed == LOG
    (tmp_path / "Log.final.out").write_text(format_log(summed))
    assert read_star_log(tmp_path / "Log.final.out") == LOG


def test_means_are_weighted_by_what_they_describe() -> None:
    """A call without any deletion has no length of one: 0.00 says that there is none."""
    pairs = LOG | {"Deletion rate per base": "0.00%", "Deletion average length": "0.00"}
    pairs |= {"Insertion rate per base": "0.02%", "Insertion average length": "1.00"}
    others = OTHER | {"Deletion rate per base": "0.05%", "Deletion average length": "3.00"}
    others |= {"Insertion rate per base": "0.04%", "Insertion average length": "4.00"}
    for logs in ([pairs, others], [others, pairs]):
        summed = sum_logs(logs)
        assert summed["Deletion average length"] == "3.00"
        assert summed["Deletion rate per base"] == "0.01%"  # 0.74 of 10,360 bases
        assert summed["Insertion average length"] == "1.75"  # 1.776 of 1 and 0.592 of 4 bases
    rounded = pairs | {"Deletion average length": "1.00"}  # some deletions, at a rate below 0.005 %
    assert summed["Deletion average length"] == "3.00"
    assert sum_logs([rounded, rounded])["Deletion average length"] == "1.00"


def test_a_field_that_one_version_lacks_is_no_zero() -> None:
    old = {name: value for name, value in LOG.items() if name != "Number of reads unmapped: too short"}
    new = LOG | {"% of reads unmapped: too short": "25.00%", "Number of chimeric reads": "1"}
    summed = sum_logs([old | {"% of reads unmapped: too short": "10.00%"}, new])
    assert "Number of reads unmapped: too short" not in summed
    assert "Number of chimeric reads" not in summed
    assert summed["% of reads unmapped: too short"] == "17.50%"
