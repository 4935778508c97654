"""The workflow as a module of another one."""

import re
import subprocess
import sys

import pytest
import yaml

from scripts.plan.run_table import Run
from tests.workflow.conftest import HOME, Answer

pytestmark = pytest.mark.tools  # each test is a dry run of the workflow

PAGE = (HOME / "docs" / "cluster.md").read_text(encoding="utf-8")
(IMPORTING,) = re.findall(r"^```python\n(.*?module sra2matrix:.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
"""The lines of the other workflow, as the page shows them."""
SOURCES = {
    name: {"fasta": f"https://example.org/{name}.fa.gz", "gtf": f"https://example.org/{name}.gtf.gz"}
    for name in ("hg38", "mm10")
}


@pytest.fixture
def importing(analysis, tmp_path):
    """Another workflow with scripts of its own, and an analysis directory for it."""
    home = tmp_path / "theirs"
    (home / "scripts").mkdir(parents=True)
    (home / "scripts" / "theirs.py").write_text('TARGET = "theirs.txt"\n')
    text = IMPORTING.replace("path/to/sra2matrix/Snakefile", str(HOME / "Snakefile"))
    text = text.replace("\nrule ", "\nfrom scripts.theirs import TARGET\n\nrule ").replace('"my_report.txt"', "TARGET")
    (home / "Snakefile").write_text(text)
    rows = [
        Run(series="GSE1", experiment="SRX1", run="SRR1", species="mus", assay="plate", layout="paired"),
        Run(series="GSE2", experiment="SRX2", run="SRR2", species="homo", assay="droplet"),
    ]
    values = {"matrices": {"run_table": analysis.run_table(rows), "references": SOURCES}}
    (analysis.folder / "config" / "config.yaml").write_text(yaml.safe_dump(values))
    return home


def plan(home, here, *options):
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", home / "Snakefile", *options]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("package", [False, True])
def test_another_workflow_uses_it_as_a_module(analysis, importing, tmp_path, elsewhere, package):
    if package:
        (importing / "scripts" / "__init__.py").touch()
    options = ["--directory", analysis.folder] if elsewhere else []
    answer = plan(importing, tmp_path if elsewhere else analysis.folder, *options)
    assert answer.status == 0, answer.text
    jobs = answer.jobs
    assert jobs["report_of_mine"] == 1
    assert jobs["sra2matrix_align"] == jobs["sra2matrix_solo"] == jobs["sra2matrix_resolve"] == 1
    assert jobs["sra2matrix_download"] == 2


def test_a_prefix_of_its_paths_is_refused(analysis, importing):
    path = importing / "Snakefile"
    path.write_text(
        path.read_text().replace('config: config["matrices"]', 'config: config["matrices"]\n    prefix: "m"')
    )
    answer = plan(importing, analysis.folder)
    assert answer.status == 1
    assert (
        "prefix: this workflow cannot have one as a module; its jobs write to units/, work/,"
        in answer.text.splitlines()[-1]
    )


def test_jobs_are_not_led_astray_by_what_lies_in_the_analysis_directory(analysis, importing):
    for name in ("__init__", "resolve"):
        (importing / "scripts" / f"{name}.py").write_text("raise RuntimeError('not ours')\n" * (name != "__init__"))
    (analysis.folder / "scripts").symlink_to(importing / "scripts")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", importing / "Snakefile"]
    done = subprocess.run(
        [*command, "sra2matrix_resolve"], cwd=analysis.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (analysis.folder / "results" / "plan.tsv").exists()
