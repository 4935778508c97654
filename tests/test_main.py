"""The command line: every command by stage, each with a line."""

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
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m scripts {command} " in " ".join(capsys.readouterr().out.split())
