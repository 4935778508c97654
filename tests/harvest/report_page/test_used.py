"""What was used is shown as tables: whatever is in provenance.json, in words."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.harvest.report_page.used import read_methods, read_provenance


def sections(folder, facts):
    (folder / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    return [tuple(section) for section in read_provenance(folder)]


def test_maps_lists_and_files_of_a_reference_are_tables(tmp_path):
    facts = {
        "format": 1,
        "settings": {"plates.mode": "union", "plates.keep_bam": False},
        "references": [
            {
                "name": "hg38",
                "release": {"provider": "GENCODE", "words": "GENCODE 32"},
                "sources": [{"role": "fasta", "sha256": "ab" * 32}, {"role": "gtf", "sha256": "cd" * 32}],
                "genes": 3,
            }
        ],
        "tools": [{"program": "STAR", "version": "2.7.10b", "series": ["GSE1", "GSE2"]}],
        "asked_for": ["GSE1", "GSE2"],
        "options": [],
        "run_table": None,
        "new_part": {"a": {"b": 1.5}},
    }
    assert sections(tmp_path, facts) == [
        ("Programs", ["program", "version", "series"], [["STAR", "2.7.10b", "GSE1, GSE2"]], ""),
        ("References", ["name", "release", "genes"], [["hg38", "GENCODE 32", "3"]], ""),
        (
            "References: sources",
            ["name", "role", "~sha256"],
            [["hg38", "fasta", "ab" * 32], ["hg38", "gtf", "cd" * 32]],
            "",
        ),
        ("Asked for", ["what", "value"], [["Asked for", "GSE1, GSE2"]], ""),
        (
            "All settings that decide what is in the results",
            ["what", "value"],
            [["plates.mode", "union"], ["plates.keep_bam", "false"]],
            "",
        ),
        ("new part", ["what", "value"], [["a", "b: 1.5"]], ""),
    ]


def test_a_very_long_list_is_cut_with_a_note(tmp_path):
    ((_, _, rows, note),) = sections(tmp_path, {"settings": {str(number): number for number in range(900)}})
    assert (len(rows), note) == (400, "The first 400 of 900; all are in provenance.json.")


def test_what_is_nested_too_deeply_is_an_error(tmp_path):
    (tmp_path / "provenance.json").write_text('{"a": ' + "[" * 900 + "1" + "]" * 900 + "}", encoding="utf-8")
    with pytest.raises(InputError, match=r"provenance\.json: is (nested too deeply|no JSON)"):
        read_provenance(tmp_path)


def test_without_files_there_is_nothing(tmp_path):
    assert read_provenance(tmp_path) == []
    assert read_methods(tmp_path) == ""
    assert sections(tmp_path, {}) == []
