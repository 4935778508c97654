"""The archives' answers about the toy world, in their true form: GEO SOFT, E-utilities, ENA file reports, SDL.

Addresses of files are written with the placeholder host :data:`HOST`, which the server replaces by its own.
"""

import datetime
import gzip
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.toy import catalogue, entrez
from tests.toy.archives import Archive
from tests.toy.catalogue import ORGANISMS, PLATFORMS, Experiment, Series
from tests.toy.genomes import write_text

if TYPE_CHECKING:
    from tests.toy.world import World

HOST = "toy.invalid"
URL = f"http://{HOST}"
DATE = "2021-03-04 05:06:07"
LOAD_SIZE_GAP = 2120  # a run's own size falls short of its file's, as in real records

# Of runs that are left out of counting there are records only; their figures are invented.
_RECORD_ONLY = {
    "other_species": Archive(1000, 150000, 90001, "", ((1000, 75.0, 0.0), (1000, 75.0, 0.0)), "BB"),
    "genomic": Archive(2000, 604000, 310002, "", ((2000, 151.0, 0.0), (2000, 151.0, 0.0)), "BB"),
    "controlled": Archive(1500, 225000, 120003, "", ((1500, 75.0, 0.0), (1500, 75.0, 0.0)), "BB"),
    "outside": Archive(9000, 1071000, 900005, "", ((9000, 28.0, 0.0), (9000, 91.0, 0.0)), "BB"),
    "antibody_tags": Archive(3000, 159000, 99004, "", ((3000, 28.0, 0.0), (3000, 25.0, 0.0)), "BB"),
}

RUNINFO_COLUMNS = (
    "Run,ReleaseDate,LoadDate,spots,bases,spots_with_mates,avgLength,size_MB,AssemblyName,download_path,Experiment,"
    "LibraryName,LibraryStrategy,LibrarySelection,LibrarySource,LibraryLayout,InsertSize,InsertDev,Platform,Model,"
    "SRAStudy,BioProject,Study_Pubmed_id,ProjectID,Sample,BioSample,SampleType,TaxID,ScientificName,SampleName,"
    "g1k_pop_code,source,g1k_analysis_group,Subject_ID,Sex,Disease,Tumor,Affection_Status,Analyte_Type,"
    "Histological_Type,Body_Site,CenterName,Submission,dbgap_study_accession,Consent,RunHash,ReadHash"
).split(",")


OUTSIDE = "DRP900005"
"""A study that was submitted to DDBJ and is in no series of GEO; there are records of it alone."""


def outside_study() -> Series:
    """Return the study of a droplet library that is not in GEO."""
    library = Experiment(
        OUTSIDE,
        "DRS9000301",
        "DRX9000301",
        ("DRR9000301",),
        "outside",
        (catalogue.MOUSE,),
        "10x Chromium, single cells of the toy liver",
        ends=2,
        characteristics=("tissue: liver",),
    )
    summary = "Hepatocytes, by 10x Genomics Chromium."
    return Series(OUTSIDE, "Single cells of a toy liver", summary, OUTSIDE, "PRJDB900005", (library,))


