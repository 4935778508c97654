"""Downloads from several hosts and from slow ones: transfers are bounded by host, and a slow mirror is left."""

import gzip
import http.server
import re
import threading

import pytest

from scripts.reads import transfer
from tests.reads.analysis_directory import Analysis

pytestmark = pytest.mark.tools

ONE = "SRR9000001"
OBJECT = f"sra-pub-run-odp.*{ONE}"


@pytest.fixture
def analysis(tmp_path, server, world):
    return Analysis(tmp_path, server, world, [ONE])


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_mirror_that_hardly_moves_gives_way_to_the_next_source(analysis, source, capsys):
    analysis.server.fault(OBJECT, "slow", seconds=20)  # some 6 kB a second
    analysis.run("--order", source, "ena")
    analysis.check_served(ONE, "ena")
    told = {"sra": "fewer than 50 kB a second for 1.5 s", "ncbi": r"only [\d.]+ kB a second arrived"}[source]
    assert re.search(f"{ONE}: {source}: {told}", capsys.readouterr().err)


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_slow_mirror_is_waited_for_where_there_is_no_other(analysis, source):
    analysis.server.fault(OBJECT, "slow", seconds=4)
    analysis.run("--order", source)
    analysis.check_served(ONE, source)


def test_in_the_last_round_a_slow_mirror_is_waited_for(analysis):
    analysis.server.fault("/vol1/", 503)
    analysis.server.fault(OBJECT, "slow", seconds=5)
    analysis.run("--order", "ncbi", "ena", "--retries", "1")
    analysis.check_served(ONE, "ncbi")


class Host(http.server.BaseHTTPRequestHandler):
    """Serves archives and counts how many at a time; the first host has none of ``missing``.

    A transfer waits until three have run at the same time, one from the first host also until that host has had as many
    as it may and, with a bound, one more transfer is blocked by it.
    """

    running, most, together, expected, blocked = {}, {}, 0, 0, False
    missing = ()
    folder = None
    guard = threading.Condition()

    def do_GET(self):
        run, port = self.path.rpartition("/")[2], self.server.server_address[1]
        if run in self.missing and port == min(self.running):
            self.send_error(404)
            return
        with self.guard:
            self.running[port] += 1
            self.most[port] = max(self.most[port], self.running[port])
            type(self).together = max(self.together, sum(self.running.values()))
            self.guard.notify_all()
        body = (self.folder / f"{run}.sra").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-1])
        first = port == min(self.running)
        with self.guard:
            self.guard.wait_for(
                lambda: self.together >= 3 and not (first and (self.most[port] < self.expected or not self.blocked)), 20
            )
            self.running[port] -= 1
        self.wfile.write(body[-1:])

    def log_message(self, *words):
        """Keep the test's output free of requests."""


class Bound(threading.Semaphore):
    """Reports when the first host, with all the transfers that it may have, blocks another one."""

    def acquire(self, *words, **options):
        if super().acquire(blocking=False):
            return True
        with Host.guard:
            Host.blocked |= Host.running[min(Host.running)] == Host.expected
            Host.guard.notify_all()
        return super().acquire(*words, **options)

    __enter__ = acquire


@pytest.mark.parametrize(("per_host", "most"), [(2, 2), (9, 4)])
def test_a_host_has_no_more_transfers_at_a_time_than_configured(tmp_path, server, world, monkeypatch, per_host, most):
    monkeypatch.setattr(transfer, "Semaphore", Bound)
    runs = [f"SRR900000{number}" for number in range(1, 9)]
    analysis = Analysis(tmp_path, server, world, runs)
    hosts = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host) for _ in range(2)]
    hosts.sort(key=lambda host: host.server_address[1])
    Host.running = {host.server_address[1]: 0 for host in hosts}
    Host.most, Host.together, Host.expected, Host.blocked = dict(Host.running), 0, most, per_host == 9
    Host.folder, Host.missing = world.sra, runs[:2]  # these come from the second host, while the first serves others
    for host in hosts:
        threading.Thread(target=host.serve_forever, daemon=True).start()
    ports = list(Host.running)
    xml = gzip.decompress(analysis.xml.read_bytes()).decode()
    xml = re.sub(r'"http://[^"]*/sra-pub-run-odp/sra/', f'"http://127.0.0.1:{ports[0]}/', xml)
    analysis.xml.write_bytes(gzip.compress(xml.encode()))
    report = gzip.decompress(analysis.ena.read_bytes()).decode()
    report = re.sub(r"127\.0\.0\.1:\d+/vol1/", f"127.0.0.1:{ports[1]}/vol1/", report)
    analysis.ena.write_bytes(gzip.compress(report.encode()))
    statuses = analysis.run(
        "--order", "ncbi", "ena", "--parallel", "4", "--per-host", str(per_host), "--patience", "60"
    )
    for host in hosts:
        host.shutdown()
        host.server_close()
    assert [status.source for status in statuses.values()] == ["ena"] * 2 + ["ncbi"] * 6
    assert Host.most[ports[0]] == most
    assert Host.together >= 3 and Host.blocked
