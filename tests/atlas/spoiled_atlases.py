"""Cases for :mod:`tests.fuzzing`: a small atlas in which something is wrong, for the commands that read atlases."""

import io
import json
import shutil
import zipfile

import numpy as np

from scripts.atlas import atlas_agreement, atlas_check, atlas_distribution, atlas_locate, atlas_search, atlas_train
from scripts.atlas.labels.classifier import Model, write_model
from scripts.atlas.store.files import write_table
from scripts.atlas.store.layout import Layout
from scripts.atlas.store.row_map import DroppedCell, file_sum
from tests.atlas.small_atlases import DECODERS, made_up, write_mapped
from tests.fuzzing import replace_item, spoil, spoil_json

LAYOUT = Layout((("other", 3), ("cell_type", 2)), (("cell_type", 3),))
LABELS = "run\tcell_type\n" + "".join(f"SRR{number}\t{'ab'[number // 2]}\n" for number in range(4))
DESCRIPTIONS = ("<f2", "<f8", "<u2", "|O", ">f2", "<c8", "|V0", "|S0", "<M8[ns]", "|S4", "x", ("<f2", (2,)))
SHAPES = ((-1, -4), (4,), (), (2**62, 0), (10**20, 5), (4.0, 5), (True, 20), "4", (4, 5, 1), (0, 5), (5, 4), (4, 5))


def prepare(folder):
    barcodes = [b"ACGT", b"ACGA"]
    shards = [
        [
            {
                "series": f"GSE{run}",
                "run": f"SRR{2 * shard + run}",
                "arrays": made_up(2, LAYOUT, run),
                "barcodes": barcodes,
            }
            for run in range(2)
        ]
        for shard in range(2)
    ]
    decoders = {"cell_type": DECODERS["cell_type"]}
    write_mapped(folder / "atlas", shards, LAYOUT, decoders)
    write_table(folder / "atlas/dropped.tsv", DroppedCell._fields, [])
    manifest = json.loads((folder / "atlas/manifest.json").read_text())
    manifest["files"]["dropped.tsv"] = file_sum(folder / "atlas/dropped.tsv")
    (folder / "atlas/manifest.json").write_text(json.dumps(manifest))
    weights = np.array([[1.0, 2, 3], [4, 5, 6]])
    source = {"backend": {"name": "svd-baseline", "version": "1", "weights_sha256": "0" * 64}, "codes": False}
    write_model(
        folder / "model.npz", Model("linear", "", ("a", "b"), weights, np.zeros(2), "other", "cell_type", source)
    )
    np.save(folder / "vectors.npy", np.ones((2, 3), "<f2"))
    (folder / "labels.tsv").write_text(LABELS)
    for command in COMMANDS:
        COMMANDS[command](folder)()
        shutil.rmtree(folder / "out", ignore_errors=True)


def out(folder):
    return str(folder / "out")


COMMANDS = {
    "check": lambda folder: lambda: atlas_check.main([str(folder / "atlas")]),
    "search": lambda folder: lambda: atlas_search.main([str(folder / "atlas"), "--like", "SRR1_ACGT", "--k", "3"]),
    "vectors": lambda folder: (
        lambda: atlas_search.main(
            [str(folder / "atlas"), "--vectors", str(folder / "vectors.npy"), "--labels", "cell_type"]
        )
    ),
    "locate": lambda folder: lambda: atlas_locate.main([str(folder / "atlas"), "--cells", "SRR1", "SRR2_ACGA"]),
    "distribution": lambda folder: lambda: atlas_distribution.main([str(folder / "atlas"), "--output", out(folder)]),
    "agreement": lambda folder: lambda: atlas_agreement.main([str(folder / "atlas"), "--output", out(folder)]),
    "train": lambda folder: (
        lambda: atlas_train.main(
            [
                str(folder / "atlas"),
                "--label",
                "cell_type",
                "--labels",
                str(folder / "labels.tsv"),
                "--output",
                out(folder),
            ]
        )
    ),
    "apply": lambda folder: (
        lambda: atlas_train.main([str(folder / "atlas"), "--apply", str(folder / "model.npz"), "--output", out(folder)])
    ),
}


