"""Cases for :mod:`tests.fuzzing`: a small folder of results in which something is wrong, for verify."""

import gzip
import hashlib
import io
import json
import os
import tarfile

import h5py
import numpy as np
import scipy.sparse

from scripts.formats import h5ad
from scripts.formats.csv_gz import write_csv_gz
from scripts.harvest import verify
from scripts.harvest.results import SAMPLE_COLUMNS, SERIES_COLUMNS, list_files, write_sums
from scripts.plan.run_table import Run, write_runs
from scripts.plates.shard_counts import TALLIES
from tests.fuzzing import BYTES, replace_item, spoil, spoil_json

ROWS = [
    Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", species="mus", assay="plate", status="counted"),
    Run("GSE1", "GSE1", "GSM2", "SRX2", "SRR2", species="mus", assay="plate", status="counted"),
    Run("GSE2", "GSE2", "GSM3", "SRX3", "SRR3", species="mus", assay="droplet", status="counted"),
]
COUNTS = {"A": [5, 0], "B": [0, 120], **{name: [1, 2] for name in sorted(TALLIES)}}
COLUMNS = [["SRR1", "SRR2"], ["GSE1", "GSE1"], ["mus", "mus"], ["GSM1", "GSM2"]]
MEX = "mex/SRX3/Gene_Unique_filtered.tar.gz"
SAMPLE = {"platform_data": [], "sample_data": {"title": ["x"]}, "series_data": {"title": ["y"]}}


def write_cells(path, dense, index, obs, genes):
    with h5py.File(path, "w") as root:
        matrix = h5ad.CsrWriter(root, "X", np.int32)
        matrix.append(scipy.sparse.csr_matrix(np.array(dense, np.int32)))
        matrix.finish(len(genes))
        h5ad.write_frame(root, "obs", index, obs)
        h5ad.write_frame(root, "var", genes, {})


