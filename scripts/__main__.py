"""From public single-cell RNA-seq archives to count matrices: the commands.

usage: python -m scripts COMMAND [OPTION ...]
       python -m scripts COMMAND --help
       python -m scripts --version

check, sheet, plan, verify, release, atlas_locate and atlas_search are for you;
the workflow (`snakemake`) calls the others, each as a rule of its name.
"""

import importlib
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import run_command
from scripts.core.errors import InputError
from scripts.core.numeric import one_thread
from scripts.core.untrusted import nearest

# Each command is the module of its name in the package of its stage.
STAGES = {
    "records": ("check", "resolve", "plan", "discover"),
    "references": ("reference", "star_index", "count_index", "kmers"),
    "reads": ("sheet", "download", "fastq", "retry"),
    "plates": ("align", "count", "bam", "bam_files"),
    "droplets": ("inclusion_list", "read_roles", "solo", "cells", "mex_archive", "droplets_h5ad"),
    "harvest": (
        *(
            "ledger",
            "evidence",
            "accept",
            "wanted",
            "counts_table",
            "tpm_table",
            "log_table",
            "counts_h5ad",
            "cells_table",
            "metadata",
        ),
        *("libraries_table", "provenance", "report", "checksums", "verify", "multiqc", "release"),
    ),
    "atlas": (
        *("atlas_model", "atlas_embed", "atlas_pack", "atlas_check", "atlas_locate", "atlas_search"),
        *("atlas_distribution", "atlas_agreement", "atlas_train"),
    ),
}
COMMANDS = {command: f"scripts.{stage}.{command}" for stage, commands in STAGES.items() for command in commands}


def summary(command: str) -> str:
    """Return the first line of a command's docstring, without importing the command."""
    import ast

    source = Path(__file__).parent.parent / (COMMANDS[command].replace(".", "/") + ".py")
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def help_text() -> str:
    """Return the description and the commands by stage, each with what it does."""
    lines = [(__doc__ or "").strip()]
    width = shutil.get_terminal_size().columns
    for stage, commands in STAGES.items():
        lines += ["", f"{stage}:"]
        for command in commands:
            lines += textwrap.wrap(f"  {command:20}{summary(command)}", max(60, width), subsequent_indent=22 * " ")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
    elif arguments[0] == "--version":
        from scripts.core.version import VERSION

        print(f"sra2matrix {VERSION}")
    elif arguments[0] not in COMMANDS:
        near = nearest(arguments[0], COMMANDS)
        hint = f"; did you mean {near!r}?" if near else ". 'python -m scripts' lists the commands."
        raise InputError(f"{arguments[0]!r} is not a command{hint}")
    else:
        command, *rest = arguments
        one_thread()  # commands run side by side, and the number of threads changes the last bits of a result
        sys.argv = [f"python -m scripts {command}", *rest]  # the name of the program in --help and in errors
        importlib.import_module(COMMANDS[command]).main(rest)


if __name__ == "__main__":
    run_command(main)
