"""Cases for :mod:`tests.fuzzing`: embedded parts in which something is wrong, for atlas_pack."""

import json
import shutil

from scripts.atlas import atlas_pack
from tests.atlas.small_parts import write_both
from tests.atlas.spoiled_atlases import DESCRIPTIONS, SHAPES, npy, replace_file
from tests.fuzzing import spoil, spoil_json


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
    kind = dice.choice(("inside", "inside", "inside", "bytes", "item"))
    if kind == "item":
        replace_file(dice, path)
    elif kind == "bytes" or path.suffix == ".tsv":
        path.write_bytes(spoil(dice, before))
    elif path.suffix == ".json":
        path.write_bytes(spoil_json(dice, json.loads(before)))
    elif dice.randrange(3):
        data = dice.choice((before[128:], b""))
        path.write_bytes(npy(dice.choice(DESCRIPTIONS), dice.choice(SHAPES), data))
    else:
        path.write_bytes(before[:128] + dice.choice((b"\xff", b"\x7c")) * len(before[128:]))
    return f"{path.name} {kind}", pack(folder), None
