"""Small answers of GEO, NCBI and ENA, made to measure, and a loopback server that gives them."""

import gzip
import json
import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


def family(
    series: str,
    samples: Iterable[str] = (),
    *,
    relations: Iterable[str] = (),
    platforms: Iterable[str] = ("GPL1",),
    table_rows: int = 0,
) -> str:
    """Return a family file; ``samples`` are texts made by :func:`sample`."""
    lines = ["^DATABASE = GeoMiame", "!Database_name = Gene Expression Omnibus (GEO)", f"^SERIES = {series}"]
    lines += [f"!Series_title = Title of {series}", "!Series_pubmed_id = 1", "!Series_summary = First = second, über"]
    lines += [f"!Series_relation = {relation}" for relation in relations]
    for platform in platforms:
        lines += [
            f"^PLATFORM = {platform}",
            "!Platform_title = NextSeq",
            "#ID = ",
            "#X = ",
            "!platform_table_begin",
            "ID\tX",
        ]
        lines += [f"{row}\t^SAMPLE = GSM0" for row in range(table_rows)]
        lines.append("!platform_table_end")
    return "\n".join(lines) + "\n" + "".join(samples)


def sample(
    gsm: str,
    experiments: Iterable[str] = (),
    *,
    taxa: Iterable[tuple[str, str]] = (("10090", "Mus musculus"),),
    series: Iterable[str] = ("GSE1",),
    title: str = "cell",
    more: Iterable[str] = (),
) -> str:
    """Return a sample of a family file, of a single cell; ``more`` are further lines without ``!Sample_``."""
    more = list(more)
    lines = [f"^SAMPLE = {gsm}", f"!Sample_title = {title}", f"!Sample_geo_accession = {gsm}"]
    for tax_id, name in taxa:
        lines += [f"!Sample_organism_ch1 = {name}", f"!Sample_taxid_ch1 = {tax_id}"]
    lines += [f"!Sample_{line}" for line in more]
    if not any(line.startswith("library_source") for line in more):
        lines.append("!Sample_library_source = transcriptomic single cell")
    lines += [f"!Sample_relation = SRA: https://www.ncbi.nlm.nih.gov/sra?term={name}" for name in experiments]
    lines += [f"!Sample_series_id = {name}" for name in series]
    return "\n".join(lines) + "\n"


def run(
    accession: str,
    *,
    spots: int = 100,
    lengths: Iterable[float] = (75, 75),
    options: str = "",
    public: bool = True,
    cluster: str = "public",
    files: Iterable[tuple[str, str, int, str]] = (),
    members: Iterable[tuple[str, str, str]] = (),
) -> str:
    """Return a RUN; ``files`` are (name, kind, size, md5), ``members`` (GSM, tax id, organism)."""
    lengths = tuple(lengths)
    reads = "".join(
        f'<Read index="{place}" count="{spots}" average="{length}" stdev="0"/>' for place, length in enumerate(lengths)
    )
    statistics = f'<Statistics nreads="{len(lengths)}" nspots="{spots}">{reads}</Statistics>' if lengths else ""
    pool = "".join(
        f'<Member accession="SRS1" sample_name="{gsm}" tax_id="{tax_id}" organism="{name}"/>'
        for gsm, tax_id, name in members
    )
    files = "".join(
        f'<SRAFile cluster="{cluster}" filename="{name}" size="{size}" md5="{md5}" semantic_name="{kind}"'
        f' url="https://example.org/{name}"/>'
        for name, kind, size, md5 in (files or [(accession, "SRA Normalized", 1000, "0" * 32)])
    )
    attributes = (
        f"<RUN_ATTRIBUTES><RUN_ATTRIBUTE><TAG>options</TAG><VALUE>{options}</VALUE></RUN_ATTRIBUTE></RUN_ATTRIBUTES>"
        if options
        else ""
    )
    return (
        f'<RUN accession="{accession}" total_spots="{spots}" total_bases="{int(spots * sum(lengths))}" size="990"'
        f' is_public="{str(public).lower()}" cluster_name="{cluster}">{attributes}<Pool>{pool}</Pool>'
        f"<SRAFiles>{files}</SRAFiles>{statistics}</RUN>"
    )


def package(
    experiment: str,
    runs: Iterable[str],
    *,
    gsm: str = "",
    gse: str = "GSE1",
    study: str = "SRP1",
    project: str = "PRJNA1",
    taxon: tuple[str, str] = ("10090", "Mus musculus"),
    title: str = "cell",
    strategy: str = "RNA-Seq",
    source: str = "TRANSCRIPTOMIC SINGLE CELL",
    selection: str = "cDNA",
    layout: str = "PAIRED",
    library: str = "",
    protocol: str = "",
) -> str:
    """Return an EXPERIMENT_PACKAGE; ``runs`` are texts made by :func:`run`."""
    geo = f'<EXTERNAL_ID namespace="GEO">{gse}</EXTERNAL_ID>' if gse else ""
    named = f"{gsm}: {title}; {taxon[1]}; {strategy}" if gsm else title
    return (
        f'<EXPERIMENT_PACKAGE><EXPERIMENT accession="{experiment}" alias="{gsm}"><TITLE>{named}</TITLE><DESIGN>'
        f"<LIBRARY_DESCRIPTOR><LIBRARY_NAME>{library}</LIBRARY_NAME><LIBRARY_STRATEGY>{strategy}</LIBRARY_STRATEGY>"
        f"<LIBRARY_SOURCE>{source}</LIBRARY_SOURCE><LIBRARY_SELECTION>{selection}</LIBRARY_SELECTION>"
        f"<LIBRARY_LAYOUT><{layout}/></LIBRARY_LAYOUT>"
        f"<LIBRARY_CONSTRUCTION_PROTOCOL>{protocol}</LIBRARY_CONSTRUCTION_PROTOCOL></LIBRARY_DESCRIPTOR></DESIGN>"
        f'</EXPERIMENT><STUDY accession="{study}" alias="{gse}"><IDENTIFIERS><PRIMARY_ID>{study}</PRIMARY_ID>'
        f'<EXTERNAL_ID namespace="BioProject">{project}</EXTERNAL_ID>{geo}</IDENTIFIERS>'
        f"<DESCRIPTOR><STUDY_TITLE>Study</STUDY_TITLE></DESCRIPTOR></STUDY>"
        f'<SAMPLE accession="SRS1" alias="{gsm}"><TITLE>{title}</TITLE><SAMPLE_NAME><TAXON_ID>{taxon[0]}</TAXON_ID>'
        f"<SCIENTIFIC_NAME>{taxon[1]}</SCIENTIFIC_NAME></SAMPLE_NAME><SAMPLE_ATTRIBUTES><SAMPLE_ATTRIBUTE>"
        f"<TAG>tissue</TAG><VALUE>brain</VALUE></SAMPLE_ATTRIBUTE></SAMPLE_ATTRIBUTES></SAMPLE>"
        f"<RUN_SET>{''.join(runs)}</RUN_SET></EXPERIMENT_PACKAGE>"
    )


