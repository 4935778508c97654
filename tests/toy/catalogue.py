"""What stands in the toy archives: series, samples, experiments and runs, before any read is made.

=========  ==============================================================================================
GSE900001  mouse plate series: 44 experiments in 45 runs, single and paired, one of two runs, one empty,
           one with orphans, one with a corrupt archive, one whose archive is gone
GSE900002  human droplet series: a v3 library of two runs (index, barcode, cDNA; the first two technical)
           and a v2 library of one run (barcode and cDNA, both biological)
GSE900003  mixed: human and mouse plate cells, a sample of both species, and what must be left out:
           zebrafish, genomic, antibody tags, controlled access, a sample without runs
GSE900004  SuperSeries of the first two
=========  ==============================================================================================
"""

from typing import NamedTuple

MOUSE, HUMAN, ZEBRAFISH = "10090", "9606", "7955"
ORGANISMS = {MOUSE: "Mus musculus", HUMAN: "Homo sapiens", ZEBRAFISH: "Danio rerio"}
PLATFORMS = {MOUSE: "GPL90001", HUMAN: "GPL90002", ZEBRAFISH: "GPL90003"}
REFERENCES = {MOUSE: "mm10", HUMAN: "hg38"}
SPECIES = {MOUSE: "mus", HUMAN: "homo"}

PLATE = "GSE900001"
DROPLET = "GSE900002"
MIXED = "GSE900003"
SUPER = "GSE900004"

TWO_RUNS = "SRX9000007"
EMPTY = "SRX9000012"
ORPHANS = "SRX9000017"
CORRUPT = "SRR9000023"
GONE = "SRR9000031"
LIBRARY_V3 = "SRX9000101"
LIBRARY_V2 = "SRX9000102"
TWO_SPECIES = "SRX9000213"
CONTROLLED = "SRR9000214"


class Experiment(NamedTuple):
    """A sample and its experiment (one of each, as GEO has it); ``accession`` is empty where GEO names none."""

    series: str
    sample: str
    accession: str
    runs: tuple[str, ...]
    kind: str  # plate, droplet; other kinds are left out of counting and have records only
    tax_ids: tuple[str, ...]
    title: str
    ends: int  # reads of a spot that the submitter would call ends: 1 single, 2 paired
    fragments: int = 0  # of a plate cell, over all runs
    kit: str = ""  # of a droplet library
    strategy: str = "RNA-Seq"
    source: str = "TRANSCRIPTOMIC SINGLE CELL"
    selection: str = "cDNA"
    characteristics: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The digits of the accessions, by which those of the BioSample and the SRA sample are formed."""
        return self.sample[3:]

    @property
    def srs(self) -> str:
        return f"SRS{self.number}"

    @property
    def biosample(self) -> str:
        return f"SAMN9{self.number}"


class Series(NamedTuple):
    """A GEO series, its SRA study and BioProject (empty for a SuperSeries), and its experiments."""

    accession: str
    title: str
    summary: str
    study: str
    project: str
    experiments: tuple[Experiment, ...]
    parts: tuple[str, ...] = ()


def _plate_series() -> tuple[Experiment, ...]:
    made = []
    for number in range(1, 45):
        experiment = f"SRX90{number:05d}"
        runs = [f"SRR90{number:05d}"]
        if experiment == TWO_RUNS:
            runs.append("SRR9000045")
        made.append(
            Experiment(
                PLATE,
                f"GSM90{number:05d}",
                experiment,
                tuple(runs),
                "plate",
                (MOUSE,),
                f"cortex_plate1_{'ABCDEFGH'[number % 8]}{number % 12 + 1:02d}",
                ends=1 + number % 2,
                fragments=0 if experiment == EMPTY else 300 + (number * 197) % 700,
                characteristics=(
                    "strain: C57BL/6J",
                    f"age: P{20 + number % 3}",
                    f"cell type: {('Müller glia', 'neuron', 'µglia: activated')[number % 3]}",
                    f"well: {number}",
                ),
            )
        )
    return tuple(made)


def _droplet_series() -> tuple[Experiment, ...]:
    first = Experiment(
        DROPLET,
        "GSM9000101",
        LIBRARY_V3,
        ("SRR9000101", "SRR9000102"),
        "droplet",
        (HUMAN,),
        "organoid day 40, 10x 3' v3",
        ends=2,
        kit="v3",
        characteristics=("tissue: brain organoid", "age: day 40"),
    )
    second = first._replace(
        sample="GSM9000102",
        accession=LIBRARY_V2,
        runs=("SRR9000103",),
        title="organoid day 80, 10x 3' v2",
        kit="v2",
        characteristics=("tissue: brain organoid", "age: day 80"),
    )
    return first, second


def _mixed_series() -> tuple[Experiment, ...]:
    made = []
    for number in range(201, 210):
        tax_id = HUMAN if number < 207 else MOUSE
        made.append(
            Experiment(
                MIXED,
                f"GSM9000{number}",
                f"SRX9000{number}",
                (f"SRR9000{number}",),
                "plate",
                (tax_id,),
                f"{ORGANISMS[tax_id].split()[1]} cell {number - 200}",
                ends=1 + number % 2,
                fragments=300 + number % 7 * 60,
                characteristics=("tissue: blood", f"donor: {'D1' if number % 2 else 'D2'}"),
            )
        )

    def other(number: int, kind: str, tax_id: str, title: str, **more: object) -> Experiment:
        like = Experiment(
            MIXED,
            f"GSM9000{number}",
            f"SRX9000{number}",
            (f"SRR9000{number}",),
            kind,
            (tax_id,),
            title,
            ends=2,
            characteristics=("tissue: blood",),
        )
        return like._replace(**more)

    made += [
        other(210, "other_species", ZEBRAFISH, "zebrafish cell 1"),
        other(211, "genomic", MOUSE, "mouse tail DNA", strategy="WGS", source="GENOMIC", selection="RANDOM"),
        other(212, "no_run", HUMAN, "human cell, reads not deposited", accession="", runs=()),
        other(213, "plate", HUMAN, "mixture of human and mouse", tax_ids=(HUMAN, MOUSE), fragments=600),
        other(214, "controlled", HUMAN, "patient cell, dbGaP"),
        other(
            215,
            "antibody_tags",
            HUMAN,
            "PBMC CITE-seq, ADT library",
            strategy="OTHER",
            source="OTHER",
            selection="other",
            characteristics=("tissue: blood", "library: ADT (antibody-derived tags)"),
        ),
    ]
    return tuple(made)


def toy_series() -> dict[str, Series]:
    """Return accession → series."""
    plate = Series(
        PLATE,
        "Single cells of the toy mouse cortex",
        "Cells were picked by hand and sequenced one by one, α to ω.",
        "SRP900001",
        "PRJNA900001",
        _plate_series(),
    )
    droplet = Series(
        DROPLET,
        "Droplets of toy human organoids",
        "Two libraries of different kits; naïve and matured.",
        "SRP900002",
        "PRJNA900002",
        _droplet_series(),
    )
    mixed = Series(
        MIXED,
        "Cells of several species",
        "Human and mouse cells, a fish for comparison, and a genome.",
        "SRP900003",
        "PRJNA900003",
        _mixed_series(),
    )
    both = Series(
        SUPER,
        "The toy atlas",
        "This SuperSeries is composed of the SubSeries listed below.",
        "",
        "PRJNA900004",
        plate.experiments + droplet.experiments,
        (PLATE, DROPLET),
    )
    return {series.accession: series for series in (plate, droplet, mixed, both)}
