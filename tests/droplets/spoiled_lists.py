"""Cases for tests.fuzzing: inclusion lists and files of kits with faults."""

import gzip
import shutil
from pathlib import Path

import numpy as np

from scripts.droplets.chemistries import read_chemistries
from scripts.droplets.inclusion_lists import copy_checked, read_packed
from tests import fuzzing

LIST = b"".join(bytes(b"ACGT"[number >> 2 * place & 3] for place in range(8)) + b"\n" for number in range(200))
KITS = Path(__file__).parents[2] / "config" / "chemistries.yaml"
WORDS = (
    b"1",
    b"-1",
    b"9" * 5000,
    b"null",
    b"[]",
    b"{}",
    b"../../x",
    b"*x",
    b"&x",
    b"nan",
    b"!!python/none",
    b"\x1b[31m",
)


def prepare(folder):
    shutil.copytree(KITS.parent / "barcodes", folder / "barcodes")


def copy_and_read(source, target):
    count, length = copy_checked(source, target)
    packed, bases = read_packed(target)
    assert (len(packed), bases) == (count, length)
    assert (np.diff(packed.astype(np.int64)) >= 0).all()


def make(dice, folder):
    if dice.randrange(4):
        data = LIST
        for _ in range(dice.randint(1, 2)):
            data = fuzzing.spoil(dice, data)
        if not dice.randrange(4):
            data = gzip.compress(data)[: dice.choice((None, -9))]
        (folder / "list.txt").write_bytes(data)
        return repr(data[:200]), lambda: copy_and_read(folder / "list.txt", folder / "copy.txt"), None
    data = KITS.read_bytes()
    words = data.split()
    data = data.replace(dice.choice(words), dice.choice(WORDS), 1) if dice.randrange(2) else fuzzing.spoil(dice, data)
    (folder / "kits.yaml").write_bytes(data)
    return "kits", lambda: read_chemistries(folder / "kits.yaml"), None
