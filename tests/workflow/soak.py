"""Use one folder of resources for a long time, kill the workflow at random, and look for what it leaves behind.

Two small analyses share their resources/. In each round something is changed that users change (a series, a library, a
cell, a key, kept records, results or work that are deleted, an archive that fails), the workflow is called, killed at a
random moment, sometimes twice, sometimes never, and called until it is finished. Then nothing may be there that a fresh
run of the same configuration does not leave: results of the same bytes, the same names of files and folders in the
analysis and in resources/, no process, mount, shared memory or lock, and nothing in the temporary folder of the round
and the user's cache. The one thing that is counted apart are the two temporary folders of a Snakemake that is killed
before it has read a rule of ours: nobody knows yet whose they are.

What may grow, and why: .snakemake/log, as Snakemake keeps a log of each call; units/, logs/, resources/records and
Snakemake's records on files, by what earlier configurations asked for, as what was counted is not counted again when it
comes back. Each of them is at most what fresh runs of all configurations leave together.
"""

import contextlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.core.command import command_parser
from tests.shared_memory import segments_of
from tests.toy import catalogue, world
from tests.toy.server import Server
from tests.toy.world import World
from tests.workflow.changed import changed
from tests.workflow.killed import KilledAnalysis, kill_by, kill_group, nothing_goes_on
from tests.workflow.leftovers import Listing, differences, list_files, without_shard

KINDS = {
    **{"snakemake": 20, "group": 20, "tree": 10, "one": 15},
    **{"terminate": 10, "terminate group": 10, "interrupt": 15},
}
"""What is killed, see :func:`tests.workflow.killed.kill_by` → how often, in percent."""
KILLS = (0, 1, 1, 1, 1, 1, 2, 2)
"""How many kills a round has, each as often as another."""
BESIDE = 0.1
"""How often the other analysis is changed and called at the same time, without a kill."""
PATIENCE = 3600
"""Seconds after which a call is taken to hang; on an idle machine the longest takes 30."""
_CELL = "SRX9000208"
_REST = (
    {f"SRX9000{number}": "three cells are enough" for number in (*range(201, 207), 213)}
    | {f"SRX90000{number:02d}": "two cells are enough" for number in range(1, 45) if number not in (2, 3)}
    | {catalogue.LIBRARY_V3: "one library is enough"}
)
_USUAL: Mapping[str, Any] = {
    "series": [catalogue.MIXED],
    "leave_out": _REST,
    "max_failed": 0.5,
    # else the shares of reads of other species are those of the species that were planned at the time of the conversion
    "species.homo": {"tax_id": 9606, "reference": "hg38", "look_for": True},
    "species.mus": {"tax_id": 10090, "reference": "mm10", "look_for": True},
    "references.mm10.gtf": "mine/mm10.gtf.gz",
    "archives.order": ["sra"],  # the ledger names the source that served
    "archives.retries": 2,
}
_LIBRARY = {"series": [catalogue.MIXED, catalogue.DROPLET]}
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "three cells": {},
    "a cell less": {"leave_out": _REST | {_CELL: "for a change"}},
    "a series more": {"series": [catalogue.MIXED, catalogue.PLATE]},
    "a library more": _LIBRARY,
    "other droplets": _LIBRARY | {"droplets.cell_filter": "TopCells 5"},
    "another mode": {"plates.mode": "union"},
    "a floor": {"plates.min_reads": 580},
    "TPM": {"harvest.tpm": True},
    "BAM files": {"plates.keep_bam": True},
    "alignments": {"plates.keep_alignments": True},
    "alignments, another mode": {"plates.keep_alignments": True, "plates.mode": "union"},
}
"""Name → keys that differ from those that all of them have."""
CHANGES = {
    **{"configuration": 50, "refresh": 8, "a touched file": 5, "a result deleted": 8, "results deleted": 3},
    **{"work deleted": 5, "units deleted": 4, "records deleted": 3, "a reference deleted": 2},
    **{"a failing archive": 8, "a lost archive": 4},
}
"""What changes in a round → how often, in percent."""
FAULTS = ("503", "cut")  # another file in place of the archive fails the run where there is one source only
_RUNS = ("SRR9000207", "SRR9000208", "SRR9000209", "SRR9000103")
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.M)
_REFRESH, _RETRY = ("--config", "refresh=all"), ("--config", 'retry=["DOWNLOAD_FAILED"]')


class Fresh(NamedTuple):
    """What a fresh run leaves: checksums of its results, files of the analysis, and of resources/ and the cache."""

    sums: Mapping[str, str]
    files: Listing
    shared: Listing


class Round(NamedTuple):
    """A round: what was changed, what was killed, how long it took, and what was found."""

    words: str
    kills: list[str]
    seconds: float
    cpu_seconds: float
    found: list[str]


