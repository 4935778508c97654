"""What tests of plates share."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plates.shards import CHOSEN, HOME, align_arguments, lay_out
from tests.toy.world import World


@pytest.fixture(scope="session")
def shard(world: World, mm10: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chosen cells, aligned in a process of its own as the workflow does."""
    folder = lay_out(world, tmp_path_factory.mktemp("shard"), CHOSEN)
    subprocess.run(
        [sys.executable, "-m", "scripts", "align", *align_arguments(folder, mm10, "--threads=2")],
        check=True,
        cwd=HOME,
    )
    return folder
