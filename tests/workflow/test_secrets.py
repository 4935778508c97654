"""The API key and a password in an address are in no file, command line or output of a failing and a good workflow."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.toy.server import Server

pytestmark = pytest.mark.tools

HOME = Path(__file__).parents[2]
KEY, PASSWORD = "SECRETKEY0123456789abcdef", "passw0rd98765"


class Watch(threading.Thread):
    """Collects the command lines of all processes while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.seen: set[bytes] = set()

    def run(self) -> None:
        while not self.over.wait(0.005):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    self.seen.add((folder / "cmdline").read_bytes())
                except OSError:
                    continue


def call(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run the workflow while the processes of the machine are watched; check that no secret shows."""
    watch = Watch()
    watch.start()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", HOME / "Snakefile", "--cores", "1", "-p", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    watch.over.set()
    watch.join()
    assert "--dry-run" in arguments or any(b"scripts resolve" in line for line in watch.seen)
    for secret in (KEY, PASSWORD):
        assert not [line for line in watch.seen if secret.encode() in line and b"\0--config\0" not in line]
        assert secret not in done.stdout + done.stderr
        assert not [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return done


@pytest.mark.parametrize("way", ["configuration", "file", "variable"])
def test_no_secret_is_left_behind(world, tmp_path, way):
    folder = tmp_path / "analysis"
    folder.mkdir()
    configured = tmp_path / "config.yaml"  # elsewhere: it holds what must be nowhere else
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text(f"{KEY}\n")
    variables = {"NCBI_API_KEY": KEY} if way == "variable" else {}
    arguments = ["--configfile", str(configured), "--", "all" if way == "configuration" else "resolve"]
    with Server(world) as server:
        configuration = world.configuration(server)
        archives = configuration["archives"]
        archives.update(retries=0, api_key={"configuration": KEY, "file": f"file:{key}"}.get(way))
        archives["geo"] = archives["geo"].replace("://", f"://me:{PASSWORD}@")
        configuration["series"] = ["GSE900003"]
        for reference in configuration["references"].values():
            reference["gtf"] += f"?X-Amz-Signature={PASSWORD}"
        right = archives["eutils"]
        archives["eutils"] = f"{right}/nothing?sig={PASSWORD}"
        archives["ena"] = f"{server.url}/nothing"
        configured.write_text(yaml.safe_dump(configuration))
        failed = call(folder, *arguments, **variables)
        assert failed.returncode == 1
        assert "eutils/nothing" in next((folder / "logs").rglob("resolve.log")).read_text()
        archives["eutils"] = right
        configured.write_text(yaml.safe_dump(configuration))
        good = call(folder, *arguments, **variables)
        assert good.returncode == 0, good.stderr
        assert f"{configured} holds a secret, and others can read it; run: chmod 600" in good.stderr
        assert server.asked(rf"eutils/efetch.*api_key={KEY}")
        assert (folder / "results" / "runs.tsv").exists() == (way == "configuration")
        assert "me:***@" in " ".join(
            path.read_text() for path in (folder / ".snakemake" / "metadata").rglob("*") if path.is_file()
        )


def test_a_key_on_the_command_line_is_refused(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("{}\n")
    for value in (f"archives={{api_key: {KEY}}}", f"archives={{geo: 'https://me:{PASSWORD}@host'}}"):
        done = call(tmp_path, "--dry-run", "--config", "series=[GSE1]", value, "--", "resolve")
        assert done.returncode == 1
        assert "given with --config, where every user of this machine can read it" in done.stderr + done.stdout
