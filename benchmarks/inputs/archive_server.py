"""A resolver and its archives on a loopback port, as prefetch and the command download ask for them."""

import http.server
import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

_PATH = "/sdl/2/retrieve"


class Archives(NamedTuple):
    """What the server has: run → file and the md5 that it promises."""

    files: Mapping[str, Path]
    sums: Mapping[str, str]


@contextmanager
def served(archives: Archives, latency: float = 0.0) -> Iterator[str]:
    """Serve the archives and their resolver, each answer after ``latency`` seconds; give the resolver's address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            run = asked["acc"][0]
            link = f"http://127.0.0.1:{self.server.server_address[1]}/object/{run}"  # prefetch's Host has no port
            file = {
                "object": f"srapub|{run}",
                "type": "sra",
                "name": run,
                "size": archives.files[run].stat().st_size,
                "md5": archives.sums[run],
                "modificationDate": "2024-01-01T00:00:00Z",
                "noqual": False,
                "locations": [{"link": link, "service": "s3", "region": "us-east-1"}],
            }
            reported = {"version": "2", "result": [{"bundle": run, "status": 200, "msg": "ok", "files": [file]}]}
            body = json.dumps(reported).encode()
            self._begin(200, len(body), {})
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = archives.files[urlsplit(self.path).path.rpartition("/")[2]]
            size = path.stat().st_size
            span = self.headers.get("Range", "").removeprefix("bytes=")
            first, _, last = span.partition("-")
            start, end = int(first or 0), min(int(last or size - 1), size - 1) + 1
            if span:
                self._begin(206, end - start, {"Content-Range": f"bytes {start}-{end - 1}/{size}"})
            else:
                self._begin(200, size, {"Accept-Ranges": "bytes"})
            if self.command == "HEAD":
                return
            with path.open("rb") as handle:
                handle.seek(start)
                if end == size:
                    shutil.copyfileobj(handle, self.wfile, 1 << 20)
                else:
                    self.wfile.write(handle.read(end - start))

        def do_HEAD(self) -> None:
            self.do_GET()

        def _begin(self, status: int, length: int, headers: dict[str, str]) -> None:
            time.sleep(latency)
            self.send_response(status)
            for name, value in {"Content-Length": str(length), **headers}.items():
                self.send_header(name, value)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}{_PATH}"
        server.shutdown()
