"""What is ready for a run, and what is missing."""

import http.server
import threading

import pytest

from scripts.core.errors import InputError
from scripts.records import check

PROGRAMS = ("STAR", "samtools", "prefetch", "fastq-dump", "vdb-validate")


class Answers(http.server.BaseHTTPRequestHandler):
    """An archive that answers: GEO has the file, E-utilities are down, ENA does not know what is asked."""

    def do_GET(self):
        status = 200 if "GSE67835" in self.path else 503 if "einfo" in self.path else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, *words):
        """Keep the test's output free of requests."""


@pytest.fixture
def analysis(tmp_path, monkeypatch):
    """An analysis directory, and nothing on PATH but programs that say their version."""
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho program version : 2.7.10b\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(check, "machine_memory_gb", lambda: 64.0)
    monkeypatch.setattr(check, "free_gb", lambda folder: 1000.0)
    return tmp_path


def configure(analysis, text):
    (analysis / "config" / "config.yaml").write_text(text)


def test_all_is_ready(analysis, capsys):
    (analysis / "3M.txt").write_text("ACGT\n")
    configure(analysis, "series: [GSE1]\ndroplets: {inclusion_lists: {3M-february-2018: 3M.txt}}\n")
    check.main(["--offline"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ready"] * (len(lines) - 1) + ["Next:"]
    assert "ready    STAR: 2.7.10b." in lines
    assert "ready    configuration: config/config.yaml: GSE1." in lines
    assert any("reference hg38 (homo): is fetched by the first run from https://" in line for line in lines)
    assert "ready    disk: 1000 GB free in work, scratch.limit_gb is 200." in lines


def test_an_analysis_elsewhere_is_looked_at_from_its_folder(analysis, capsys, monkeypatch):
    (analysis / "3M.txt").write_text("ACGT\n")
    configure(analysis, "series: [GSE1]\ndroplets: {inclusion_lists: {3M-february-2018: 3M.txt}}\n")
    (analysis / "bin" / "here").mkdir()
    monkeypatch.chdir(analysis / "bin" / "here")
    check.main(["--directory", "../..", "--offline"])
    assert "ready    configuration: config/config.yaml: GSE1." in capsys.readouterr().out.splitlines()
    with pytest.raises(InputError, match="--directory nowhere: no such folder"):
        check.main(["--directory", "nowhere"])


def test_of_plates_no_list_of_barcodes_is_needed(analysis, capsys):
    configure(analysis, "series: runs.txt\nassay: plate\n")
    (analysis / "runs.txt").write_text("GSE1\n")
    check.main(["--offline"])
    said = capsys.readouterr().out
    assert "ready    configuration: config/config.yaml: runs.txt." in said
    assert "droplet" not in said


def test_what_is_missing_is_named_with_what_to_do(analysis, capsys, monkeypatch):
    (analysis / "bin" / "STAR").unlink()
    monkeypatch.setattr(check, "machine_memory_gb", lambda: 8.0)
    monkeypatch.setattr(check, "free_gb", lambda folder: 10.0)
    (analysis / "resources" / "mm10").mkdir(parents=True)
    (analysis / "resources" / "mm10" / "reference.json").touch()
    configure(analysis, "series: [GSE1]\nspecies: {mus: {tax_id: 10090, reference: mm10}}\n")
    with pytest.raises(InputError, match="1 of 11 things are missing"):
        check.main(["--offline"])
    said = capsys.readouterr().out
    assert "missing  STAR: aligns; not on PATH. Type: make setup" in said
    assert "ready    reference mm10 (mus): made, in resources/mm10." in said
    assert "warning  droplet libraries: no inclusion list is configured" in said
    assert "warning  memory for mm10, star_index: about 38 GB of memory are needed, this machine has 8;" in said
    assert "warning  disk: 10 GB free in work, scratch.limit_gb is 200; lower scratch.limit_gb" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "missing  configuration: no config/config.yaml; copy that of "),
        ("series: [GSE1", "missing  configuration: "),
        ("- a", "missing  configuration: "),
        ("seris: [GSE1]", "did you mean 'series'"),
    ],
)
def test_a_configuration_that_cannot_be_used(analysis, capsys, text, words):
    if text is not None:
        configure(analysis, text)
    with pytest.raises(InputError, match="1 of 6 things are missing"):
        check.main(["--offline"])
    assert words in capsys.readouterr().out


def test_archives_that_do_not_answer(analysis, capsys):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_port}"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as closed:
        nowhere = f"http://127.0.0.1:{closed.server_port}"
    configure(analysis, f"series: [GSE1]\narchives: {{geo: {here}, eutils: {here}, ena: {here}, sra: {nowhere}}}\n")
    check.main([])
    server.shutdown()
    server.server_close()
    states = {line.split(":")[0].split()[1]: line for line in capsys.readouterr().out.splitlines()[:-1]}
    assert states["GEO"] == "ready    GEO: answers."
    assert states["E-utilities"].startswith("warning  E-utilities: ") and "503" in states["E-utilities"]
    assert states["ENA"] == "ready    ENA: answers."
    assert states["SRA"].startswith("warning  SRA: ") and "HTTPS_PROXY" in states["SRA"]
