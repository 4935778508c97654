"""What the documentation names and shows exists: files, anchors, commands with their options, keys, examples."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from scripts.__main__ import COMMANDS, main
from scripts.plan.choices import own_metadata
from scripts.plan.configuration import check_configuration, with_types
from scripts.plan.decisions.analysis import Analysis

HOME = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "config/*.md", "scripts/**/*.md", "benchmarks/*.md")
    for path in HOME.glob(pattern)
    if path.name != "CHANGELOG.md"  # names what is gone, too
)
SCHEMA, REFERENCES, KITS = (
    yaml.safe_load((HOME / "config" / name).read_text(encoding="utf-8"))
    for name in ("config.schema.yaml", "references.yaml", "chemistries.yaml")
)
RULES = {
    rule
    for path in (HOME / "Snakefile", *(HOME / "rules").glob("*.smk"))
    for rule in re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """Return language and text of each fenced block of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> list[str]:
    """Return what a page shows as code: the lines of its blocks for a shell, and its words between backticks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for language, text in blocks_of(page) if language == "bash" for line in text.splitlines()]
    return [*lines, *re.findall(r"`([^`]+)`", prose)]


def commands_of(page: Path, program: str) -> Iterator[list[str]]:
    """Yield the words behind a program, of each call of it that a page shows."""
    for code in code_of(page):
        for call in re.split(rf"(?<![\w./-]){program} ", code)[1:]:
            ended = re.split(r"\s(?:#|&&|\|\|?|>)\s|;|\)$", call)[0]
            yield shlex.split(ended)


def anchors_of(page: Path) -> list[str]:
    """Return the anchors of a page's headings, as GitHub names them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@every_page
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w/.{])((?:scripts|rules|tests|envs|profiles|docs|benchmarks)/[\w./-]+\.\w+)", text)
    assert [path for path in paths if not (HOME / path).exists()] == []
    modules = re.findall(r"python -m ((?:scripts|tests|benchmarks)\.[a-z_.]*[a-z])(?![\w.])", text)
    assert [name for name in modules if not (HOME / f"{name.replace('.', '/')}.py").exists()] == []
    assert set(re.findall(r"python -m scripts ([a-z]\w*)", text)) <= set(COMMANDS)
    targets = re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {words[0] for words in commands_of(page, "make")} <= set(targets)


def test_the_architecture_names_every_command():
    text = (HOME / "docs/architecture.md").read_text(encoding="utf-8")
    table = text[text.index("\n| stage | makes") : text.index("\n\nBelow the stages")]
    assert set(re.findall(r"`([a-z]\w*)`", table)) == set(COMMANDS)


@every_page
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```$|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


class Parsed(BaseException):
    """The arguments of a command were accepted."""


@every_page
def test_commands_take_the_options_that_a_page_shows(page, monkeypatch, capsys):
    parse = argparse.ArgumentParser.parse_args

    def parse_alone(self, *arguments):
        parse(self, *arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_alone)
    for words in commands_of(page, "python -m scripts"):
        if words[1:] in ([], ["--help"]) or "|" in words[1]:
            continue
        with pytest.raises(Parsed):
            main(words)


@every_page
def test_snakemake_takes_the_targets_and_values_that_a_page_shows(page):
    for words in commands_of(page, "snakemake"):
        targets = [word for word, before in zip(words, ["", *words], strict=False) if not before.startswith("--")]
        assert {word for word in targets if re.fullmatch("[a-z_]+", word)} <= RULES, words
        for option in [word for word in words if word.startswith("--workflow-profile")]:
            assert (HOME / words[words.index(option) + 1]).is_dir()
        given = dict(re.fullmatch(r"(\w+)=(.*)", word).groups() for word in words if re.match(r"\w+=", word))
        given.pop("ledger", None)  # a part, of --batch
        assert shape_faults({key: yaml.safe_load(value) for key, value in given.items()}) == [], words


def shape_faults(values: dict[str, Any]) -> list[str]:
    """Return what is wrong with a part of a configuration, in which … stands for what is left out."""
    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(with_types(without_dots(values), SCHEMA))
    return [error.message for error in errors if error.validator != "required"]


def without_dots(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_dots(part) for key, part in value.items() if "…" not in (key, part)}
    return [without_dots(part) for part in value if part != "…"] if isinstance(value, list) else value


@every_page
def test_keys_that_a_page_names_are_known(page):
    parts = {key: facts["properties"] for key, facts in SCHEMA["properties"].items() if "properties" in facts}
    for code in code_of(page):
        if (key := code.partition(": ")[0]) in SCHEMA["properties"] and key != code:
            assert shape_faults(yaml.safe_load(code)) == [], code
        if (named := re.fullmatch(r"(\w+)\.([a-z_]+)", code)) and named[1] in parts and named[2] not in ("smk", "py"):
            assert named[2] in parts[named[1]], code


def checked(text: str) -> dict[str, Any]:
    """Return the checked configuration of a block, in the current folder, where the files that it names are made."""
    values = {"series": ["GSE1"], **yaml.safe_load(text)}
    for path in paths_in(values):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return check_configuration(values, SCHEMA, references=REFERENCES, chemistries=KITS)


def paths_in(value: Any) -> Iterator[Path]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from paths_in(part)
    elif isinstance(value, str) and re.fullmatch(r"[\w./-]+\.(?:gz|fa|gtf|tsv|txt|csv)", value):
        yield Path(value)


@every_page
def test_configurations_and_run_tables_that_a_page_shows_are_read(page, tmp_path, monkeypatch):
    """A run table is planned with the configuration above it, as `snakemake -n` plans it; its files hold one read.

    Where a page shows none above it, that is the shortest one.
    """
    monkeypatch.chdir(tmp_path)
    config = checked("{run_table: runs.tsv, assay: plate, species: {mus: {tax_id: 10090, reference: mm10}}}")
    for number, (language, text) in enumerate(blocks_of(page)):
        (folder := tmp_path / str(number)).mkdir()
        monkeypatch.chdir(folder)
        if language == "yaml" and text.startswith("# profiles/"):
            profile = (HOME / text.splitlines()[0][2:]).read_text(encoding="utf-8")
            assert [key for key in yaml.safe_load(text) if f"\n{key}:" not in profile.replace("\n# ", "\n")] == []
        elif language == "yaml" and text.startswith("# partitions"):
            partitions = pytest.importorskip("snakemake_executor_plugin_slurm.partitions")
            Path("partitions.yaml").write_text(text)
            assert len(partitions.read_partition_file(Path("partitions.yaml"))) == 2
        elif language == "yaml":
            config = checked(text) if "run_table" in text else config
            checked(text)
        elif language == "tsv":
            header, *rows = (line.split("\t") for line in text.splitlines())
            for path in (path for row in rows for path in row[header.index("source")][5:].split(";")):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_text("@read\nACGT\n+\nFFFF\n")
            Path(config["run_table"]).write_text(text)
            units = Analysis(config, KITS, dict).units_of_run_table()
            assert sum(unit.runs for unit in units.values()) == len(rows)
            assert {unit.species for unit in units.values()} == set(config["species"])
            assert len(own_metadata(config["run_table"]).of_run) == len(rows)