def package_set(*packages: str) -> str:
    """Return an EXPERIMENT_PACKAGE_SET as efetch gives it."""
    head = '<?xml version="1.0" encoding="UTF-8"  ?>\n<!DOCTYPE EXPERIMENT_PACKAGE_SET>\n'
    return f"{head}<EXPERIMENT_PACKAGE_SET>\n{''.join(packages)}\n</EXPERIMENT_PACKAGE_SET>\n"


def keep(folder: Path, accession: str, soft: str = "", xml: str = "", ena: str = "") -> None:
    """Put records where a series' records lie."""
    place = folder / accession
    place.mkdir(parents=True, exist_ok=True)
    for name, text in ((f"{accession}_family.soft.gz", soft), ("sra.xml.gz", xml), ("ena.tsv.gz", ena)):
        if text:
            (place / name).write_bytes(gzip.compress(text.encode(), mtime=0))


class SmallArchives:
    """A loopback server of a few records; ``families`` by series, ``packages`` by experiment, ``reports`` by accession.

    ``summaries`` has what GEO's search (``db=gds``) finds, whatever the term: series → fields of its summary;
    ``by_source`` are the experiments that a search of SRA by source finds.
    ``before`` may answer a request itself (return a status and a body) or leave it (return None).
    """

    def __init__(self) -> None:
        self.families: dict[str, str] = {}
        self.packages: dict[str, str] = {}
        self.reports: dict[str, str] = {}
        self.summaries: dict[str, dict[str, object]] = {}
        self.by_source: list[str] = []
        self.before: Callable[[str, dict[str, str]], tuple[int, bytes] | None] = lambda path, form: None
        self.requests: list[tuple[str, dict[str, str]]] = []
        small = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                query = f"{urlsplit(self.path).query}&{self.rfile.read(length).decode()}"
                form = {name: ",".join(values) for name, values in parse_qs(query).items()}
                path = urlsplit(self.path).path
                small.requests.append((path, form))
                status, body = small.before(path, form) or small.answer(path, form)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if found := re.fullmatch(r"/geo/series/GSE\d*nnn/(GSE\d+)/soft/\1_family\.soft\.gz", path):
            text = self.families.get(found[1])
            return (404, b"") if text is None else (200, gzip.compress(text.encode()))
        if form.get("db") == "gds":
            return 200, self.gds(path, form)
        if path == "/eutils/esearch.fcgi":
            by_name = self.named(re.findall(r"[A-Z]+\d+", form["term"]))
            self.found = self.by_source if "[Source]" in form["term"] else by_name
            count, history = len(self.found), "<QueryKey>1</QueryKey><WebEnv>W</WebEnv>"
            return 200, f"<eSearchResult><Count>{count}</Count>{history}</eSearchResult>".encode()
        if path == "/eutils/efetch.fcgi":
            names = self.found if "WebEnv" in form else self.named(form["id"].split(","))
            start = int(form.get("retstart", 0))
            names = names[start : start + int(form.get("retmax", 10_000))]
            return 200, package_set(*(self.packages[name] for name in names)).encode()
        if path == "/ena/portal/api/filereport":
            return 200, self.reports.get(form["accession"], "run_accession\n").encode()
        return 404, b""

    def gds(self, path: str, form: dict[str, str]) -> bytes:
        """Answer a search for series (XML) or their summaries (JSON, version 2.0)."""
        uids = {f"2{int(series[3:]):08d}": series for series in self.summaries}
        if path == "/eutils/esearch.fcgi":
            start, most = int(form.get("retstart", 0)), int(form.get("retmax", 20))
            ids = "".join(f"<Id>{uid}</Id>" for uid in [*uids][start : start + most])
            return f"<eSearchResult><Count>{len(uids)}</Count><IdList>{ids}</IdList></eSearchResult>".encode()
        asked = form["id"].split(",")
        known = {uid: {"uid": uid, "accession": uids[uid], **self.summaries[uids[uid]]} for uid in asked if uid in uids}
        return json.dumps({"result": {"uids": [*known], **known}}).encode()

    def named(self, names: list[str]) -> list[str]:
        return [key for key, text in self.packages.items() if any(re.search(rf"\b{name}\b", text) for name in names)]
