"""Make a report of MultiQC of a folder of results (results/multiqc), for those who are used to it.

The tables of results and what is kept in units/ are unfolded into the logs that MultiQC reads: STAR's, htseq-count's,
and as custom content what STARsolo says of libraries. The report has a clock, so it is not in SHA256SUMS.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import replace_folder
from scripts.core.errors import InputError
from scripts.core.secrets import without_secrets
from scripts.core.subprocesses import ends_with_command, raise_if_killed, release, start
from scripts.harvest.unfolded.custom_content import write_custom_content
from scripts.harvest.unfolded.logs import HTSEQ, STAR_LOG, write_logs

CONFIGURATION = {
    "title": "sra2matrix",
    "subtitle": "STAR, htseq-count and STARsolo, unfolded from the tables of results",
    "no_version_check": True,
    "show_analysis_paths": False,
    "extra_fn_clean_exts": [STAR_LOG, HTSEQ],
    "module_order": ["starsolo", "barcode_ranks", "star", "htseq"],
    "ai_summary": False,
}
"""MultiQC's own configuration; it asks no server."""
REPORT = "multiqc_report.html"


def require_multiqc() -> str:
    """Return the path of MultiQC. Raises InputError, with how to install it, where there is none."""
    program = shutil.which("multiqc")
    if program is None:
        raise InputError(
            "multiqc is not on the PATH. Call snakemake with --sdm conda, which installs it; or install it in an"
            " environment of its own: python3 -m venv multiqc && multiqc/bin/pip install multiqc; then put the folder"
            " multiqc/bin at the end of the PATH."
        )
    return program


def run_multiqc(program: str, logs: Path, output: Path) -> None:
    """Write the report on a folder of logs. Raises InputError, with MultiQC's last words, where it fails."""
    configuration = logs.parent / "configuration.yaml"
    configuration.write_text(json.dumps(CONFIGURATION), encoding="utf-8")  # JSON is YAML
    command = [program, "--force", "--no-ansi", "--config", str(configuration), "--outdir", str(output)]
    process = start(
        [*command, "--filename", REPORT, str(logs)],
        cwd=logs.parent,
        env=without_secrets(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    words = process.communicate()[0].decode("utf-8", "replace")
    release(process)
    print(words, file=sys.stderr)
    raise_if_killed("multiqc", process.returncode)
    if process.returncode or not (output / REPORT).is_file():
        raise InputError(f"multiqc failed: {' '.join(words.split())[-400:] or f'exit status {process.returncode}'}.")


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--results", required=True, type=Path, help="the folder of results")
    parser.add_argument("--solo", default="units/solo", type=Path, help="folder of what STARsolo says of each library")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write (results/multiqc)")
    options = parser.parse_args(argv)
    program = require_multiqc()
    with ends_with_command(), tempfile.TemporaryDirectory(prefix=".multiqc.", dir=options.output.parent) as folder:
        logs, report = Path(folder, "logs"), Path(folder, "report")
        logs.mkdir()
        cells = write_logs(options.results, logs)
        libraries = write_custom_content(options.results, options.solo, logs)
        if not cells and not libraries:
            raise InputError(
                f"{options.results}: no plate cell and no droplet library was counted; there is no report."
            )
        run_multiqc(program, logs.absolute(), report.absolute())
        replace_folder(report, options.output)
    print(f"{options.output}: {cells} plate cells and {libraries} droplet libraries.", file=sys.stderr)
