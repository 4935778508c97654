"""The toy world a month earlier and now: a series has grown, a run was replaced, one withdrawn, and a title corrected.

Of the mixed series, a month earlier: the cells 205 and 206 of human differ (206 is not there, the archive of 205 holds
the reads of 201), the title of 203 is another one. Now: the run of 202 is gone.
"""

import shutil
from pathlib import Path

from tests.toy import catalogue
from tests.toy.catalogue import Experiment
from tests.toy.world import World

GROWN, REPLACED, WITHDRAWN, RETITLED = "SRR9000206", "SRR9000205", "SRR9000202", "SRR9000203"
_READS_OF_REPLACED = "SRR9000201"


def _with_experiments(world: World, experiments: list[Experiment]) -> World:
    mixed = world.series[catalogue.MIXED]
    world.series = {**world.series, catalogue.MIXED: mixed._replace(experiments=tuple(experiments))}
    return world


def month_before(world: World, folder: Path) -> World:
    """Return the world as it was a month earlier, in a new folder of links."""
    folder.mkdir()
    for path in world.folder.iterdir():
        if path.name != "sra":
            (folder / path.name).symlink_to(path)
    (folder / "sra").mkdir()
    for path in world.sra.iterdir():
        (folder / "sra" / path.name).symlink_to(path)
    (folder / "sra" / f"{REPLACED}.sra").unlink()
    shutil.copyfile(world.sra / f"{_READS_OF_REPLACED}.sra", folder / "sra" / f"{REPLACED}.sra")
    earlier = World(folder)
    earlier.__dict__["archives"] = {**world.archives, REPLACED: world.archives[_READS_OF_REPLACED]}
    return _with_experiments(
        earlier,
        [
            one._replace(title="cell of unknown donor") if RETITLED in one.runs else one
            for one in world.series[catalogue.MIXED].experiments
            if GROWN not in one.runs
        ],
    )


def month_after(world: World) -> World:
    """Return the world in which a run was withdrawn, its experiment with it; GEO has the sample still."""
    experiments = world.series[catalogue.MIXED].experiments
    gone = [one._replace(accession="", runs=()) if WITHDRAWN in one.runs else one for one in experiments]
    return _with_experiments(World(world.folder), gone)
