"""STAR's index of a genome with its annotated junctions.

Options that depend on the genome follow STAR's manual: genomeSAindexNbases is log2(bases)/2 - 1, at most 14;
genomeChrBinNbits is log2(bases / contigs), at most 18 and at least that of a read's length.

limitGenomeGenerateRAM does not bound the memory of STAR, but decides into how many pieces the suffixes are cut that its
threads sort (Genome_genomeGenerate.cpp): with G bytes of sequence (two a base) each of T threads sorts
0.6 (limit - G) / (8 T) suffixes, or a piece of all / (T - 1), if that is less, and glibc's qsort holds them twice. By
the default, 31 GB, suffixes of genomes below one gigabase are one piece for each thread, 36 bytes a base in all; with
two threads one of them sorts all. With nine bytes a base, sorting holds 2 + 1.2 x 7 = 10.4 bytes a base, less than
what comes after it, and every thread has pieces to sort.
"""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.core.disk.files import atomic_folder
from scripts.core.errors import InputError, raise_faults
from scripts.references.fasta import contig_lengths
from scripts.references.index_check import compare_annotation, compare_genome
from scripts.star.program import INDEX_FILES, run_star

_LEAST_LIMIT = 2_000_000_000
_LIMIT_A_BASE = 9


def size_options(bases: int, contigs: int, overhang: int) -> dict[str, int]:
    """Return the options that depend on the size of the genome and the number of its contigs."""
    longest_read = overhang + 1
    return {
        "genomeSAindexNbases": max(1, min(14, int(math.log2(bases) / 2 - 1))),
        "genomeChrBinNbits": min(18, int(math.log2(max(bases / contigs, longest_read)))),
        "limitGenomeGenerateRAM": max(_LEAST_LIMIT, _LIMIT_A_BASE * bases),
    }


def make_index(genome: str | Path, annotation: str | Path, overhang: int, threads: int, output: str | Path) -> None:
    """Make an index into the folder ``output``. Raises InputError in STAR's words where it fails, leaving nothing."""
    output = Path(output)
    lengths = contig_lengths(genome)
    if not lengths:
        raise InputError(f"{genome}: the file holds no sequence.")
    if output.is_symlink():
        output.unlink()
    arguments = ["--runMode", "genomeGenerate", "--runDirPerm", "All_RWX", "--runThreadN", str(threads)]
    arguments += ["--genomeFastaFiles", "genome.fa", "--sjdbGTFfile", "annotation.gtf", "--sjdbOverhang", str(overhang)]
    for name, value in size_options(sum(lengths.values()), len(lengths), overhang).items():
        arguments += [f"--{name}", str(value)]
    with atomic_folder(output) as index, TemporaryDirectory(prefix=".star_index.", dir=output.parent) as run:
        # STAR splits a path at blanks: it gets links.
        for name, path in {"genome.fa": genome, "annotation.gtf": annotation, "index": index}.items():
            Path(run, name).symlink_to(Path(path).absolute())
        arguments += ["--genomeDir", "index", "--outFileNamePrefix", "./"]
        status, complaint = run_star(arguments, run)
        if status:
            raise InputError(f"STAR could not make the index of {genome}: {complaint}")
        missing = [name for name in INDEX_FILES if not (index / name).is_file() or not (index / name).stat().st_size]
        if missing:
            raise InputError(f"STAR made an index without {', '.join(missing)}; is the disk full?")
        faults = [*compare_genome(index, genome), *compare_annotation(index, annotation)]
        raise_faults("The index that STAR has made", faults)
