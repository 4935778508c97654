"""Cases for :mod:`tests.fuzzing`: a small MEX archive in which something is wrong, for all that reads it."""

import gzip
import hashlib
import io
import tarfile

from scripts.droplets import mex_archive
from scripts.droplets.mex.mex_reader import read_archive
from tests.fuzzing import spoil

MATRIX = b"%%MatrixMarket matrix coordinate integer general\n%\n2 3 4\n1 1 1\n2 1 7\n2 2 5\n1 3 12\n"
FILES = {
    "metadata.tsv": b"name\tvalue\ntype\tMexGeneArchive_v1\nsoftware\tSTAR\nsoftware_version\t2.7.11b\narguments\t--x\n"
    b"output_type\tsparse gene count matrix\nexperiment_accession\tSRX1\ndescription\ttitle\nlibrary_accession\tGSM1\n",
    "barcodes.tsv": b"ACGT\nACGA\nTTTT\n",
    "features.tsv": b"ENSG1\tA\tGene Expression\nENSG2\tB\tGene Expression\n",
    "matrix.mtx": MATRIX,
}
SIZES = (b"2 2147483648 4", b"2147483647 3 4", b"2 3 1", b"2 3 99999999", b"-1 -1 -1", b"0 0 0", b"nan 3 4", b"9" * 18)
NAMES = (
    "../../x/barcodes.tsv",
    "/etc/barcodes.tsv",
    "Gene/raw/a\nb",
    "Gene/raw/evil.sh",
    "Gene/filtered/matrix.mtx",
    "",
)


def pack(files, kinds=None, summed=True):
    """Return an archive of name → content, with the md5 sums in the metadata."""
    files = dict(files)
    if summed:
        sums = "".join(f"{name}\tmd5sum:{hashlib.md5(data).hexdigest()}\n" for name, data in list(files.items())[1:])
        first = next(iter(files))
        files[first] += sums.encode(errors="surrogateescape")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.type = (kinds or {}).get(name, tarfile.REGTYPE)
            member.linkname = "/etc/passwd" if member.type != tarfile.REGTYPE else ""
            archive.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return made.getvalue()


def prepare(folder):
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(gzip.compress(pack({f"Gene/raw/{name}": data for name, data in FILES.items()})))
    for command in COMMANDS:
        COMMANDS[command](folder)()


COMMANDS = {
    "read": lambda folder: lambda: read_archive(folder / "a.tar.gz"),
    "show": lambda folder: lambda: mex_archive.main(["show", str(folder / "a.tar.gz")]),
    "verify": lambda folder: lambda: mex_archive.main(["verify", str(folder / "a.tar.gz")]),
    "unpack": lambda folder: lambda: mex_archive.main(["unpack", str(folder / "a.tar.gz"), "--output", str(folder)]),
    "convert": lambda folder: (
        lambda: mex_archive.main(["convert", str(folder / "a.tar.gz"), "--output", str(folder / "a.h5ad")])
    ),
}


def make(dice, folder):
    """Return one case: its name, the call, and whether it must be refused."""
    command = dice.choice(("read", "show", "verify", "unpack", "read", "show", "verify", "unpack", "convert"))
    files = {f"Gene/raw/{name}": data for name, data in FILES.items()}
    sound = pack(files)
    name = dice.choice(list(files))
    kind = dice.choice(("content", "content", "content", "size", "name", "type", "out", "tar", "gzip"))
    kinds, summed, refused = {}, True, None
    if kind == "content":
        summed = bool(dice.randrange(3))
        before = files[name]
        files[name] = spoil(dice, before)
        # A sum of another content is in the metadata: everything but show's caller sees it.
        refused = True if name.endswith(("barcodes.tsv", "features.tsv", "mtx")) and not summed else None
    elif kind == "size":
        files["Gene/raw/matrix.mtx"] = MATRIX.replace(b"2 3 4", dice.choice(SIZES))
        refused = True if command in ("read", "show", "convert") else None
    elif kind == "name":
        files = {(dice.choice(NAMES) if each == name else each): data for each, data in files.items()}
        refused = True
    elif kind == "type":
        kinds = {name: dice.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"x", b"L"))}
        refused = True
    elif kind == "out":
        del files[name]
        refused = True
    data = pack(files, kinds, summed) if files else sound
    if kind == "tar":
        data = spoil(dice, sound)
    packed = gzip.compress(data, 1)
    if kind == "gzip":
        packed = spoil(dice, packed)
    (folder / "a.tar.gz").write_bytes(packed)
    return f"{command}: {name} {kind}{' summed' if summed else ''}", COMMANDS[command](folder), refused
