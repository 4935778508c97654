"""One loopback server for all the toy archives, with faults on demand.

    python -m tests.toy.server            # serves the cached world until interrupted, and prints its address

==========================================  ===========================================================
``/geo/series/GSE900nnn/GSE…/soft/…``       as https://ftp.ncbi.nlm.nih.gov/geo
``/eutils/{esearch,esummary,efetch}.fcgi``  as https://eutils.ncbi.nlm.nih.gov/entrez/eutils, GET and POST; epost
``/ena/portal/api/filereport``              as https://www.ebi.ac.uk/ena; its files are below ``/vol1/``
``/sdl/2/retrieve``                         as https://locate.ncbi.nlm.nih.gov/sdl/2/retrieve, GET and POST
``/sra-pub-run-odp/sra/{run}/{run}``        the open-data archives; Lite ones below ``/sra-pub-zq/``
``/files/{references,inclusion_lists}/…``   files of the world's folder
==========================================  ===========================================================
"""

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from scripts.core.command import command_parser
from tests.toy import entrez
from tests.toy.records import HOST, Records, esearch_answer, stub
from tests.toy.world import SEED, World, build

HTML = b"<!DOCTYPE html>\n<html><head><title>Are you a robot?</title></head><body>Please solve this.</body></html>\n"
LONGEST_ADDRESS = 8000
ERROR_SET = (
    b'<?xml version="1.0" encoding="UTF-8"  ?>\n<EXPERIMENT_PACKAGE_SET>\n<Error>Internal Server Error (db)</Error>\n'
    b"</EXPERIMENT_PACKAGE_SET>\n"
)
RATE_LIMIT = b'{"error":"API rate limit exceeded","count":"11"}\n'
_ALTERED = ("wrong_md5", "wrong_size", "lite")
KINDS = (
    *("cut", "stall", "slow", "html", "empty", "truncated", "error_in_200", "json_error", "first_page", "short_page"),
    *("expired", *_ALTERED),
)


class Request(NamedTuple):
    """A request that was answered: ``path`` with its query, ``form`` the body of a POST, ``bytes`` sent as body."""

    method: str
    path: str
    form: str
    status: int
    bytes: int
    time: float  # seconds, monotonic, at the request's arrival


class Fault:
    """A fault that meets the requests whose address (and form) fits ``pattern``, ``times`` times or for ever."""

    def __init__(
        self, pattern: str, kind: str, times: int | None, share: float, seconds: float, retry_after: int
    ) -> None:
        self.pattern = re.compile(pattern)
        self.kind = kind
        self.left = times
        self.share = share
        self.seconds = seconds
        self.retry_after = retry_after

    @property
    def status(self) -> int | None:
        """The HTTP status with which the fault answers, None for other kinds."""
        return int(self.kind) if self.kind.isdecimal() else None


