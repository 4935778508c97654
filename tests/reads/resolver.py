"""A loopback server of files, which resolves their names as SDL does."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class Resolver:
    """A resolver, and the server of its files: name → bytes; ``asked`` lists the names and paths asked for."""

    def __init__(self):
        self.files, self.changes, self.answer, self.asked = {}, {}, None, []
        resolver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                form = self.rfile.read(int(self.headers["Content-Length"])).decode()
                name = parse_qs(form)["acc"][0]
                resolver.asked.append(name)
                self.send(resolver.answer or json.dumps(resolver.resolve(name)).encode())

            def do_GET(self):
                resolver.asked.append(self.path)
                self.send(resolver.files[self.path[1:]])

            def send(self, body):
                self.send_response(200)
                if body != "endless":
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                self.end_headers()
                try:
                    for _ in range(1 << 14):
                        self.wfile.write(b"NCBI.sra" + bytes(1 << 16))
                except OSError:
                    resolver.asked.append("closed")

            def log_message(self, *words):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def resolve(self, name):
        body = self.files.get(name)
        if body is None:
            return {
                "version": "2",
                "result": [{"bundle": name, "status": 404, "msg": "Cannot resolve accession"}],
            }
        told = {"name": name, "locations": [{"link": f"{self.url}/{name}", "service": "ncbi", "region": "public"}]}
        if body != "endless":
            told |= {"size": len(body), "md5": hashlib.md5(body).hexdigest()}
        told |= self.changes
        return {"version": "2", "result": [{"bundle": name, "status": 200, "msg": "ok", "files": [told]}]}