class Analysis(KilledAnalysis):
    """An analysis that shares its resources with another one."""

    def __init__(self, toy: World, folder: Path, shared: Path) -> None:
        super().__init__(toy, folder)
        shared.mkdir(parents=True, exist_ok=True)
        (folder / "resources").symlink_to(shared, target_is_directory=True)
        (folder / "mine").mkdir()
        shutil.copyfile(toy.references["mm10"]["gtf"], folder / "mine/mm10.gtf.gz")
        self.shared = shared
        self.name = ""
        self.names: set[str] = set()  # of all configurations that there were

    def choose(self, name: str, server: Server) -> None:
        usual = changed(self.world.configuration(server), _USUAL)
        self.name, self.choices = name, changed(usual, CONFIGURATIONS[name])
        self.names.add(name)

    def files(self) -> dict[str, int]:
        """Return what there is; the list of results in bytes of its lines without numbers of shards."""
        found = list_files(self.folder, without=("config/", "mine/", "reported", "resources@"))
        if (wanted := "units/wanted.txt") in found:
            lines = without_shard((self.folder / wanted).read_text(encoding="utf-8")).splitlines(keepends=True)
            found[wanted] = sum(len(line) for line in set(lines))
        return found


class Soak:
    """Rounds below a folder, in an order that the seed determines; what a kill meets depends on the machine."""

    def __init__(self, toy: World, folder: Path, seed: int, server: Server) -> None:
        self.toy, self.folder, self.server = toy, folder, server
        self.random = random.Random(seed)
        self.rounds = 0
        self.fresh: dict[str, Fresh] = {}
        self.known: set[str] = set()
        self.troubles: list[str] = []  # of this round
        self.unknown: set[Path] = set()  # folders of Snakemakes that were killed before they read a rule
        self.unknown_left = 0
        self.cache = folder / "cache"
        self.temporary = folder / "tmp"
        self.analyses = [Analysis(toy, folder / name, folder / "shared") for name in ("one", "two")]
        self.started: list[Analysis] = list(self.analyses)  # with those of fresh runs

    def play(self) -> Round:
        """Change something, kill the workflow, go on, and look for what is left."""
        self.rounds += 1
        started, cpu = time.monotonic(), _cpu_seconds()
        analysis = self.random.choice(self.analyses)
        change = self.random.choices(list(CHANGES), list(CHANGES.values()))[0] if analysis.name else "configuration"
        self.server.clear()
        words, options = self._change(analysis, change)
        kills, found = [], self.troubles
        found.clear()
        other = next(one for one in self.analyses if one is not analysis)
        beside = None
        if self.random.random() < BESIDE and other.name and change != "a lost archive":
            words += f" (beside it {other.folder.name}: {self._configure(other)})"
            beside = other.start(self.server, self._environment())
        for _ in range(self.random.choice(KILLS)):
            kill = self._kill(analysis, options)
            if not kill:
                break
            kills.append(kill)
            if self.random.random() < 0.25:  # a user who thinks again
                words += f", then {self._configure(analysis)}"
        found += self._finish(analysis, options)
        if change == "a lost archive":
            self.server.clear()
            found += self._finish(analysis, _RETRY)
        if beside:
            beside.wait(timeout=PATIENCE)
            found += ["the one beside it fails"] if beside.returncode else []
            found += self._finish(other, ()) if beside.returncode else ()
        spent = _cpu_seconds() - cpu
        self._drop_unknown()
        for looked_at in (analysis, other) if beside else (analysis,):
            found += self._look(looked_at)
        return Round(f"{analysis.folder.name}: {words}", kills, time.monotonic() - started, spent, self._new(found))

    def _new(self, found: Sequence[str]) -> list[str]:
        """Return what was not found in an earlier round."""
        new = [words for words in dict.fromkeys(found) if words not in self.known]
        self.known.update(new)
        return new

    def _configure(self, analysis: Analysis) -> str:
        name = self.random.choice([name for name in CONFIGURATIONS if name != analysis.name])
        analysis.choose(name, self.server)
        return name

    def _change(self, analysis: Analysis, change: str) -> tuple[str, Sequence[str]]:
        """Change something; return it in words, and the options of the calls that follow."""
        folder, options = analysis.folder, ()
        if change == "configuration":
            return self._configure(analysis), ()
        if change == "refresh":
            return change, _REFRESH
        if change in ("a failing archive", "a lost archive"):
            run = self.random.choice(_RUNS[:3] if change == "a lost archive" else _RUNS)
            _count_anew(folder)
            if change == "a lost archive":
                self.server.fault(run, "404")
                return f"{analysis.name}, {run} lost", ()
            kind = self.random.choice(FAULTS)
            self.server.fault(f"sra-pub.*{run}", kind, times=1)
            return f"{analysis.name}, {run} fails once ({kind})", ()
        if change == "a touched file":
            (folder / "mine/mm10.gtf.gz").touch()
        elif change == "a result deleted":
            results = [path for path in sorted((folder / "results").rglob("*")) if path.is_file()]
            path = self.random.choice(results)
            path.unlink()
            return f"{path.relative_to(folder)} deleted", ()
        elif change == "units deleted":
            _count_anew(folder)
        elif change == "records deleted":
            _remove(analysis.shared / "records")
        elif change == "a reference deleted":
            _remove(analysis.shared / "mm10")
        else:
            _remove(folder / change.partition(" ")[0])
        return change, options

    def _environment(self) -> dict[str, str]:
        temporary = self.temporary / str(self.rounds)
        temporary.mkdir(parents=True, exist_ok=True)
        return {"TMPDIR": str(temporary), "XDG_CACHE_HOME": str(self.cache)}

    def _kill(self, analysis: Analysis, options: Sequence[str]) -> str:
        """Start the workflow and kill it; return what was killed and when, empty where it was finished before."""
        kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
        jobs, pause = (
            self.random.choice((0, self.random.randint(1, 8), self.random.randint(1, 30))),
            self.random.random(),
        )
        before = analysis.said()
        workflow = analysis.start(self.server, self._environment(), options)
        if jobs:
            analysis.await_said(workflow, _JOB, jobs, before)
        with contextlib.suppress(subprocess.TimeoutExpired):
            workflow.wait(timeout=pause * (1 if jobs else 6))
        if workflow.poll() is not None:
            return ""
        victim = kill_by(kind, workflow, self.random)
        self._note_unknown()
        rules = _JOB.findall(analysis.reported()[-(analysis.said() - before) :])
        with contextlib.suppress(subprocess.TimeoutExpired):
            workflow.wait(timeout=PATIENCE / 2)
        if workflow.poll() is None:
            self.troubles.append(f"Snakemake still runs {PATIENCE / 2:.0f} s after {kind}")
            kill_group(workflow)
        try:
            nothing_goes_on(analysis, 30)
        except AssertionError:
            self.troubles.append(f"after {kind}: {sorted(analysis.processes().values())}")
        return " ".join([kind, "at", *(rules[-1:] or ["start"]), *victim.split()[-4:]])

    def _note_unknown(self) -> None:
        """Remember the temporary folders of Snakemake which no analysis has in its list of them."""
        listed: set[str] = set()
        for analysis in self.analyses:
            with contextlib.suppress(FileNotFoundError):
                listed.update((analysis.folder / ".snakemake/temporary").read_text(encoding="utf-8").splitlines())
        found = (self.temporary / str(self.rounds)).glob("snakemake*"), self.cache.rglob("snakemake-runtime-cache/*")
        self.unknown.update(path for paths in found for path in paths if str(path) not in listed)

    def _drop_unknown(self) -> None:
        """Remove the folders that nobody knows of, where they are still there, and count them."""
        left = [path for path in self.unknown if path.is_dir()]
        self.unknown_left += len(left)
        for path in left:
            _remove(path)
        self.unknown.clear()

    def _complain(self, words: str) -> None:
        print(f"round {self.rounds}: {words}", flush=True)

    def _finish(self, analysis: Analysis, options: Sequence[str]) -> Iterator[str]:
        """Call the workflow until it ends well, twice at most; yield what is wrong."""
        for _ in range(2):
            workflow = analysis.start(self.server, self._environment(), options)
            with contextlib.suppress(subprocess.TimeoutExpired):
                workflow.wait(timeout=PATIENCE)
            if workflow.poll() == 0:
                return
            if workflow.poll() is None:
                kill_group(workflow)
                yield f"a call that is not killed goes on for {PATIENCE} s"
            else:
                yield f"a call that is not killed ends with status {workflow.returncode}:\n{analysis.reported(1500)}"
        raise RuntimeError(f"{analysis.folder} cannot be finished.")

    def _look(self, analysis: Analysis) -> Iterator[str]:
        """Yield what differs from a fresh run."""
        fresh = self._fresh_of(analysis.name)
        have, expected = analysis.sums(), dict(fresh.sums)
        unlike = {"changes.tsv"}
        if any(without_shard(name) != name for name in have.keys() ^ expected.keys()):
            unlike |= {"SHA256SUMS", "report.html"}  # they name BAM files, which are in folders of their shards
        sums, expected = ({without_shard(name): found for name, found in each.items()} for each in (have, expected))
        for name in sorted({name for name, _ in sums.items() ^ expected.items()} - unlike):
            there = "other bytes" if name in sums and name in expected else "left over" if name in sums else "missing"
            self._keep(analysis.folder / "results" / name)
            yield f"{analysis.name}: results/{name}: {there}"
        earlier = [self._fresh_of(name).files for name in sorted(analysis.names - {analysis.name})]
        yield from differences(analysis.files(), fresh.files, earlier, len(analysis.started))
        names = sorted(set().union(*(one.names for one in self.analyses)))
        shared = [self._fresh_of(name).shared for name in names]
        yield from differences(self._shared(analysis.shared, self.cache), {}, shared, 0)
        yield from self._of_machine(analysis)

    def _keep(self, path: Path) -> None:
        """Copy a result that differs to ``unlike/`` of the soak's folder: a later round makes it again."""
        if path.is_file():
            kept = self.folder / "unlike" / str(self.rounds) / path.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept)

    def _shared(self, resources: Path, cache: Path) -> dict[str, int]:
        return list_files(resources, "resources/") | list_files(cache, "cache/")

    def _of_machine(self, analysis: Analysis) -> Iterator[str]:
        """Yield what is left in the machine: temporary files, processes, mounts, shared memory."""
        for path in list_files(self.temporary / str(self.rounds)):
            yield f"TMPDIR: {path}"
        _remove(self.temporary / str(self.rounds))
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"TMPDIR={self.temporary}/".encode() in (place / "environ").read_bytes():
                    yield f"a process: {(place / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()[:200]}"
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            if str(self.folder) in line:
                yield f"a mount: {line}"
        yield from (f"shared memory: {line}" for line in segments_of(analysis.shared))

    def _fresh_of(self, name: str) -> Fresh:
        """Return what a fresh run of a configuration leaves, with references that an earlier one has made."""
        if name not in self.fresh:
            place = self.folder / "fresh" / name.replace(" ", "_")
            if self.fresh:
                made = self.folder / "fresh" / next(iter(self.fresh)).replace(" ", "_") / "shared"
                for kind in {"hg38", "mm10", "inclusion_lists"} & {path.name for path in made.iterdir()}:
                    shutil.copytree(made / kind, place / "shared" / kind, symlinks=True)
            analysis = Analysis(self.toy, place / "analysis", place / "shared")
            self.started.append(analysis)
            analysis.choose(name, self.server)
            self.server.clear()
            environment = {"TMPDIR": str(place / "tmp"), "XDG_CACHE_HOME": str(place / "cache")}
            (place / "tmp").mkdir()
            workflow = analysis.start(self.server, environment)
            assert workflow.wait(timeout=PATIENCE) == 0, analysis.reported()
            left = [f"TMPDIR of a fresh run: {path}" for path in list_files(place / "tmp")]
            for words in self._new(left):
                self._complain(words)
            self.fresh[name] = Fresh(analysis.sums(), analysis.files(), self._shared(place / "shared", place / "cache"))
        return self.fresh[name]