class Server:
    """A server of one world on a free loopback port; a context manager.

    ``url`` is its address, ``archives`` the addresses as a configuration gives them, ``requests`` the log.
    """

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.records = Records(world)
        """What the archives answer; it may be changed while the server runs, see :class:`tests.toy.records.Records`."""
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._histories: list[list[str]] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _HTTPServer(("127.0.0.1", port), _Handler)
        self._http.toy = self
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"
        self.archives = {
            "geo": f"{self.url}/geo",
            "eutils": f"{self.url}/eutils",
            "ena": f"{self.url}/ena",
            "sra": f"{self.url}/sdl/2/retrieve",
        }
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fault(
        self,
        pattern: str,
        kind: str | int,
        times: int | None = None,
        *,
        share: float = 0.5,
        seconds: float = 3600,
        retry_after: int = 1,
    ) -> Fault:
        """Meet the requests whose path, query and form fit ``pattern`` with a fault; return it (``times`` left to go).

        ``kind`` is a status (``503``, ``"status=503"``; 429 with ``Retry-After``), or

        - ``cut``: the connection is closed after ``share`` of the bytes promised
        - ``stall``: nothing more comes after ``share`` of the bytes, for ``seconds`` or until the server closes
        - ``slow``: the bytes come in pieces, spread over ``seconds``
        - ``html``: status 200 with a page; ``empty``: status 200 with no bytes
        - ``truncated``: the first ``share`` of the bytes, with a length that fits them
        - ``error_in_200``, ``json_error``: status 200 with an error in a set of packages, or in JSON
        - ``first_page``, ``short_page``: the first page of a search again, or half of the page that was asked for
        - ``expired``: as if the history of a search were not kept any more; other requests are not met
        - ``wrong_md5``, ``wrong_size``, ``lite``: in SDL's answers; other requests are not met

        A HEAD is answered as the GET after it will be, and uses up no ``times`` but of a status. The fault given last
        is asked first. Raises ValueError for an unknown kind.
        """
        name = str(kind).removeprefix("status=")
        if not name.isdecimal() and name not in KINDS:
            raise ValueError(f"{kind!r} is no kind of fault; a status or one of {', '.join(KINDS)} is.")
        made = Fault(pattern, name, times, share, seconds, retry_after)
        with self._lock:
            self._faults.insert(0, made)
        return made

    def clear(self) -> None:
        """Forget all faults and the log."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    def asked(self, pattern: str) -> list[Request]:
        """Return the requests whose path, query and form fit ``pattern``."""
        return [request for request in self.requests if re.search(pattern, f"{request.path} {request.form}")]

    def met_by(self, method: str, target: str) -> Fault | None:
        """Return the fault that meets a request, and count it down; a HEAD uses up none but a status."""
        of_sdl = target.startswith("/sdl/")
        with self._lock:
            for fault in self._faults:
                fits = of_sdl or fault.kind not in _ALTERED
                if fault.left != 0 and fits and fault.pattern.search(target):
                    if fault.left is not None and (method != "HEAD" or fault.status):
                        fault.left -= 1
                    return fault
        return None

    def log(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def remember(self, ids: list[str]) -> tuple[str, str]:
        """Keep a list of uids in the history; return its WebEnv and query key."""
        with self._lock:
            self._histories.append(ids)
            return f"MCID_toy{len(self._histories):06d}", "1"

    def remembered(self, webenv: str, query_key: str) -> list[str] | None:
        number = webenv.removeprefix("MCID_toy")
        if query_key != "1" or not number.isdecimal() or not 0 < int(number) <= len(self._histories):
            return None
        return self._histories[int(number) - 1]

    @property
    def closing(self) -> threading.Event:
        return self._closing


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    toy: Server

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no fault of the server's."""