def write_tar(path, files):
    with gzip.open(path, "wb", 1) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def read_tar(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def archive_files():
    files = {
        "barcodes.tsv": b"AC\nGT\n",
        "features.tsv": b"g1\tn1\tGene Expression\ng2\tn2\tGene Expression\n",
        "matrix.mtx": b"%%MatrixMarket matrix coordinate integer general\n%\n2 2 3\n1 1 1\n1 2 7\n2 2 5\n",
    }
    lines = ["name\tvalue", "type\tMexGeneArchive_v1"]
    lines += [f"{name}\tmd5sum:{hashlib.md5(data).hexdigest()}" for name, data in files.items()]
    return {
        f"Gene/filtered/{name}": data for name, data in {"metadata.tsv": "\n".join(lines).encode(), **files}.items()
    }


def prepare(folder):
    (folder / "mex/SRX3").mkdir(parents=True)
    (folder / "droplets").mkdir()
    write_runs(folder / "runs.tsv", ROWS)
    write_runs(folder / "plan.tsv", [row._replace(status="planned") for row in ROWS])
    for ending, first, rows in (
        ("htseq-count", "GENENAME", COUNTS),
        ("log", "FIELD_NAMES", {"Uniquely mapped reads number": [10, 130]}),
    ):
        head = [[name, *values] for name, values in zip((first, "EXP_ID", "TAXON", "GSM"), COLUMNS, strict=True)]
        write_csv_gz(folder / f"mus.{ending}.csv.gz", [*head, *([name, *map(str, rows[name])] for name in rows)])
    write_cells(folder / "mus.h5ad", [[5, 0], [0, 120]], ["SRX1", "SRX2"], {"runs": COLUMNS[0]}, ["A", "B"])
    write_cells(folder / "droplets/GSE2.mus.h5ad", [[1, 0], [7, 5]], ["SRX3_AC", "SRX3_GT"], {}, ["g1", "g2"])
    write_tar(folder / MEX, archive_files())
    record = dict.fromkeys(("GSM1", "GSM2"), SAMPLE)
    write_tar(folder / "mus_meta.tgz", {"mus_meta/GSE1.metadata.json": json.dumps(record).encode()})
    for name, columns, rows in (
        ("samples", SAMPLE_COLUMNS, [["GSE1", "GSM1"], ["GSE1", "GSM2"]]),
        ("series", SERIES_COLUMNS, [["GSE1"]]),
    ):
        lines = [columns, *([*row, *[""] * (len(columns) - len(row))] for row in rows)]
        (folder / f"mus.metadata.{name}.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    (folder / "report.html").write_text("<p>")
    sum_up(folder)
    verify.main([str(folder)])


def sum_up(folder):
    write_sums(
        folder / "SHA256SUMS",
        {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in list_files(folder)},
    )


def spoil_packed(dice, path):
    """Spoil the text in a gzipped file."""
    path.write_bytes(gzip.compress(spoil(dice, gzip.decompress(path.read_bytes())), 1))


def spoil_members(dice, path):
    """Spoil the name or the content of a member of a tarball, or leave one out or write one twice."""
    files = list(read_tar(path).items())
    number = dice.randrange(len(files))
    name, data = files[number]
    kind = dice.choice(("content", "content", "name", "out", "twice"))
    if kind == "content":
        files[number] = name, spoil_json(dice, json.loads(data)) if name.endswith("json") else spoil(dice, data)
    elif kind == "name":
        files[number] = dice.choice(("../../x", "/etc/passwd", "a\nb", "é" * 90, name + "x", "")), data
    elif kind == "out":
        del files[number]
    else:
        files.append(files[number])
    with gzip.open(path, "wb", 1) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def spoil_h5ad(dice, path):
    """Spoil a value or an array of an h5ad."""
    with h5py.File(path, "r+") as root:
        names = []
        root.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = dice.choice(names)
        kind = dice.choice(("value", "type", "length", "shape", "gone", "link", "chunks", "attribute"))
        item = root[name]
        if kind == "value" and item.shape[0]:
            text = item.dtype.kind in "SO"
            item[dice.randrange(item.shape[0])] = b"\xff\0x" if text else dice.choice((-1, 7, 2**31 - 1))
        elif kind == "attribute":
            root["X"].attrs["shape"] = dice.choice(([2**62, 2**62], [-1, 2], "x", [2], [2.5, 2.5], [0, 0]))
        else:
            length = item.shape[0]
            del root[name]
            if kind == "type":
                root[name] = dice.choice((np.full(length, np.nan), np.full(length, b"x"), np.zeros((2, 2)), 5))
            elif kind in ("length", "value"):
                root.create_dataset(name, (10**12,), "i4", chunks=(1 << 16,))
            elif kind == "shape":
                root.create_dataset(name, (10**9,), h5py.string_dtype(), chunks=(1 << 16,))
            elif kind == "chunks":
                root.create_dataset(name, (length,), "i4", maxshape=(None,), chunks=(1 << 29,))
            elif kind == "link":
                root[name] = dice.choice((h5py.ExternalLink("/dev/zero", "/x"), h5py.SoftLink(f"/{name}")))


def replace_file(dice, path):
    """Replace a file by what is no file, or add such a thing beside it."""
    kind = dice.choice(("fifo", "zero", "loop", "folder", "beside", "gone", "system", "name"))
    if kind == "beside":
        path = path.with_name(dice.choice(("more", "more.h5ad", "more.htseq-count.csv.gz", ".snakemake_timestamp")))
        path.write_bytes(b"x")
    elif kind == "name":
        os.close(os.open(os.fsencode(path.parent) + dice.choice((b"/a\xff", b"/a\nb", b"/\x1b[31m")), os.O_CREAT))
    else:
        replace_item(kind, path, {"zero": "/dev/zero", "loop": path.parent, "system": "/proc/kmsg"})


def make(dice, folder):
    """Return one case: its name, the call, and whether it must be refused."""
    names = [*list_files(folder), "SHA256SUMS"]
    name = dice.choice(names)
    path = folder / name
    before = path.read_bytes()
    kind = dice.choice(("bytes", "inside", "inside", "inside", "item"))
    if kind == "item":
        replace_file(dice, path)
    elif kind == "inside" and name.endswith(".h5ad"):
        spoil_h5ad(dice, path)
    elif kind == "inside" and name.endswith(("tar.gz", "tgz")):
        spoil_members(dice, path)
    elif kind == "inside" and name.endswith(".gz"):
        spoil_packed(dice, path)
    elif kind == "inside" and not dice.randrange(4):
        path.write_bytes(before + dice.choice(BYTES))
    else:
        path.write_bytes(spoil(dice, before))
    summed = kind != "item" and name != "SHA256SUMS" and bool(dice.randrange(3))
    if summed:
        sum_up(folder)
    same = kind != "item" and path.read_bytes() == before
    refused = None if same or summed or name == "SHA256SUMS" else True
    return f"{name} {kind}{' summed' if summed else ''}", lambda: verify.main([str(folder)]), refused
