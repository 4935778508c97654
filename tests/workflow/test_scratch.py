"""The bound on scratch: what all live units hold stays below `scratch.limit_gb`, and the results are the same."""

import contextlib
import os
import threading
from pathlib import Path

import pytest

from tests.toy.demo import run_workflow
from tests.toy.server import Server

pytestmark = pytest.mark.tools

STAGES = ("partial", "download", "fastq", "align", "solo")


class Watch:
    """Watches what lies in the folders of the stages, many times a second; ``peak`` is the most seen, in bytes."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.peak = 0
        self.units: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            held = 0
            for stage in STAGES:
                for folder, _, names in os.walk(self.work / stage):  # passes over what is gone between two looks
                    for name in names:
                        path = Path(folder, name)
                        with contextlib.suppress(FileNotFoundError):
                            held += 0 if path.is_symlink() else path.stat().st_size
                        self.units.add(path.relative_to(self.work / stage).parts[0])
            self.peak = max(self.peak, held)


def run(world, folder: Path, limit_gb: float) -> tuple[Watch, dict[str, bytes]]:
    with Server(world) as server, Watch(folder / "work") as watch:
        configuration = world.configuration(server) | {"scratch": {"limit_gb": limit_gb}, "plates": {"shard_size": 12}}
        assert run_workflow(folder, configuration, ["--cores", "2", "--quiet"]) == 0
    results = folder / "results"
    return watch, {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def test_what_live_units_hold_stays_below_the_limit(world, tmp_path):
    free, expected = run(world, tmp_path / "free", 200)
    limit = 16e6
    bound, results = run(world, tmp_path / "bound", limit / 1e9)
    print(f"peak {free.peak / 1e6:.1f} MB without a bound in reach, {bound.peak / 1e6:.1f} MB of {limit / 1e6:.0f} MB")
    assert 0 < bound.peak <= limit
    assert len(bound.units) >= 8
    assert results == expected
    for stage in STAGES:  # nothing is left of what was temporary
        assert not [path for path in (tmp_path / "bound" / "work" / stage).rglob("*") if path.is_file()]
