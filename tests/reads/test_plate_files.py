"""Which files of a plate run are aligned: what read_roles says, else the reads that are no index."""

from pathlib import Path

import pytest

from scripts.core.errors import RunFault
from scripts.plan.run_table import Run
from scripts.reads.conversion import plate_files


def files(folder: Path, *lengths: int, unpaired: bool = False) -> dict[str, Path]:
    """Return files of one read each, of so many bases, by their names."""
    found = {}
    for number, length in enumerate(lengths, 1):
        found[f"SRR1_{number}.fastq"] = folder / f"{number}.fastq"
        found[f"SRR1_{number}.fastq"].write_text(f"@r\n{'A' * length}\n+\n{'I' * length}\n")
    if unpaired or not lengths:
        found["SRR1.fastq"] = folder / "unpaired.fastq"
    return found


@pytest.mark.parametrize(
    ("lengths", "roles", "layout", "expected"),
    [
        ((75, 75), "", "paired", {"SRR1_1.fastq": "1.fastq", "SRR1_2.fastq": "2.fastq"}),
        ((75, 75), "cdna,cdna2", "paired", {"SRR1_1.fastq": "1.fastq", "SRR1_2.fastq": "2.fastq"}),
        ((75, 75), "cdna2,cdna", "paired", {"SRR1_1.fastq": "2.fastq", "SRR1_2.fastq": "1.fastq"}),
        ((75, 75), "cdna,none", "single", {"SRR1.fastq": "1.fastq"}),
        ((75, 75), "none,cdna", "single", {"SRR1.fastq": "2.fastq"}),
        ((75, 8), "", "single", {"SRR1.fastq": "1.fastq"}),
        ((8, 75), "", "single", {"SRR1.fastq": "2.fastq"}),
        ((8, 8), "", "paired", {"SRR1_1.fastq": "1.fastq", "SRR1_2.fastq": "2.fastq"}),
        ((75, 8, 75), "", "paired", {"SRR1_1.fastq": "1.fastq", "SRR1_2.fastq": "3.fastq"}),
        ((75, 8, 75), "none,index,cdna", "single", {"SRR1.fastq": "3.fastq"}),
        ((75, 75), "index,cdna,cdna2", "paired", {"SRR1_1.fastq": "1.fastq", "SRR1_2.fastq": "2.fastq"}),
        ((), "", "single", {"SRR1.fastq": "unpaired.fastq"}),
    ],
)
def test_what_is_aligned(
    tmp_path: Path, lengths: tuple[int, ...], roles: str, layout: str, expected: dict[str, str]
) -> None:
    found, told = plate_files(Run(run="SRR1", read_roles=roles), files(tmp_path, *lengths))
    assert ({name: path.name for name, path in found.items()}, told) == (expected, layout)


@pytest.mark.parametrize("lengths", [(28, 90), (26, 98), (91, 28), (20, 50), (32, 48)])
def test_reads_of_a_droplet_library_are_no_cell(tmp_path: Path, lengths: tuple[int, int]) -> None:
    words = f"its reads have {lengths[0]} and {lengths[1]} bases, as barcode and cDNA of a droplet library have"
    for source in ("sra", "file:a;b"):
        with pytest.raises(RunFault, match=words) as fault:
            plate_files(Run(run="SRR1", source=source), files(tmp_path, *lengths))
        assert fault.value.reason == "LAYOUT_AMBIGUOUS"
    for roles, layout in (("cdna,cdna2", "paired"), ("none,cdna", "single")):
        assert plate_files(Run(run="SRR1", read_roles=roles), files(tmp_path, *lengths))[1] == layout


@pytest.mark.parametrize("lengths", [(25, 25), (33, 98), (32, 47), (30, 36)])
def test_short_mates_are_mates(tmp_path: Path, lengths: tuple[int, int]) -> None:
    assert plate_files(Run(run="SRR1"), files(tmp_path, *lengths))[1] == "paired"


def test_local_mates_of_a_few_bases(tmp_path: Path) -> None:
    """What the run table says is obeyed, and a read that was trimmed is no index."""
    row = Run(run="SRR1", layout="paired", source="file:a;b")
    assert plate_files(row, files(tmp_path, 75, 8))[1] == "paired"
    found = files(tmp_path, 75, 8)
    with found["SRR1_2.fastq"].open("a") as handle:
        handle.write(f"@s\n{'A' * 75}\n+\n{'I' * 75}\n")
    assert plate_files(Run(run="SRR1"), found)[1] == "paired"


@pytest.mark.parametrize(("lengths", "roles", "unpaired"), [((75, 75, 75), "", False), ((75, 75), "cdna,none", True)])
def test_what_no_evidence_decides(tmp_path: Path, lengths: tuple[int, ...], roles: str, unpaired: bool) -> None:
    with pytest.raises(RunFault, match=rf"a plate run with {len(lengths)} reads a spot, of {str(lengths)[1:-1]} bases"):
        plate_files(Run(run="SRR1", read_roles=roles), files(tmp_path, *lengths, unpaired=unpaired))