def npy(description, shape, data):
    """Return an npy whose header says what it likes."""
    text = f"{{'descr': {description!r}, 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def zipped(content, names, method):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return made.getvalue()


def spoil_array(dice, path):
    """Write another array, another header or another zip in place of an array."""
    with np.load(path) as arrays:
        name = dice.choice(list(arrays))
        array = arrays[name]
    data = array.tobytes()
    kind = dice.choice(("header", "shape", "numbers", "zip", "bytes"))
    if kind == "bytes":
        path.write_bytes(spoil(dice, path.read_bytes()))
        return
    content = npy(array.dtype.str, array.shape, data)
    if kind == "header":
        content = npy(dice.choice(DESCRIPTIONS), array.shape, data)
    elif kind == "shape":
        content = npy(array.dtype.str, dice.choice(SHAPES), dice.choice((data, b"", data[:7])))
    elif kind == "numbers":
        content = npy(array.dtype.str, array.shape, dice.choice((b"\xff", b"\x00\x7c", b"\0", b"\x1b")) * len(data))
        content = content[: 128 + len(data)]
    names = ["arr_0.npy"] if kind != "zip" else dice.choice((["arr_0.npy"] * 2, ["../../x.npy"], [], ["arr_1.npy"]))
    method = dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    path.write_bytes(content if not dice.randrange(8) else zipped(content, names, method))


def spoil_model(dice, path):
    """Write another array in place of one of the model's."""
    with np.load(path) as arrays:
        found = dict(arrays)
    name = dice.choice(list(found))
    found[name] = dice.choice(
        (np.array("x"), np.array(2), np.array([1, 2]), np.full((2, 3), np.nan), np.array("["), np.array(["\x1b"] * 2))
    )
    np.savez(path, **found)


def sum_up(folder):
    """Write the sizes and sums of all files into the manifest, where that is one."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for files in (manifest["files"], *(shard["files"] for shard in manifest["shards"])):
        for name in files:
            if (folder / name).is_file():
                files[name] = file_sum(folder / name)
    path.write_text(json.dumps(manifest))


def replace_file(dice, path):
    kind = dice.choice(("fifo", "zero", "system", "folder", "gone", "beside"))
    if kind == "beside":
        path.with_name(dice.choice(("more", "step_0_x_predict_part_7_0_embs.npz"))).write_bytes(b"x")
        return
    replace_item(kind, path, {"zero": "/dev/zero", "system": "/proc/kmsg"})


def spoil_file(dice, path, before, spoil_inside):
    """Spoil a file, by ``spoil_inside()`` where it is a binary one; return the kind of fault."""
    kind = dice.choice(("inside", "inside", "inside", "bytes", "item"))
    if kind == "item":
        replace_file(dice, path)
    elif kind == "bytes" or path.suffix == ".tsv":
        path.write_bytes(spoil(dice, before))
    elif path.suffix == ".json":
        path.write_bytes(spoil_json(dice, json.loads(before)))
    else:
        spoil_inside()
    return kind


def make(dice, folder):
    """Return one case: its name, the call, and whether it must be refused."""
    atlas = folder / "atlas"
    command = dice.choice(list(COMMANDS))
    files = sorted(atlas.iterdir())
    files += {"vectors": [folder / "vectors.npy"], "apply": [folder / "model.npz"]}.get(command, []) * 4
    path = dice.choice(files)
    before = path.read_bytes()

    def spoil_inside():
        if path.name == "model.npz" and dice.randrange(2):
            spoil_model(dice, path)
        elif path.suffix == ".npy":
            path.write_bytes(npy(dice.choice(DESCRIPTIONS), dice.choice(SHAPES), dice.choice((before[128:], b""))))
        else:
            spoil_array(dice, path)

    kind = spoil_file(dice, path, before, spoil_inside)
    summed = kind != "item" and path.name != "manifest.json" and path.parent == atlas and bool(dice.randrange(2))
    if summed:
        sum_up(atlas)
    same = kind != "item" and path.read_bytes() == before
    named = path.parent == atlas and path.name != "manifest.json"
    refused = True if command == "check" and named and not same and not summed else None
    return f"{command}: {path.name} {kind}{' summed' if summed else ''}", COMMANDS[command](folder), refused