def _count_anew(folder: Path) -> None:
    """Delete what was counted, but not the list of results: without it those of an earlier configuration stay."""
    for path in (folder / "units").glob("*"):
        if path.name != "wanted.txt":
            _remove(path)
            path.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _cpu_seconds() -> float:
    """Return the CPU time of all processes that were waited for; those of a killed call's jobs are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how many rounds")
    parser.add_argument("--seed", type=int, default=1, help="seed of the changes, the moments and the victims")
    parser.add_argument("--keep", type=Path, help="a new folder for the analyses, which stays")
    options = parser.parse_args(argv)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job would ignore it, and so would we
    folder = options.keep or Path(tempfile.mkdtemp(prefix="soak."))
    folder.mkdir(parents=True, exist_ok=True)
    toy = world.build()
    found = 0
    with Server(toy) as server:
        soak = Soak(toy, folder.resolve(), options.seed, server)
        try:
            for number in range(1, options.rounds + 1):
                played = soak.play()
                found += len(played.found)
                times = f"{played.seconds:.0f} s, {played.cpu_seconds:.0f} s CPU"
                print(f"round {number} {played.words}; {'; '.join(played.kills) or 'no kill'} ({times})", flush=True)
                for words in played.found:
                    print(f"  round {number}, seed {options.seed}: {words}", flush=True)
        finally:
            for analysis in soak.started:
                for workflow in analysis.started:
                    if workflow.poll() is None:
                        kill_group(workflow)
    print(f"{options.rounds} rounds, {len(soak.fresh)} configurations, {found} differences.")
    print(f"{soak.unknown_left} temporary folders of Snakemakes that were killed before they had read a rule.")
    if found:
        repeat = f"python -m tests.workflow.soak --seed {options.seed} --rounds {options.rounds}"
        print(f"{repeat} repeats the changes; what a kill meets depends on the machine. The analyses are in {folder}.")
    elif not options.keep:
        shutil.rmtree(folder)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
