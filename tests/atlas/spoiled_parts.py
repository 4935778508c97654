"""Cases for :mod:`tests.fuzzing`: embedded parts in which something is wrong, for atlas_pack."""

import shutil

from scripts.atlas import atlas_pack
from tests.atlas.small_parts import write_both
from tests.atlas.spoiled_atlases import DESCRIPTIONS, SHAPES, npy, spoil_file


def prepare(folder):
    folder.mkdir()
    write_both(folder)
    pack(folder)()
    shutil.rmtree(folder / "atlas")


def pack(folder):
    parts = [str(folder / name) for name in ("droplets", "plates")]
    return lambda: atlas_pack.main(["--parts", *parts, "--output", str(folder / "atlas")])


def make(dice, folder):
    """Return one case: its name, the call, and whether it must be refused."""
    path = dice.choice(sorted((folder / dice.choice(("droplets", "plates"))).iterdir()))
    before = path.read_bytes()

    def spoil_inside():
        if dice.randrange(3):
            data = dice.choice((before[128:], b""))
            path.write_bytes(npy(dice.choice(DESCRIPTIONS), dice.choice(SHAPES), data))
        else:
            path.write_bytes(before[:128] + dice.choice((b"\xff", b"\x7c")) * len(before[128:]))

    kind = spoil_file(dice, path, before, spoil_inside)
    return f"{path.name} {kind}", pack(folder), None
