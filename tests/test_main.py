"""The command line: every command by stage, each with a line."""

import argparse
import contextlib
import re
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS, STAGES, main
from scripts.core.errors import InputError
from scripts.core.version import VERSION

HOME = Path(__file__).parents[1]
FOR_PEOPLE = {
    "release",
    "check",
    "sheet",
    "plan",
    "verify",
    "atlas_locate",
    "atlas_search",
}  # commands that no rule calls


def test_commands_are_listed_by_stage(capsys):
    main([])
    printed = capsys.readouterr().out
    assert re.findall(r"^(\w+):$", printed, re.MULTILINE) == list(STAGES)
    assert re.findall(r"^  (\w+) +\S", printed, re.MULTILINE) == list(COMMANDS)


def test_every_rule_runs_the_command_of_its_name():
    called = {}
    for path in (HOME / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        for rule, body in re.findall(r"^(?:rule|checkpoint) (\w+):\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL):
            (called[rule],) = re.findall(r"python -m scripts (\w+)", body)
    assert called == {rule: rule for rule in called}
    assert called.keys() | FOR_PEOPLE == COMMANDS.keys()


def test_version_is_printed(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"sra2matrix {VERSION}\n"


def test_a_misspelt_command_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"'donload' is not a command; did you mean 'download'\?"):
        main(["donload"])
    with pytest.raises(InputError, match=r"'bake' is not a command\. 'python -m scripts' lists the commands\."):
        main(["bake"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described_with_its_default(command, monkeypatch, capsys):
    class Parsed(Exception):
        pass

    def give_back(parser, *arguments):
        raise Parsed(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", give_back)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", give_back)
    with pytest.raises(Parsed) as seen:
        main([command])
    parsers = [seen.value.args[0]]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
                continue
            assert action.help, action.dest
            described = parser._get_formatter()._expand_help(action)
            if action.option_strings and action.nargs != 0 and action.default not in (None, "", [], argparse.SUPPRESS):
                assert "default" in described, action.dest


def test_help_is_as_wide_as_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["evidence", "--help"], ["verify", "--help"]):
        with contextlib.suppress(SystemExit):
            main(words)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "\n- strand: of the cDNA read of that kit" in printed  # an item of a list


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m scripts {command} " in " ".join(capsys.readouterr().out.split())