class Records:
    """The answers of all archives about one world, on the day ``today``.

    All series were published on ``DATE``, and are whole. :meth:`show`, :meth:`publish` and :meth:`withdraw` change
    that; a series that is published on a later day is private.
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.today = "2026-11-30"
        self._published: dict[str, str] = {}
        self._shown: dict[str, int] = {}
        self._withdrawn: set[str] = set()
        self.studies = {OUTSIDE: outside_study()}
        outside = {one.accession: one for study in self.studies.values() for one in study.experiments}
        self._run_of = {run: one for one in {**world.experiments, **outside}.values() for run in one.runs}
        self._runs: dict[str, Archive] = dict(world.archives)
        self._everything = {**world.experiments, **outside}
        self._update()
        for run, experiment in self._run_of.items():
            if experiment.kind in _RECORD_ONLY:
                md5 = hashlib.md5(run.encode(), usedforsecurity=False).hexdigest()
                self._runs[run] = _RECORD_ONLY[experiment.kind]._replace(md5=md5)

    def show(self, series: str, samples: int) -> None:
        """Let a series have so many samples, its first ones, and so its SuperSeries."""
        self._shown[series] = samples
        self._update()

    def publish(self, series: str, day: str, today: str = "") -> None:
        """Publish a series, or a study, on a day (YYYY-MM-DD), and make it ``today``."""
        self._published[series] = day
        self.today = today or self.today
        self._update()

    def withdraw(self, series: str) -> None:
        """Withdraw a series: its accession is kept, with a note; it has no sample and no run any more."""
        self._withdrawn.add(series)
        self._update()

    def published(self, series: str) -> str:
        """Return the day of publication, also of the last update, as YYYY-MM-DD."""
        return self._published.get(series, DATE[:10])

    def _update(self) -> None:
        """Make what is public today of the world."""
        public = {name: one for name, one in self.world.series.items() if self.published(name) <= self.today}
        hidden = set()
        for name, one in self.world.series.items():
            if one.parts:
                continue
            gone = name not in public or name in self._withdrawn
            shown = 0 if gone else self._shown.get(name, len(one.experiments))
            hidden |= {experiment.sample for experiment in one.experiments[shown:]}
        self.series = {
            name: one._replace(experiments=tuple(item for item in one.experiments if item.sample not in hidden))
            for name, one in public.items()
        }
        outside = [study for study in self.studies.values() if self.published(study.accession) <= self.today]
        shown_ones = {item.accession for one in (*self.series.values(), *outside) for item in one.experiments}
        self.experiments = {name: one for name, one in self._everything.items() if name in shown_ones}
        self._soft: dict[str, bytes] = {}
        self._packages: dict[str, ET.Element] = {}

    # GEO -------------------------------------------------------------------------------------------------------------

    def soft(self, series: str) -> bytes:
        """Return the gzip'd family file of a series."""
        if series not in self._soft:
            text = "".join(f"{line}\n" for line in self._soft_lines(self.series[series]))
            self._soft[series] = gzip.compress(text.encode(), mtime=0)
        return self._soft[series]

    def _soft_lines(self, series: Series) -> Iterator[str]:
        yield "^DATABASE = GeoMiame"
        yield "!Database_name = Gene Expression Omnibus (GEO)"
        yield "!Database_institute = NCBI NLM NIH"
        yield "!Database_web_link = http://www.ncbi.nlm.nih.gov/geo"
        yield "!Database_email = geo@ncbi.nlm.nih.gov"
        yield f"^SERIES = {series.accession}"
        tax_ids = sorted({tax_id for experiment in series.experiments for tax_id in experiment.tax_ids})
        about = [
            ("title", series.title),
            ("geo_accession", series.accession),
            ("status", self._status_of(series.accession)),
            ("submission_date", "Feb 01 2021"),
            ("last_update_date", geo_date(self.published(series.accession), "Mar 05 2021")),
            ("pubmed_id", "99999901"),
            ("summary", series.summary),
            ("overall_design", f"{len(series.experiments)} samples of {len(tax_ids)} species."),
            ("type", "Expression profiling by high throughput sequencing"),
            ("contributor", "José,,Muñoz"),
            ("contributor", "Ada,M,Toy"),
            *(("sample_id", experiment.sample) for experiment in series.experiments),
            ("contact_name", "Ada,M,Toy"),
            ("contact_email", "ada@example.org"),
            ("contact_institute", "Institute of Toys"),
            ("contact_address", "1, Short Street"),
            ("contact_city", "Zürich"),
            ("contact_zip/postal_code", "8000"),
            ("contact_country", "Switzerland"),
            ("supplementary_file", f"ftp://ftp.ncbi.nlm.nih.gov/geo/series/{stub(series.accession)}/"
             f"{series.accession}/suppl/{series.accession}_RAW.tar"),
            *(("platform_id", PLATFORMS[tax_id]) for tax_id in tax_ids),
            *(("platform_taxid", tax_id) for tax_id in tax_ids),
            *(("sample_taxid", tax_id) for tax_id in tax_ids),
            *(("relation", f"SuperSeries of: {part}") for part in series.parts),
            *(
                ("relation", f"SubSeries of: {other.accession}")
                for other in self.series.values()
                if series.accession in other.parts
            ),
            ("relation", f"BioProject: https://www.ncbi.nlm.nih.gov/bioproject/{series.project}"),
        ]  # fmt: skip
        if series.study:
            about.append(("relation", f"SRA: https://www.ncbi.nlm.nih.gov/sra?term={series.study}"))
        yield from (f"!Series_{name} = {value}" for name, value in about)
        for tax_id in tax_ids:
            yield from self._platform_lines(tax_id)
        for experiment in series.experiments:
            yield from self._sample_lines(experiment)

    def _status_of(self, series: str) -> str:
        date = geo_date(self.published(series), "Mar 04 2021")
        return (
            f"Withdrawn on {date}: at the request of the authors" if series in self._withdrawn else f"Public on {date}"
        )

    def _platform_lines(self, tax_id: str) -> Iterator[str]:
        table = ("ID\tSEQUENCE\tNOTE", "1\tACGT\t^SAMPLE = no sample", "2\tTTTT\t!Sample_geo_accession = no sample")
        yield f"^PLATFORM = {PLATFORMS[tax_id]}"
        about = [
            ("title", f"Illumina NextSeq 500 ({ORGANISMS[tax_id]})"),
            ("geo_accession", PLATFORMS[tax_id]),
            ("status", "Public on Apr 15 2014"),
            ("technology", "high-throughput sequencing"),
            ("distribution", "virtual"),
            ("organism", ORGANISMS[tax_id]),
            ("taxid", tax_id),
            ("contact_name", ",,GEO"),
            ("contact_country", "USA"),
            ("data_row_count", str(len(table) - 1)),
        ]
        yield from (f"!Platform_{name} = {value}" for name, value in about)
        yield "#ID = "
        yield "#SEQUENCE = bases of an adapter"
        yield "!platform_table_begin"
        yield from table
        yield "!platform_table_end"

    def _sample_lines(self, experiment: Experiment) -> Iterator[str]:
        yield f"^SAMPLE = {experiment.sample}"
        about = [
            ("title", experiment.title),
            ("geo_accession", experiment.sample),
            ("status", "Public on Mar 04 2021"),
            ("submission_date", "Feb 01 2021"),
            ("last_update_date", "Mar 05 2021"),
            ("type", "SRA"),
            ("channel_count", "1"),
            ("source_name_ch1", experiment.characteristics[0].partition(": ")[2]),
            *(("organism_ch1", ORGANISMS[tax_id]) for tax_id in experiment.tax_ids),
            *(("taxid_ch1", tax_id) for tax_id in experiment.tax_ids),
            *(("characteristics_ch1", value) for value in experiment.characteristics),
            ("molecule_ch1", "genomic DNA" if experiment.strategy == "WGS" else "polyA RNA"),
            ("extract_protocol_ch1", "Cells were taken up at 4 °C."),
            ("extract_protocol_ch1", "Libraries were made as the kit's manual says."),
            ("description", f"Sample number {int(experiment.number) % 1000}"),
            ("data_processing", "Genome_build: toy"),
            ("platform_id", PLATFORMS[experiment.tax_ids[0]]),
            ("contact_name", "Ada,M,Toy"),
            ("contact_country", "Switzerland"),
            ("instrument_model", "Illumina NextSeq 500"),
            ("library_selection", experiment.selection),
            ("library_source", experiment.source.lower()),
            ("library_strategy", experiment.strategy),
            ("relation", f"BioSample: https://www.ncbi.nlm.nih.gov/biosample/{experiment.biosample}"),
        ]
        if experiment.accession:
            about.append(("relation", f"SRA: https://www.ncbi.nlm.nih.gov/sra?term={experiment.accession}"))
        about.append(("supplementary_file_1", "NONE"))
        about += [
            ("series_id", series.accession)
            for series in self.series.values()
            if any(other.sample == experiment.sample for other in series.experiments)
        ]
        about.append(("data_row_count", "0"))
        yield from (f"!Sample_{name} = {value}" for name, value in about)

    # E-utilities -----------------------------------------------------------------------------------------------------

    def find_experiments(self, term: str) -> list[str]:
        """Return the uids of ``db=sra`` that a search term names by accession, newest first as Entrez gives them.

        A term with fields is searched as Entrez does.
        """
        if re.search(r"\[(?!accn)", term, re.IGNORECASE):
            return entrez.search(term, map(self._sra_document, self.experiments.values())).uids
        wanted = re.findall(r"\b[A-Z]{3,6}\d+\b", term)
        hits = {uid(accession) for name in wanted for accession in self.experiments_of(name)}
        return sorted(hits, key=int, reverse=True)

    def find_series(self, term: str) -> entrez.Found:
        """Return what a search term finds in ``db=gds``: series and samples."""
        return entrez.search(term, self._gds_documents())

    def _gds_documents(self) -> Iterator[entrez.Document]:
        for series in self.series.values():
            organisms = self._tax_ids_of(series.accession)
            texts = (series.title.lower(), series.summary.lower())
            fields = {
                "entry": ("gse",),
                "type": ("expression profiling by high throughput sequencing",),
                "accession": [series.accession.lower(), *(one.sample.lower() for one in series.experiments)],
                "text": texts,
                **self._common_fields(series.accession, organisms),
            }
            yield entrez.Document(f"2{int(series.accession[3:]):08d}", fields)
        samples = {one.sample: one for series in self.series.values() for one in series.experiments}
        for gsm, one in samples.items():
            fields = {"entry": ("gsm",), "accession": (gsm.lower(), one.series.lower()), "text": (one.title.lower(),)}
            yield entrez.Document(f"3{int(gsm[3:]):08d}", {**fields, **self._common_fields(one.series, one.tax_ids)})

    def _tax_ids_of(self, series: str) -> list[str]:
        """Return the tax ids of a series, also of one that was withdrawn."""
        return sorted({tax_id for one in self.world.series[series].experiments for tax_id in one.tax_ids})

    def _sra_document(self, one: Experiment) -> entrez.Document:
        fields = {
            "accession": (one.accession.lower(),),
            "text": (one.title.lower(),),
            "source": (one.source.lower(),),
            "strategy": (one.strategy.lower(),),
            "access": ("controlled" if one.kind == "controlled" else "public",),
        }
        return entrez.Document(uid(one.accession), {**fields, **self._common_fields(one.series, one.tax_ids)})

    def _common_fields(self, series: str, tax_ids: Iterable[str]) -> dict[str, list[str]]:
        date = self.published(series).replace("-", "/")
        organisms = [name for tax_id in tax_ids for name in (ORGANISMS[tax_id].lower(), f"txid{tax_id}")]
        return {"organism": organisms, "published": [date], "updated": [date]}

    def summary(self, uid: str) -> entrez.Summary | None:
        """Return the summary of a uid of ``db=gds``; None for what is not public, and for samples."""
        series = self.series.get(f"GSE{int(uid[1:])}") if re.fullmatch(r"2\d{8}", uid) else None
        if series is None:
            return None
        tax_ids = self._tax_ids_of(series.accession)
        relation = {"RelationType": "SRA", "TargetObject": series.study, "TargetFTPLink": "ftp://toy.invalid/sra/"}
        return {
            "Accession": series.accession,
            "GDS": "",
            "title": series.title,
            "summary": series.summary,
            "GPL": ";".join(PLATFORMS[tax_id][3:] for tax_id in tax_ids),
            "GSE": series.accession[3:],
            "taxon": "; ".join(ORGANISMS[tax_id] for tax_id in tax_ids),
            "entryType": "GSE",
            "gdsType": "Expression profiling by high throughput sequencing",
            "ptechType": "",
            "valType": "",
            "SSInfo": "",
            "subsetInfo": "",
            "PDAT": self.published(series.accession).replace("-", "/"),
            "suppFile": "TXT",
            "Samples": [{"Accession": one.sample, "Title": one.title} for one in series.experiments],
            "Relations": [],
            "ExtRelations": [relation] if series.study else [],
            "n_samples": len(series.experiments),
            "SeriesTitle": "",
            "PlatformTitle": "",
            "PlatformTaxa": "",
            "SamplesTaxa": "",
            "PubMedIds": [99999901],
            "Projects": [],
            "FTPLink": f"ftp://ftp.ncbi.nlm.nih.gov/geo/series/{stub(series.accession)}/{series.accession}/",
            "BioProject": series.project,
        }

    def experiments_of(self, accession: str) -> list[str]:
        """Return the experiments of a series, study, project, sample, BioSample, experiment or run, sorted."""
        found = set()
        for series in (*self.series.values(), *self.studies.values()):
            whole = accession in (series.accession, series.study, series.project)
            for one in series.experiments:
                named = (one.accession, one.sample, one.srs, one.biosample, *one.runs)
                if one.accession in self.experiments and (whole or accession in named):
                    found.add(one.accession)
        return sorted(found)

    def experiments_by_id(self, ids: Iterable[str]) -> list[str]:
        """Return the experiments of uids of ``db=sra``, or of experiment and run accessions, in the order asked.

        Anything else is passed over in silence, as efetch does.
        """
        names = {uid(accession): accession for accession in self.experiments}
        names |= {accession: accession for accession in self.experiments}
        names |= {run: one.accession for run, one in self._run_of.items() if one.accession in self.experiments}
        return list(dict.fromkeys(names[name] for name in ids if name in names))

    def packages(self, experiments: Iterable[str]) -> str:
        """Return the EXPERIMENT_PACKAGE_SET of these experiments."""
        root = ET.Element("EXPERIMENT_PACKAGE_SET")
        root.extend(self._package(accession) for accession in experiments)
        ET.indent(root)
        head = '<?xml version="1.0" encoding="UTF-8"  ?>\n<!DOCTYPE EXPERIMENT_PACKAGE_SET>\n'
        return head + ET.tostring(root, encoding="unicode") + "\n"

    def _study_of(self, experiment: Experiment) -> Series:
        return self.series.get(experiment.series) or self.studies[experiment.series]

    def _package(self, accession: str) -> ET.Element:
        if accession in self._packages:
            return self._packages[accession]
        one = self.experiments[accession]
        series = self._study_of(one)
        package = ET.Element("EXPERIMENT_PACKAGE")
        top = _add(package, "EXPERIMENT", accession=accession, alias=one.sample)
        _identifiers(top, accession, [])
        _add(top, "TITLE", f"{one.sample}: {one.title}; {ORGANISMS[one.tax_ids[0]]}; {one.strategy}")
        study_ref = _add(top, "STUDY_REF", accession=series.study, refname=series.accession)
        _identifiers(study_ref, series.study, [])
        design = _add(top, "DESIGN")
        _add(design, "DESIGN_DESCRIPTION")
        _identifiers(_add(design, "SAMPLE_DESCRIPTOR", accession=one.srs), one.srs, _of_geo(one.sample))
        library = _add(design, "LIBRARY_DESCRIPTOR")
        if one.kind == "antibody_tags":
            _add(library, "LIBRARY_NAME", "PBMC_ADT")
        _add(library, "LIBRARY_STRATEGY", one.strategy)
        _add(library, "LIBRARY_SOURCE", one.source)
        _add(library, "LIBRARY_SELECTION", one.selection)
        _add(_add(library, "LIBRARY_LAYOUT"), "PAIRED" if one.ends == 2 else "SINGLE")
        _add(library, "LIBRARY_CONSTRUCTION_PROTOCOL", "Libraries were made as the kit's manual says, at 4 °C.")
        _add(_add(_add(top, "PLATFORM"), "ILLUMINA"), "INSTRUMENT_MODEL", "Illumina NextSeq 500")
        link = _add(_add(_add(top, "EXPERIMENT_LINKS"), "EXPERIMENT_LINK"), "XREF_LINK")
        for name, value in (("DB", "gds"), ("ID", f"3{int(one.number):08d}"), ("LABEL", one.sample)):
            _add(link, name, value)
        _attributes(top, "EXPERIMENT", [("GEO Accession", one.sample)])
        submission = _add(
            package,
            "SUBMISSION",
            alias=f"GEO: {series.accession}",
            broker_name="GEO",
            center_name="GEO",
            lab_name="",
            accession=f"SRA{series.study[3:]}",
        )
        _identifiers(submission, f"SRA{series.study[3:]}", [])
        organisation = _add(package, "Organization", type="center")
        _add(organisation, "Name", "NCBI", abbr="GEO")
        center = "GEO" if _of_geo(series.accession) else "DDBJ"
        study = _add(package, "STUDY", center_name=center, alias=series.accession, accession=series.study)
        externals = [("BioProject", series.project), *_of_geo(series.accession)]
        if one.kind == "controlled":
            externals.append(("dbGaP", "phs009001"))
        _identifiers(study, series.study, externals)
        descriptor = _add(study, "DESCRIPTOR")
        _add(descriptor, "STUDY_TITLE", series.title)
        _add(descriptor, "STUDY_TYPE", existing_study_type="Transcriptome Analysis")
        _add(descriptor, "STUDY_ABSTRACT", series.summary)
        _add(descriptor, "CENTER_PROJECT_NAME", series.accession)
        sample = _add(package, "SAMPLE", alias=one.sample, accession=one.srs)
        _identifiers(sample, one.srs, [("BioSample", one.biosample), *_of_geo(one.sample)])
        _add(sample, "TITLE", one.title)
        name = _add(sample, "SAMPLE_NAME")
        _add(name, "TAXON_ID", one.tax_ids[0])
        _add(name, "SCIENTIFIC_NAME", ORGANISMS[one.tax_ids[0]])
        _attributes(
            sample, "SAMPLE", [(tag, value) for tag, _, value in (c.partition(": ") for c in one.characteristics)]
        )
        totals = [self._runs[run] for run in one.runs]
        package.append(_pool(one, sum(run.spots for run in totals), sum(run.bases for run in totals)))
        runs = _add(
            package,
            "RUN_SET",
            runs=str(len(totals)),
            bases=str(sum(run.bases for run in totals)),
            spots=str(sum(run.spots for run in totals)),
            bytes=str(sum(run.size - LOAD_SIZE_GAP for run in totals)),
        )
        for number, run in enumerate(one.runs, 1):
            runs.append(self._run(one, run, number))
        self._packages[accession] = package
        return package

    def _run(self, one: Experiment, run: str, number: int) -> ET.Element:
        archive = self._runs[run]
        made = ET.Element(
            "RUN",
            accession=run,
            alias=f"{one.sample}_r{number}",
            total_spots=str(archive.spots),
            total_bases=str(archive.bases),
            size=str(archive.size - LOAD_SIZE_GAP),
            load_done="true",
            published=f"{self.published(one.series)} {DATE[11:]}",
            is_public="true",
            cluster_name="dbgap" if one.kind == "controlled" else "public",
            has_taxanalysis="0",
            static_data_available="1",
        )
        identifiers = _identifiers(made, run, [])
        _add(identifiers, "SUBMITTER_ID", f"{one.sample}_r{number}", namespace="GEO")
        _add(made, "EXPERIMENT_REF", accession=one.accession, refname=one.sample)
        originals = original_files(one, run, archive)
        if one.kit == "v3":
            _attributes(made, "RUN", [("loader", "fastq-load.py"), ("options", loader_options(archive, originals))])
        made.append(_pool(one, archive.spots, archive.bases))
        files = _add(made, "SRAFiles")
        for name in originals:
            file = _sra_file(
                files, name, archive.size // 2, hashlib.md5(name.encode()).hexdigest(), "fastq", "Original"
            )
            _add(
                file,
                "Alternatives",
                url=f"s3://sra-pub-src-14/{run}/{name}.1",
                free_egress="-",
                access_type="Use Cloud Data Delivery",
                org="AWS",
            )
        address = object_url(run)
        file = _sra_file(files, run, archive.size, archive.md5, "SRA Normalized", "Primary ETL", url=address)
        _add(file, "Alternatives", url=address, free_egress="worldwide", access_type="anonymous", org="AWS")
        if one.kind == "controlled":
            for element in files:
                element.set("cluster", "dbgap")
        elif int(run[-1]) % 5:
            lite = f"{URL}/sra-pub-zq/{run}/{run}.lite.1"
            lite_md5 = hashlib.md5(f"{run} lite".encode(), usedforsecurity=False).hexdigest()
            file = _sra_file(
                files, f"{run}.lite", archive.size * 7 // 10, lite_md5, "SRA Lite", "Primary ETL", url=lite
            )
            _add(file, "Alternatives", url=lite, free_egress="worldwide", access_type="anonymous", org="NCBI")
        clouds = _add(made, "CloudFiles")
        for kind in ("fastq", "run", "run.zq"):
            _add(clouds, "CloudFile", filetype=kind, provider="s3", location="s3.us-east-1")
        reads = list(archive.reads)
        if one.ends == 1 and int(run[-1]) % 4:  # loaders of the time gave single reads an empty second one
            reads.append((0, 0.0, 0.0))
        statistics = _add(made, "Statistics", nreads=str(len(reads)), nspots=str(archive.spots))
        for index, (count, mean, deviation) in enumerate(reads):
            _add(statistics, "Read", index=str(index), count=str(count), average=f"{mean:g}", stdev=f"{deviation:g}")
        return made

    def runinfo(self, experiments: Iterable[str]) -> str:
        """Return the RunInfo CSV of these experiments, as ``rettype=runinfo&retmode=text`` gives it."""
        lines = [",".join(RUNINFO_COLUMNS)]
        for accession in experiments:
            one = self.experiments[accession]
            series = self._study_of(one)
            for run in one.runs:
                archive = self._runs[run]
                values = {
                    "Run": run,
                    "ReleaseDate": DATE,
                    "LoadDate": DATE,
                    "spots": str(archive.spots),
                    "bases": str(archive.bases),
                    "spots_with_mates": str(archive.spots if one.ends == 2 else 0),
                    "avgLength": str(archive.bases // archive.spots if archive.spots else 0),
                    "size_MB": str(archive.size // 1_000_000),
                    "download_path": object_url(run),
                    "Experiment": accession,
                    "LibraryName": one.sample,
                    "LibraryStrategy": one.strategy,
                    "LibrarySelection": one.selection,
                    "LibrarySource": one.source,
                    "LibraryLayout": "PAIRED" if one.ends == 2 else "SINGLE",
                    "InsertSize": "0",
                    "InsertDev": "0",
                    "Platform": "ILLUMINA",
                    "Model": "Illumina NextSeq 500",
                    "SRAStudy": series.study,
                    "BioProject": series.project,
                    "ProjectID": series.project[5:],
                    "Sample": one.srs,
                    "BioSample": one.biosample,
                    "SampleType": "simple",
                    "TaxID": one.tax_ids[0],
                    "ScientificName": ORGANISMS[one.tax_ids[0]],
                    "SampleName": one.sample,
                    "Tumor": "no",
                    "CenterName": '"INSTITUTE OF TOYS, ZURICH"',
                    "Submission": f"SRA{series.study[3:]}",
                    "Consent": "GRU" if one.kind == "controlled" else "public",
                    "dbgap_study_accession": "phs009001" if one.kind == "controlled" else "",
                    "RunHash": hashlib.md5(run.encode()).hexdigest().upper(),
                    "ReadHash": hashlib.md5(run[::-1].encode()).hexdigest().upper(),
                }
                lines.append(",".join(values.get(column, "") for column in RUNINFO_COLUMNS))
        return "\n".join(lines) + "\n\n"

    # ENA -------------------------------------------------------------------------------------------------------------

    def filereport(self, accession: str, fields: Sequence[str]) -> str:
        """Return ENA's file report of runs: a header and a line a run, ``run_accession`` first unless it is asked for.

        Runs that are gone, controlled or without an archive of ours stand in it without files, or not at all.
        """
        columns = list(fields) if "run_accession" in fields else ["run_accession", *fields]
        lines = ["\t".join(columns)]
        for experiment in self.experiments_of(accession):
            one = self.experiments[experiment]
            for run in one.runs:
                if run == catalogue.GONE or one.kind == "controlled" or (accession[1:3] == "RR" and accession != run):
                    continue
                values = self._ena_values(one, run)
                lines.append("\t".join(values.get(column, "") for column in columns))
        return "\n".join(lines) + "\n"

    def _ena_values(self, one: Experiment, run: str) -> Mapping[str, str]:
        archive = self._runs[run]
        series = self._study_of(one)
        values = {
            "run_accession": run,
            "experiment_accession": one.accession,
            "sample_accession": one.biosample,
            "secondary_sample_accession": one.srs,
            "study_accession": series.project,
            "secondary_study_accession": series.study,
            "tax_id": one.tax_ids[0],
            "scientific_name": ORGANISMS[one.tax_ids[0]],
            "instrument_platform": "ILLUMINA",
            "instrument_model": "Illumina NextSeq 500",
            "library_layout": "PAIRED" if one.ends == 2 else "SINGLE",
            "library_strategy": one.strategy,
            "library_source": one.source,
            "library_selection": one.selection,
            "read_count": str(archive.spots),
            "base_count": str(archive.bases),
            "experiment_title": f"{one.sample}: {one.title}",
            "experiment_alias": f"{one.sample}_r1",
            "sample_alias": one.sample,
            "run_alias": f"{one.sample}_r{one.runs.index(run) + 1}",
            "study_alias": series.accession,
            "first_public": DATE[:10],
        }
        path = self.world.sra / f"{run}.sra"
        if path.exists():
            values["sra_ftp"] = f"{HOST}/vol1/srr/{ena_stub(run)}/{run}"
            values["sra_md5"] = archive.md5
            values["sra_bytes"] = str(archive.size)
        files = sorted((self.world.folder / "fastq").glob(f"{run}*.fastq.gz"), key=lambda p: ("_" in p.name, p.name))
        if files:
            contents = [file.read_bytes() for file in files]
            values["fastq_ftp"] = ";".join(f"{HOST}/vol1/fastq/{ena_stub(run)}/{run}/{file.name}" for file in files)
            values["fastq_md5"] = ";".join(
                hashlib.md5(content, usedforsecurity=False).hexdigest() for content in contents
            )
            values["fastq_bytes"] = ";".join(str(len(content)) for content in contents)
        return values

    # SDL -------------------------------------------------------------------------------------------------------------

    def sdl(self, runs: Iterable[str]) -> dict:
        """Return SDL's answer (version 2) about runs."""
        return {"version": "2", "result": [self._bundle(run) for run in runs]}

    def _bundle(self, run: str) -> dict:
        one = self._run_of.get(run)
        if one is not None and one.kind == "controlled":
            message = "Access denied - please request permission to access phs009001 / GRU in dbGaP"
            return {"bundle": run, "status": 403, "msg": message}
        if one is None or run == catalogue.GONE or not (self.world.sra / f"{run}.sra").exists():
            return {"bundle": run, "status": 404, "msg": "Cannot resolve accession"}
        archive = self._runs[run]
        location = {"link": object_url(run), "service": "s3", "region": "us-east-1"}
        file = {
            "object": f"srapub|{run}",
            "type": "sra",
            "name": run,
            "size": archive.size,
            "md5": archive.md5,
            "modificationDate": "2021-03-04T05:06:07Z",
            "noqual": False,
            "locations": [location],
        }
        return {"bundle": run, "status": 200, "msg": "ok", "files": [file]}

    # As a workflow keeps them -----------------------------------------------------------------------------------------

    def write(self, folder: str | Path, series: Iterable[str] | None = None) -> None:
        """Write ``{series}/{series}_family.soft.gz``, ``sra.xml.gz`` and ``ena.tsv.gz`` below ``folder``.

        The addresses inside keep the placeholder host. A SuperSeries has the SRA records of its parts.
        """
        for accession in series or self.series:
            place = Path(folder) / accession
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{accession}_family.soft.gz").write_bytes(self.soft(accession))
            write_text(place / "sra.xml.gz", [self.packages(self.experiments_of(accession))])
            write_text(place / "ena.tsv.gz", [self.filereport(accession, ENA_FIELDS)])


ENA_FIELDS = (
    "run_accession,experiment_accession,sample_accession,secondary_study_accession,tax_id,scientific_name,"
    "library_layout,library_strategy,library_source,read_count,base_count,experiment_alias,sample_alias,run_alias,"
    "fastq_ftp,fastq_md5,fastq_bytes,submitted_ftp,submitted_md5,submitted_bytes,submitted_format,"
    "sra_ftp,sra_md5,sra_bytes"
).split(",")


def geo_date(day: str, otherwise: str) -> str:
    """Return a day as GEO writes it (``Mar 04 2021``), ``otherwise`` for the day on which all series were published."""
    if day == DATE[:10]:
        return otherwise
    return datetime.date.fromisoformat(day).strftime("%b %d %Y")


def stub(accession: str) -> str:
    """Return GEO's folder of an accession: its last three digits replaced, GSE900001 → GSE900nnn."""
    return accession[:3] + accession[3:-3] + "nnn"


def ena_stub(run: str) -> str:
    """Return ENA's folders of a run of seven digits: SRR9000001 → SRR900/001."""
    return f"{run[:6]}/00{run[9:]}"


def uid(experiment: str) -> str:
    """Return the Entrez uid of an experiment."""
    return str(20_000_000 + int(experiment[3:]))


def object_url(run: str) -> str:
    """Return the open-data address of a run's archive."""
    return f"{URL}/sra-pub-run-odp/sra/{run}/{run}"


def original_files(one: Experiment, run: str, archive: Archive) -> list[str]:
    """Return the names of the submitter's files of a run, in the order of its reads."""
    lane = one.runs.index(run) + 1
    if one.kit == "v3":
        return [f"organoid40_S1_L{lane:03d}_{read}_001.fastq.gz" for read in ("I1", "R1", "R2")]
    return [f"{one.sample}_{run}_{number}.fq.gz" for number in range(1, len(archive.reads) + 1)]


def loader_options(archive: Archive, names: Sequence[str]) -> str:
    """Return the options with which the archive's own loader was called."""
    files = [f"--read{number}PairFiles={name}" for number, name in enumerate(names, 1)]
    return " ".join([f"--readTypes={archive.read_types}", *files])


def esearch_answer(
    ids: Sequence[str],
    start: int,
    most: int,
    history: tuple[str, str] | None,
    as_json: bool,
    hits: entrez.Found | None = None,
) -> str:
    """Return the answer of ``esearch.fcgi``; ``history`` is WebEnv and query key, ``hits`` has what is not found."""
    shown = list(ids[start : start + most])
    if as_json:
        result: dict[str, object] = {"count": str(len(ids)), "retmax": str(len(shown)), "retstart": str(start)}
        if history:
            result |= {"querykey": history[1], "webenv": history[0]}
        result |= {"idlist": shown, "translationset": [], "querytranslation": ""}
        return json.dumps({"header": {"type": "esearch", "version": "0.3"}, "esearchresult": result})
    root = ET.Element("eSearchResult")
    for name, value in (("Count", len(ids)), ("RetMax", len(shown)), ("RetStart", start)):
        _add(root, name, str(value))
    if history:
        _add(root, "QueryKey", history[1])
        _add(root, "WebEnv", history[0])
    found = _add(root, "IdList")
    for name in shown:
        _add(found, "Id", name)
    _add(root, "TranslationSet")
    _add(root, "QueryTranslation")
    if hits is not None:
        entrez.add_lists(root, hits)
    head = (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE eSearchResult PUBLIC "-//NLM//DTD esearch 20060628//EN" '
        '"https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20060628/esearch.dtd">\n'
    )
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _of_geo(accession: str) -> list[tuple[str, str]]:
    """Return the identifier of a series or sample of GEO, none for what is of another archive."""
    return [("GEO", accession)] if accession.startswith("GS") else []


def _identifiers(parent: ET.Element, primary: str, external: Iterable[tuple[str, str]]) -> ET.Element:
    made = _add(parent, "IDENTIFIERS")
    _add(made, "PRIMARY_ID", primary)
    for namespace, value in external:
        _add(made, "EXTERNAL_ID", value, namespace=namespace)
    return made


def _attributes(parent: ET.Element, kind: str, values: Iterable[tuple[str, str]]) -> None:
    group = _add(parent, f"{kind}_ATTRIBUTES")
    for tag, value in values:
        one = _add(group, f"{kind}_ATTRIBUTE")
        _add(one, "TAG", tag)
        _add(one, "VALUE", value)


def _pool(one: Experiment, spots: int, bases: int) -> ET.Element:
    pool = ET.Element("Pool")
    for tax_id in one.tax_ids[:1]:  # SRA knows one species of a sample, GEO may know several
        member = _add(
            pool,
            "Member",
            member_name="",
            accession=one.srs,
            sample_name=one.sample,
            sample_title=one.title,
            spots=str(spots),
            bases=str(bases),
            tax_id=tax_id,
            organism=ORGANISMS[tax_id],
        )
        _identifiers(member, one.srs, [("BioSample", one.biosample), *_of_geo(one.sample)])
    return pool


def _sra_file(
    files: ET.Element, name: str, size: int, md5: str, semantic_name: str, supertype: str, **address: str
) -> ET.Element:
    return _add(
        files,
        "SRAFile",
        cluster="public",
        filename=name,
        **address,
        size=str(size),
        date=DATE,
        md5=md5,
        version="1",
        semantic_name=semantic_name,
        supertype=supertype,
        sratoolkit="0" if supertype == "Original" else "1",
    )
