"""A small library as STARsolo leaves it: four barcodes of a list, three with reads, two with counts."""

from pathlib import Path

BARCODES = ("AAAA", "CCCC", "GGGG", "TTTT")
MATRIX = "%%MatrixMarket matrix coordinate integer general\n%\n3 4 3\n1 2 5\n3 2 1\n2 4 2\n"
SHARED = "%%MatrixMarket matrix coordinate real general\n%\n3 4 4\n1 2 5.5\n3 2 1\n2 3 0.5\n2 4 2\n"
CELL_READS = (
    "CB\tcbMatch\tcountedU\tcountedM\n"
    "CBnotInPasslist\t9\t0\t0\n"
    "TTTT\t4\t3\t0\n"  # in any order
    "GGGG\t2\t0\t2\n"
    "AAAA\t1\t0\t0\n"
    "CCCC\t9\t8\t1\n"
)
SUMMARY = "Number of Reads,20\nReads With Valid Barcodes,0.9\nReads Mapped to Gene: Unique Gene,0.55\n"
STATISTICS = "   yessubWLmatch_UniqueFeature    11\n   yesUMIs    8\n"


def write_counted(folder: Path) -> Path:
    """Write the output of STAR to a folder; return that."""
    gene = folder / "Solo.out/Gene"
    (gene / "raw").mkdir(parents=True)
    (folder / "Log.out").write_text("STAR version=2.7.10b\n##### Command Line:\nSTAR --runThreadN 1\n")
    (folder / "Log.final.out").write_text("log\n")
    (folder / "Solo.out/Barcodes.stats").write_text("statistics\n")
    (gene / "Summary.csv").write_text(SUMMARY)
    (gene / "Features.stats").write_text(STATISTICS)
    (gene / "CellReads.stats").write_text(CELL_READS)
    (gene / "raw/barcodes.tsv").write_text("".join(f"{barcode}\n" for barcode in BARCODES))
    (gene / "raw/features.tsv").write_text("".join(f"G{n}\tg{n}\tGene Expression\n" for n in range(3)))
    (gene / "raw/matrix.mtx").write_text(MATRIX)
    (gene / "raw/UniqueAndMult-EM.mtx").write_text(SHARED)
    return folder
