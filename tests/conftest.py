"""What tests share: the toy world, built once a machine, and its server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler.loadfile import LoadFileScheduling

from scripts.references import count_index, reference, star_index
from tests.toy.server import Server
from tests.toy.world import World, build

settings.register_profile("any machine", deadline=None)  # how long an example takes depends on what else runs
settings.load_profile("any machine")

FINISHED = ("workflow/test_changed_bytes.py", "workflow/test_changes.py", "workflow/test_deleted.py")
"""Files whose tests begin with the finished analysis of tests/workflow/conftest.py, which takes a minute or more."""


@pytest.fixture(scope="session")
def world() -> World:
    """The toy world, see :mod:`tests.toy.world`; not to be written to."""
    return build()


@pytest.fixture(scope="session")
def mm10(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy world's mouse reference with spike-ins, STAR index and count index; not to be written to."""
    folder = tmp_path_factory.mktemp("mm10")
    sources = [f"--{name}={path}" for name, path in world.references["mm10"].items()]
    spike_ins = [f"--spike-in-{name}={path}" for name, path in world.spike_ins.items()]
    files = {"genome": "genome.fa", "annotation": "annotation.gtf", "genes": "genes.tsv"}
    targets = [f"--{name}={folder / file}" for name, file in files.items()]
    reference.main(["--name", "mm10", *sources, *spike_ins, *targets, f"--fingerprint={folder / 'reference.json'}"])
    star_index.main([*targets[:2], "--sjdb-overhang=75", f"--output={folder / 'star'}"])
    count_index.main([*targets[1:], f"--output={folder / 'count_index.npz'}", f"--exons={folder / 'exons.gtf'}"])
    return folder


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    """A fresh server of the toy world, see :mod:`tests.toy.server`."""
    with Server(world) as running:
        yield running


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: those of gzip hold the time, and every worker must collect the same tests."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files of whole workflows first: those of short tests fill what is left of the cores in the end."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")


class Scheduling(LoadFileScheduling):
    """Gives each file to one worker, and those of :data:`FINISHED` to the same: else each worker makes the analysis."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "finished" if file.endswith(FINISHED) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    """Replace ``--dist loadfile``, and nothing else."""
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
