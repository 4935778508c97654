"""Kill the workflow at random moments, again and again, and see that the same command completes it with the same bytes.

An analysis of some plate cells and a droplet library is killed several times (kill -9): Snakemake alone, its process
group, the whole tree of processes, any one process of it (a job, its shell, a program, the guard of programs), or
Snakemake while it removes temporary files, which is slowed down so that a kill meets it. Then the same command is
called once more: it must exit with status 0, and every file of results/ must be that of a run that nobody disturbed.
"""

import contextlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.core.command import command_parser
from tests.toy import catalogue, world
from tests.toy.server import Server
from tests.toy.world import World
from tests.workflow.killed import SERIES, KilledAnalysis, kill_by, kill_group, nothing_goes_on, rules_that_run

CHOICES = {"series": [SERIES, catalogue.DROPLET], "leave_out": {catalogue.LIBRARY_V3: "for speed"}}
KINDS = {"snakemake": 20, "group": 15, "tree": 15, "one": 30, "removal": 20}
"""What is killed → how often, in percent."""
KILLS = 10  # of one analysis, at most
_REMOVING = re.compile("Removing temporary output")
_SLOW = """
import os, time
_unlink = os.unlink
def unlink(path, *, dir_fd=None):
    if dir_fd is not None:
        time.sleep(0.03)
    _unlink(path, dir_fd=dir_fd)
os.unlink = unlink
"""
"""A sitecustomize module for the process of Snakemake: it removes a folder file by file, 30 ms each."""


class Kill(NamedTuple):
    """A kill: what was killed, after how many seconds, and which rules ran."""

    kind: str
    seconds: float
    rules: str
    victim: str


class Life(NamedTuple):
    """An analysis: its kills, whether it was completed with the same bytes by the next call, and what was wrong."""

    kills: list[Kill]
    recovered: bool
    complaint: str = ""


class Campaign:
    """Kills of analyses below a folder, in an order that the seed determines; what they meet depends on the machine."""

    def __init__(self, toy: World, folder: Path, seed: int) -> None:
        self.toy, self.folder = toy, folder
        self.random = random.Random(seed)
        self.lives = 0
        (folder / "slow").mkdir(parents=True)
        (folder / "slow" / "sitecustomize.py").write_text(_SLOW, encoding="utf-8")
        self.slow = {"PYTHONPATH": str(folder / "slow")}
        self.whole = KilledAnalysis(toy, folder / "undisturbed", **CHOICES)
        started = time.monotonic()
        with Server(toy) as server:
            self.whole.run(server)
        self.seconds = time.monotonic() - started
        self.expected = self.whole.sums()

    def live(self, kills: int) -> Life:
        """Kill one analysis so many times, or until it is complete, then call it once more."""
        self.lives += 1
        analysis = KilledAnalysis(self.toy, self.folder / f"life{self.lives}", **CHOICES)
        if self.lives % 4:  # else the references are built, and killed, too
            for name in ("hg38", "mm10"):
                built = self.whole.folder / "resources" / name
                shutil.copytree(built, analysis.folder / "resources" / name, symlinks=True)
        done: list[Kill] = []
        complaint = ""
        with Server(self.toy) as server:
            try:
                for _ in range(kills):
                    kill = self._kill(analysis, server)
                    if kill is None:
                        break
                    done.append(kill)
                    nothing_goes_on(analysis)
                analysis.run(server)
                changed = {name for name, _ in self.expected.items() ^ analysis.sums().items()}
                complaint = f"other bytes: {', '.join(sorted(changed))}" if changed else ""
            except (AssertionError, subprocess.TimeoutExpired) as error:
                complaint = str(error)[-2000:] or repr(error)
            finally:
                for workflow in analysis.started:
                    if workflow.poll() is None:
                        kill_group(workflow)
        if not complaint:
            shutil.rmtree(analysis.folder)
        return Life(done, not complaint, complaint)

    def _kill(self, analysis: KilledAnalysis, server: Server) -> Kill | None:
        """Start the workflow and kill it at a random moment; None where it was complete before."""
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        removals = self.random.randint(1, 8)
        moment = 0.2 + self.seconds * self.random.random() ** 2  # often early: each call gets a step further
        before = analysis.said()
        started = time.monotonic()
        workflow = analysis.start(server, self.slow)
        if kind == "removal":
            analysis.await_said(workflow, _REMOVING, removals, before)
            time.sleep(self.random.uniform(0, 0.4))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                workflow.wait(timeout=moment)
        rules = " ".join(sorted(set(rules_that_run(analysis))))
        if workflow.poll() is not None:
            assert workflow.returncode == 0, analysis.reported()
            return None
        victim = kill_by("snakemake" if kind == "removal" else kind, workflow, self.random)
        seconds = time.monotonic() - started
        with contextlib.suppress(subprocess.TimeoutExpired):
            workflow.wait(timeout=240)
        return Kill(kind, seconds, rules, victim)


def table(lives: Sequence[Life]) -> Iterator[str]:
    """Yield the lines of a table: kind of kill, kills, recovered; and of the rules that ran."""
    kills = [(kill, life.recovered) for life in lives for kill in life.kills]
    by_kind, recovered = Counter(kill.kind for kill, _ in kills), Counter(kill.kind for kill, whole in kills if whole)
    yield f"{'killed':<14}{'kills':>6}{'recovered':>11}"
    for kind in sorted(by_kind):
        yield f"{kind:<14}{by_kind[kind]:>6}{recovered[kind]:>11}"
    yield f"{'all':<14}{len(kills):>6}{sum(recovered.values()):>11}"
    rules = Counter(rule for kill, _ in kills for rule in kill.rules.split() or ["(no job)"])
    yield "rules that ran: " + ", ".join(f"{rule} {number}" for rule, number in rules.most_common())


def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments and the victims")
    parser.add_argument("--directory", type=Path, help="where the analyses are; those that fail stay there")
    options = parser.parse_args(argv)
    folder = options.directory or Path(tempfile.mkdtemp(prefix="kills."))
    campaign = Campaign(world.build(), folder.resolve(), options.seed)
    print(f"undisturbed: {campaign.seconds:.0f} s, {len(campaign.expected)} files", flush=True)
    lives: list[Life] = []
    while (left := options.kills - sum(len(life.kills) for life in lives)) > 0:
        life = campaign.live(min(left, campaign.random.randint(1, KILLS)))
        lives.append(life)
        for kill in life.kills:
            print(f"  {kill.kind:<10}{kill.seconds:6.1f} s  {kill.rules}  {kill.victim}", flush=True)
        print(f"analysis {len(lives)}: {'the same bytes' if life.recovered else life.complaint}", flush=True)
    print(*table(lives), sep="\n")
    if all(life.recovered for life in lives):
        shutil.rmtree(folder)
        return 0
    print(f"What failed is in {folder}.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
