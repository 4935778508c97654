"""A small MEX archive in its parts, and ways to write it."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from scripts.droplets.mex.mex_writer import TYPE, write_archive

FIELDS = {
    "type": TYPE,
    "software": "STAR",
    "software_version": "2.7.10b",
    "arguments": "STAR --soloType CB_UMI_Simple\n",
    "output_type": "unfiltered sparse gene count matrix of unique reads",
    "experiment_accession": "SRX1",
    "description": 'a "quoted"\ttitle, π',
    "library_accession": "GSM1",
}

BARCODES = b"AAAC\nAAAG\nCCCC\n"

FEATURES = b"ENSG1\tNA\tGene Expression\nENSG2\tB\tGene Expression\n"

MATRIX = b"%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n1 1 5\n2 1 1\n2 3 12\n"

DENSE = [[5, 0, 0], [1, 0, 12]]

METADATA = (
    "name\tvalue\ntype\tMexGeneArchive_v1\nsoftware\tSTAR\nsoftware_version\t2.7.10b\n"
    "arguments\tSTAR --soloType CB_UMI_Simple\noutput_type\tunfiltered sparse gene count matrix of unique reads\n"
    'experiment_accession\tSRX1\ndescription\ta "quoted" title, π\nlibrary_accession\tGSM1\n'
    + "".join(
        f"Gene/raw/{name}\tmd5sum:{hashlib.md5(content).hexdigest()}\n"
        for name, content in (("barcodes.tsv", BARCODES), ("features.tsv", FEATURES), ("matrix.mtx", MATRIX))
    )
)

PARTS = {"metadata.tsv": METADATA.encode(), "barcodes.tsv": BARCODES, "features.tsv": FEATURES, "matrix.mtx": MATRIX}


def write(path: Path, **more) -> Path:
    parts = {"barcodes": BARCODES, "features": FEATURES, "matrix": MATRIX} | more
    write_archive(path, "Gene/raw", "matrix.mtx", fields=FIELDS, **parts)
    return path


def pack(members, compress=True) -> io.BytesIO:
    """Return a tar of (name, content) or of (TarInfo, content) pairs, written by Python's own tarfile."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    content = buffer.getvalue()
    return io.BytesIO(gzip.compress(content) if compress else content)


def members(**changed):
    return [(f"Gene/raw/{name}", content) for name, content in (PARTS | changed).items()]


def write_made(path, made):
    names, features, dense, description = made
    lines = [
        b"%d %d %d\n" % (row + 1, column + 1, dense[row, column])
        for column, row in zip(*dense.T.nonzero(), strict=True)
    ]
    head = b"%%%%MatrixMarket matrix coordinate integer general\n%%\n%d %d %d\n" % (*dense.shape, len(lines))
    write_archive(
        path,
        "Gene/raw",
        "matrix.mtx",
        fields=FIELDS | {"description": description},
        barcodes="".join(f"{name}\n" for name in names).encode(),
        features="".join("\t".join(row) + "\n" for row in features).encode(),
        matrix=head + b"".join(lines),
    )
