"""Make STAR's index of a genome with its annotated junctions, or link to a ready one."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.core.command import command_parser
from scripts.core.disk.files import atomic_folder
from scripts.core.disk.shared_cache import add_links_option, build_targets
from scripts.core.errors import raise_faults
from scripts.references.index_check import compare_annotation, compare_genome
from scripts.references.make_index import make_index
from scripts.star.program import INDEX_FILES, index_parameters, running_genome_version


def link_index(
    ready: str | Path, genome: str | Path, annotation: str | Path, overhang: int, output: str | Path
) -> None:
    """Make ``output`` a folder of links to a ready index.

    Raises InputError, listing all faults, for an index that is incomplete, is of a version that the installed STAR does
    not read, or is of another genome or annotation.
    """
    ready, output = Path(ready).absolute(), Path(output)
    title = f"The STAR index {ready}"
    missing = [name for name in INDEX_FILES if not (ready / name).is_file()]
    raise_faults(title, [f"{name} is missing." for name in missing])
    parameters = index_parameters(ready)
    faults = []
    made, read = parameters.get("versionGenome", "none"), running_genome_version()
    if made != read:
        faults.append(f"its version is {made}, but the installed STAR reads {read}; make a new index (index: null).")
    faults += [*compare_genome(ready, genome), *compare_annotation(ready, annotation)]
    raise_faults(title, faults)
    if parameters.get("sjdbOverhang") != str(overhang):
        print(
            f"{ready}: made with sjdbOverhang {parameters.get('sjdbOverhang')}; the configured {overhang} is not used.",
            file=sys.stderr,
        )
    if output.is_symlink():
        output.unlink()
    with atomic_folder(output) as folder:
        for path in sorted(ready.iterdir()):
            if path.is_file():
                (folder / path.name).symlink_to(path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = command_parser(__doc__)
    parser.add_argument("--genome", required=True, help="genome of the reference (FASTA)")
    parser.add_argument("--annotation", required=True, help="annotation of the reference (GTF)")
    parser.add_argument("--sjdb-overhang", type=int, default=100, help="longest read minus one")
    parser.add_argument("--ready", help="a ready index to link to, instead of making one")
    parser.add_argument("--threads", type=int, default=1, help="threads of STAR")
    parser.add_argument("--output", required=True, type=Path, help="folder of the index to write")
    add_links_option(parser)
    args = parser.parse_args(argv)

    def made_from() -> Mapping[str, object]:
        described = json.loads(args.output.with_name("reference.json").read_text(encoding="utf-8"))
        options = {"ready": args.ready} if args.ready else {"sjdb_overhang": args.sjdb_overhang}
        return {"fingerprint": described["fingerprint"], "version": running_genome_version(), **options}

    def build(output: Path) -> None:
        if args.ready:
            link_index(args.ready, args.genome, args.annotation, args.sjdb_overhang, output)
        else:
            make_index(args.genome, args.annotation, args.sjdb_overhang, args.threads, output)

    build_targets(args.links, args.output.name, made_from, [args.output], build)