class Answer(NamedTuple):
    """What a request is answered, before any fault."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    ranges: bool = False  # whether parts of it can be asked for


_NOT_FOUND = Answer(b"<html><body><h1>404 Not Found</h1></body></html>\n", "text/html", 404)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds after which an idle connection is closed
    server: _HTTPServer

    def log_message(self, *words: object) -> None:
        """The log is the server's list of requests."""

    def do_GET(self) -> None:
        self._respond("")

    def do_HEAD(self) -> None:
        self._respond("")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._respond(self.rfile.read(length).decode())

    def _respond(self, form: str) -> None:
        came = time.monotonic()
        toy = self.server.toy
        parts = urlsplit(self.path)
        values = {name: ",".join(given) for name, given in parse_qs(f"{parts.query}&{form}").items()}
        fault = toy.met_by(self.command, f"{self.path} {form}")
        headers: dict[str, str] = {}
        if len(self.path) > LONGEST_ADDRESS:
            answer = Answer(b"Request-URI Too Long\n", status=414)
        elif fault and fault.status:
            answer = Answer(b"This is a fault that was asked for.\n", status=fault.status)
            if fault.status == 429:
                headers["Retry-After"] = str(fault.retry_after)
        elif fault and fault.kind == "html":
            answer = Answer(HTML, "text/html")
        elif fault and fault.kind in ("error_in_200", "json_error"):
            answer = Answer(ERROR_SET if fault.kind == "error_in_200" else RATE_LIMIT, "text/xml; charset=UTF-8")
        else:
            if fault and fault.kind == "first_page":
                values["retstart"] = "0"
            elif fault and fault.kind == "expired" and "WebEnv" in values:
                values["WebEnv"] = "MCID_expired"
            elif fault and fault.kind == "short_page":
                values["retmax"] = str(max(1, int(values.get("retmax", 10000)) // 2))
            answer = self._answer(parts.path, values, fault)
        if fault and fault.kind == "empty":
            answer = answer._replace(body=b"")
        elif fault and fault.kind == "truncated":
            answer = answer._replace(body=answer.body[: int(len(answer.body) * fault.share)])
        self._send(answer, headers, fault, came, form)

    def _answer(self, path: str, values: Mapping[str, str], fault: Fault | None) -> Answer:
        toy = self.server.toy
        records, folder = toy.records, toy.world.folder
        found: Answer | None = None
        if path.startswith("/eutils/"):
            found = self._eutils(path.removeprefix("/eutils/").removesuffix(".fcgi"), values)
        elif path == "/ena/portal/api/filereport":
            found = self._filereport(values)
        elif path == "/sdl/2/retrieve":
            found = self._sdl(values, fault)
        elif named := re.fullmatch(r"/geo/series/(GSE\w*nnn)/(GSE\d+)/soft/\2_family\.soft\.gz", path):
            if named[2] in records.series and named[1] == stub(named[2]):
                found = Answer(records.soft(named[2]), "application/x-gzip", ranges=True)
        elif named := re.fullmatch(r"/sra-pub-run-odp/sra/(\w+)/\1|/vol1/srr/\w+/\w+/(\w+)", path):
            found = _file(folder / "sra" / f"{named[1] or named[2]}.sra")
        elif named := re.fullmatch(r"/sra-pub-zq/(\w+)/\1\.lite\.1", path):
            found = _file(folder / "lite" / f"{named[1]}.sra") or _file(folder / "sra" / f"{named[1]}.sra")
        elif named := re.fullmatch(r"/vol1/fastq/\w+/\w+/(\w+)/(\1\w*\.fastq\.gz)", path):
            found = _file(folder / "fastq" / named[2])
        elif named := re.fullmatch(r"/files/((?:references|inclusion_lists)/[\w.-]+)", path):
            found = _file(folder / named[1])
        return found or _NOT_FOUND

    def _eutils(self, tool: str, values: Mapping[str, str]) -> Answer | None:
        toy = self.server.toy
        records = toy.records
        database = values.get("db", "")
        as_json = values.get("retmode") == "json"
        start, most = int(values.get("retstart", 0)), int(values.get("retmax", 20 if tool == "esearch" else 10000))
        xml = "text/xml; charset=UTF-8"
        if tool == "esearch" and database in ("sra", "gds"):
            term = values.get("term", "")
            found = None if database == "sra" else records.find_series(term)
            ids = records.find_experiments(term) if found is None else found.uids
            history = toy.remember(ids) if values.get("usehistory") == "y" else None
            text = esearch_answer(ids, start, min(most, 10_000), history, as_json, found)
            return Answer(text.encode(), "application/json; charset=UTF-8" if as_json else xml)
        if tool == "epost" and database == "sra":
            webenv, query_key = toy.remember(values.get("id", "").split(","))
            text = f"<ePostResult>\n\t<QueryKey>{query_key}</QueryKey>\n\t<WebEnv>{webenv}</WebEnv>\n</ePostResult>\n"
            return Answer(f'<?xml version="1.0" encoding="UTF-8" ?>\n{text}'.encode(), xml)
        if tool == "efetch" and database == "sra":
            asked: list[str] | None = [name for name in values.get("id", "").split(",") if name]
            if "WebEnv" in values:
                asked = toy.remembered(values["WebEnv"], values.get("query_key", ""))
            if not asked:
                text = "<eFetchResult>\n\t<ERROR>Empty id list - nothing todo</ERROR>\n</eFetchResult>\n"
                return Answer(f'<?xml version="1.0" encoding="UTF-8" ?>\n{text}'.encode(), xml, 400)
            experiments = records.experiments_by_id(asked[start : start + most])
            if values.get("rettype") == "runinfo":
                return self._text(records.runinfo(experiments), "text/plain; charset=UTF-8")
            return self._text(records.packages(experiments), xml)
        if tool == "esummary" and database == "gds":
            uids = [name for name in values.get("id", "").split(",") if name]
            if "WebEnv" in values:
                uids = toy.remembered(values["WebEnv"], values.get("query_key", "")) or []
            summaries = {
                uid: records.summary(uid) for uid in uids[start : start + min(most, 500 if as_json else 10_000)]
            }
            if as_json:
                return Answer(entrez.summaries_json(summaries).encode(), "application/json; charset=UTF-8")
            return Answer(entrez.summaries_xml(summaries, values.get("version", "1.0")).encode(), xml)
        return None

    def _filereport(self, values: Mapping[str, str]) -> Answer:
        accession = values.get("accession", "")
        if values.get("result") != "read_run" or not re.fullmatch(r"(PRJ|SAM|[SED]R)\w+\d", accession):
            return Answer(b'{"message":"Invalid accession or result"}', "application/json", 400)
        fields = [name for name in values.get("fields", "").split(",") if name]
        report = self.server.toy.records.filereport(accession, fields)
        return self._text(report, "text/tab-separated-values; charset=UTF-8")

    def _sdl(self, values: Mapping[str, str], fault: Fault | None) -> Answer:
        told = self.server.toy.records.sdl(name for name in values.get("acc", "").split(",") if name)
        for bundle in told["result"] if fault else ():
            for file in bundle.get("files", ()):
                _alter(self.server.toy.world, bundle["bundle"], file, fault.kind)
        return self._text(json.dumps(told), "application/json")

    def _text(self, text: str, kind: str) -> Answer:
        return Answer(text.replace(HOST, self.server.toy.host).encode(), kind)

    def _send(self, answer: Answer, headers: dict[str, str], fault: Fault | None, came: float, form: str) -> None:
        body, status = answer.body, answer.status
        if answer.ranges:
            headers["Accept-Ranges"] = "bytes"
            headers["ETag"] = f'"{len(body)}"'
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
            if asked and status == 200 and body:
                first = int(asked[1]) if asked[1] else max(0, len(body) - int(asked[2] or 0))
                last = min(int(asked[2]), len(body) - 1) if asked[1] and asked[2] else len(body) - 1
                if first > last:
                    headers["Content-Range"] = f"bytes */{len(body)}"
                    body, status = b"", 416
                else:
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
                    body, status = body[first : last + 1], 206
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        broken = fault is not None and fault.kind in ("cut", "stall") and self.command != "HEAD"
        if broken:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        sent = b"" if self.command == "HEAD" else body[: int(len(body) * fault.share)] if broken else body
        # logged before the last byte leaves, so that a client that has its answer finds itself in the log
        self.server.toy.log(Request(self.command, self.path, form, status, len(sent), came))
        if fault is not None and fault.kind == "slow":
            piece = max(1, len(sent) // 50)
            for begin in range(0, len(sent), piece):
                self.wfile.write(sent[begin : begin + piece])
                if self.server.toy.closing.wait(fault.seconds / 50):
                    return
            return
        self.wfile.write(sent)
        if broken:
            self.wfile.flush()
            if fault.kind == "stall":
                self.server.toy.closing.wait(fault.seconds)


def _file(path: Path) -> Answer | None:
    if not path.is_file():
        return None
    return Answer(path.read_bytes(), "application/octet-stream", ranges=True)


def _alter(world: World, run: str, file: dict, kind: str) -> None:
    """Alter what SDL tells of a run's file."""
    if kind == "wrong_md5":
        file["md5"] = file["md5"][::-1]
    elif kind == "wrong_size":
        file["size"] += 4096
    elif kind == "lite":
        lite = world.folder / "lite" / f"{run}.sra"
        file.update(name=f"{run}.lite", noqual=True)
        if lite.exists():
            told = world.lite_archives[run]
            file.update(size=told.size, md5=told.md5)
        file["locations"] = [
            {"link": f"http://{HOST}/sra-pub-zq/{run}/{run}.lite.1", "service": "ncbi", "region": "public"}
        ]


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = command_parser(__doc__)
    parser.add_argument("--world", help="the folder of a built world; default: the cache of this checkout")
    parser.add_argument("--seed", type=int, default=SEED, help="the seed of the world that is built where none is")
    parser.add_argument("--port", type=int, default=0, help="the loopback port; default: a free one")
    options = parser.parse_args(argv)
    with Server(build(options.world, options.seed), options.port) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
