"""Transfers by the real prefetch and over HTTP, from a server that misbehaves.

Each fault ends in the very bytes of the archive or in one row with the right reason, never in another file. Transfers
are bounded by host, and a slow mirror is left.
"""

import errno
import gzip
import hashlib
import http.server
import re
import subprocess
import threading

import pytest

from scripts.core.disk import locks
from scripts.core.errors import DISK_FULL
from scripts.reads.sources import transfer
from tests.reads.analysis_directory import UNIT, Analysis

pytestmark = pytest.mark.tools

ONE, GONE = "SRR9000001", "SRR9000031"
OBJECT = f"sra-pub-run-odp.*{ONE}"


def test_prefetch_gets_an_archive_and_leaves_nothing_else(analysis):
    analysis.run()
    analysis.check_served(ONE, "sra")
    assert sorted(path.name for path in analysis.output.iterdir()) == [f"{ONE}.sra", "status.tsv"]
    assert [path.name for path in (analysis.folder / "work").iterdir()] == ["download"]
    assert analysis.sent(ONE) == len(analysis.original(ONE))


@pytest.mark.parametrize("source", ["ncbi", "ena"])
def test_the_records_lead_to_the_archive_too(analysis, source):
    analysis.run("--order", source)
    analysis.check_served(ONE, source)
    assert not analysis.server.asked("sdl")


def test_ena_is_asked_where_its_record_is_missing(analysis):
    analysis.ena.unlink()
    analysis.run("--order", "ena")
    analysis.check_served(ONE, "ena")


def test_a_record_that_cannot_be_read_is_no_source(analysis):
    analysis.xml.write_bytes(b"cut short")
    analysis.run("--order", "ncbi", "ena")
    analysis.check_served(ONE, "ena")
    analysis.run("--order", "ncbi")
    fault = "it is cut short or not well-formed XML (syntax error: line 1, column 0)"
    detail = f"ncbi: the record cannot be read: resources/records/GSE900001/sra.xml.gz: {fault}."
    analysis.check_failed(ONE, "DOWNLOAD_FAILED", detail)


def test_an_error_that_nobody_expected_is_that_of_the_source(analysis, monkeypatch, capsys):
    def broken(*_):
        raise ValueError("Invalid IPv6 URL")

    monkeypatch.setattr(transfer.Transfers, "_prefetch", broken)
    analysis.run()
    analysis.check_served(ONE, "ncbi")
    assert "Traceback" in capsys.readouterr().err


def test_what_nobody_has_fails_at_once(tmp_path, server, world):
    made = Analysis(tmp_path, server, world, [GONE])
    made.run()
    status = made.statuses()[GONE]
    assert status.reason == "DOWNLOAD_FAILED"
    assert "sra: " in status.detail and "ncbi: the server answered 404" in status.detail
    assert len(server.asked("sdl")) == 1
    assert not (tmp_path / "work/partial").exists()


def test_a_missing_object_is_looked_for_elsewhere(analysis):
    analysis.server.fault("sra-pub-run-odp", 404)
    analysis.run()
    analysis.check_served(ONE, "ena")


def test_a_resolver_that_fails_twice_is_asked_again(analysis):
    analysis.server.fault("/sdl/", 500, times=2)
    analysis.run("--order", "sra")
    analysis.check_served(ONE, "sra")


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_an_object_that_fails_twice_is_asked_again(analysis, source):
    analysis.server.fault(OBJECT, 500, times=2)
    analysis.run("--order", source)
    analysis.check_served(ONE, source)


def test_an_object_that_fails_always_fails_in_the_end(analysis):
    analysis.server.fault(OBJECT, 503)
    analysis.run("--order", "ncbi")
    analysis.check_failed(ONE, "DOWNLOAD_FAILED", "ncbi: the server answered 503 Service Unavailable.")
    assert len(analysis.server.asked(OBJECT)) == 4


def test_retry_after_is_obeyed(analysis):
    analysis.server.fault(OBJECT, 429, times=1, retry_after=1)
    analysis.run("--order", "ncbi")
    analysis.check_served(ONE, "ncbi")
    first, second = (asked.time for asked in analysis.server.asked(OBJECT))
    assert second - first >= 1


@pytest.mark.parametrize("source", ["sra", "ncbi", "ena"])
def test_a_cut_transfer_is_resumed_where_it_broke(analysis, source):
    analysis.server.fault(f"/{ONE} ?$", "cut", times=1, share=0.3)
    analysis.server.fault("/sdl/", "cut", times=0)
    analysis.run("--order", source)
    analysis.check_served(ONE, source)
    size = len(analysis.original(ONE))
    assert size <= analysis.sent(ONE) <= 1.1 * size


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_transfer_that_stalls_gives_way_to_the_next_source(analysis, source):
    analysis.server.fault(OBJECT, "stall", share=0.5)
    analysis.run("--order", source, "ena")
    analysis.check_served(ONE, "ena")


def test_a_transfer_that_stalls_everywhere_fails(analysis):
    analysis.server.fault(f"/{ONE} ?$", "stall", share=0.5)
    analysis.run("--more-passes", "0", "--patience", "0.6")
    analysis.check_failed(
        ONE,
        "DOWNLOAD_FAILED",
        "sra: no byte for 0.6 s; ncbi: the transfer broke: timed out; ena: the transfer broke: timed out.",
    )


def test_what_arrived_of_an_object_that_has_changed_since_is_dropped(analysis):
    part = analysis.folder / "work/partial" / UNIT / ONE / "ncbi" / f"{ONE}.sra.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"NCBI.sra" + bytes(50_000))
    analysis.run("--order", "ncbi")
    analysis.check_served(ONE, "ncbi")
    assert analysis.sent(ONE) == 2 * len(analysis.original(ONE)) - 50_008


def test_an_archive_whose_qualities_are_all_one_is_whole_unless_something_shows_that_it_is_lite(analysis):
    """A submitter's qualities may all be 30, as those of old loaders."""
    facts, lite = analysis.world.archives[ONE], analysis.world.lite_archives[ONE]
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    text = text.replace(f"sra-pub-run-odp/sra/{ONE}/{ONE}", f"sra-pub-zq/{ONE}/{ONE}.lite.1")
    text = text.replace(f'md5="{facts.md5}"', f'md5="{lite.md5}"').replace(f'"{facts.size}"', f'"{lite.size}"')
    analysis.xml.write_bytes(gzip.compress(text.encode()))
    analysis.plan([ONE], md5=lite.md5)
    assert analysis.run("--order", "ncbi")[ONE].ok
    analysis.plan([ONE], md5="")
    assert analysis.run("--order", "ncbi")[ONE].ok


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("wrong_md5", "sra: its md5 is not the one that the resolver promises."),
        ("wrong_size", "sra: its size is not the one that the resolver promises."),
    ],
)
def test_what_is_not_as_the_resolver_promises_is_not_taken(analysis, kind, sentence):
    analysis.server.fault("/sdl/", kind)
    analysis.run("--order", "sra")
    analysis.check_failed(ONE, "CHECKSUM_MISMATCH", sentence)
    assert analysis.sent(ONE) <= 2 * len(analysis.original(ONE))


def test_after_a_mismatch_another_source_is_asked_and_the_first_no_more(analysis):
    analysis.server.fault("/sdl/", "wrong_md5")
    analysis.server.fault(OBJECT, 503, times=0)
    analysis.run("--order", "sra", "ena")
    analysis.check_served(ONE, "ena")
    assert len(analysis.server.asked("sdl")) == 1


def test_every_mirror_with_other_bytes_than_the_plan_says_is_refused(analysis):
    wrong = "0" * 32
    analysis.plan([ONE], md5=wrong)
    found = hashlib.md5(analysis.original(ONE)).hexdigest()
    analysis.run("--order", "sra", "ncbi")
    analysis.check_failed(
        ONE,
        "CHECKSUM_MISMATCH",
        f"sra: its md5 is {found}, but the record says {wrong}; ncbi: its md5 is {found}, but {wrong} was promised.",
    )
    assert len(analysis.server.asked("sdl")) == 1
    assert analysis.sent(ONE) == 2 * len(analysis.original(ONE))


@pytest.mark.parametrize(
    ("kind", "found"),
    [("html", "ncbi: the answer is a web page, not a file."), ("empty", "ncbi: 0 bytes arrived, but the file has")],
)
def test_what_is_no_archive_is_not_taken(analysis, kind, found):
    analysis.server.fault(OBJECT, kind)
    analysis.run("--order", "sra", "ncbi")
    status = analysis.statuses()[ONE]
    assert status.state == "failed"
    assert found in status.detail
    analysis.run()
    analysis.check_served(ONE, "ena")


@pytest.mark.parametrize(("kind", "found"), [("html", "a web page"), ("empty", "an empty file")])
def test_what_is_no_archive_is_refused_after_prefetch_too(analysis, kind, found):
    analysis.server.fault(OBJECT, kind)
    analysis.server.fault("/sdl/", "wrong_md5", times=0)
    analysis.plan([ONE], md5="", bytes="")
    analysis.run("--order", "sra")
    status = analysis.statuses()[ONE]
    assert status.reason in ("DOWNLOAD_FAILED", "CHECKSUM_MISMATCH")
    assert not (analysis.output / f"{ONE}.sra").exists()


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_truncated_object_is_not_taken(analysis, source):
    analysis.server.fault(OBJECT, "truncated", share=0.7)
    analysis.run("--order", source)
    status = analysis.statuses()[ONE]
    assert (status.state, status.reason) == ("failed", "CHECKSUM_MISMATCH")
    assert not (analysis.output / f"{ONE}.sra").exists()
    analysis.run("--order", source, "ena")
    analysis.check_served(ONE, "ena")


def test_a_truncated_object_of_unknown_size_is_refused_by_vdb_validate(analysis):
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    facts = analysis.world.archives[ONE]
    text = text.replace(f'md5="{facts.md5}"', 'md5=""').replace(f'size="{facts.size}"', 'size=""')
    analysis.xml.write_bytes(gzip.compress(text.encode()))
    analysis.plan([ONE], md5="")
    analysis.server.fault(OBJECT, "truncated", share=0.7)
    analysis.run("--order", "ncbi")
    status = analysis.statuses()[ONE]
    assert status.reason == "ARCHIVE_CORRUPT"
    assert status.detail.startswith("ncbi: vdb-validate refuses the archive: ")


def test_lite_is_refused_where_it_is_all_there_is(analysis):
    analysis.server.fault("/sdl/", "lite")
    analysis.plan([ONE], md5="")
    analysis.run("--order", "sra")
    analysis.check_failed(ONE, "QUALITY_LITE", "sra: only SRA Lite is on offer, with simplified qualities.")
    assert "ZQA:R" in analysis.server.asked("sdl")[0].form and "ZQA:RZ" not in analysis.server.asked("sdl")[0].form


def test_full_quality_elsewhere_is_preferred_to_lite(analysis):
    analysis.server.fault("/sdl/", "lite")
    analysis.run()
    analysis.check_served(ONE, "ncbi")


def test_lite_is_taken_where_that_is_accepted_and_reported(analysis):
    analysis.server.fault("/sdl/", "lite")
    analysis.run("--order", "sra", "--accept-lite")
    status = analysis.statuses()[ONE]
    assert (status.state, status.source) == ("ok", "sra")
    assert status.detail == "SRA Lite: the qualities are simplified."
    assert analysis.archive(ONE) == (analysis.world.folder / f"lite/{ONE}.sra").read_bytes()


def test_lite_in_place_of_the_archive_shows_in_its_metadata(analysis, tmp_path):
    lite = analysis.world.folder / f"lite/{ONE}.sra"
    analysis.plan([ONE], source=f"file:{lite}", md5="")
    assert analysis.run()[ONE].ok  # its qualities are all 30, which may be the submitter's
    for command in (
        ["kar", "-x", lite, "-d", tmp_path / "table"],
        ["kdbmeta", tmp_path / "table", "SOFTWARE/delite@name=delite"],
        ["kar", "-c", tmp_path / "marked.sra", "-d", tmp_path / "table"],
    ):
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    analysis.plan([ONE], source=f"file:{tmp_path}/marked.sra", md5="")
    status = analysis.run()[ONE]
    assert (status.reason, status.detail) == ("QUALITY_LITE", "what arrived is SRA Lite, with simplified qualities.")
    status = analysis.run("--accept-lite")[ONE]
    assert (status.state, status.detail) == ("ok", "SRA Lite: the qualities are simplified.")


@pytest.mark.parametrize("source", ["ncbi", "ena"])
def test_a_disk_that_becomes_full_is_reported_as_such(analysis, monkeypatch, source):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer.http, "fetch", full)
    analysis.run("--order", source, "sra")
    analysis.check_failed(ONE, "DISK_LIMIT", "the disk became full while the archive was downloaded.")
    assert analysis.statuses()[ONE].cause == DISK_FULL


BAM = gzip.compress(b"BAM\x01" + bytes(3000))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BAM)))
        self.end_headers()
        self.wfile.write(BAM)

    def log_message(self, *words):
        """Keep the test's output free of requests."""


@pytest.fixture
def elsewhere():
    """The address of a server that has the submitter's BAM file."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/x.bam.1"
        server.shutdown()


def offer_bam(analysis, address, md5):
    text = gzip.decompress(analysis.xml.read_bytes()).decode()
    file = (
        f'<SRAFile filename="x.bam" size="{len(BAM)}" md5="{md5}" semantic_name="10X Genomics bam file"'
        f' supertype="Original" sratoolkit="0"><Alternatives url="{address}" access_type="anonymous"/></SRAFile>'
    )
    assert text.count("</SRAFiles>") == 1
    analysis.xml.write_bytes(gzip.compress(text.replace("</SRAFiles>", f"{file}</SRAFiles>").encode()))


def test_a_run_planned_from_its_bam_gets_the_bam(analysis, elsewhere):
    offer_bam(analysis, elsewhere, hashlib.md5(BAM).hexdigest())
    analysis.plan([ONE], source="bam")
    status = analysis.run()[ONE]
    assert (status.state, status.source) == ("ok", "bam")
    assert sorted(path.name for path in analysis.output.iterdir()) == [f"{ONE}.bam", "status.tsv"]
    assert (analysis.output / f"{ONE}.bam").read_bytes() == BAM
    assert not analysis.server.asked("sdl")


def test_a_bam_with_other_bytes_is_refused(analysis, elsewhere):
    offer_bam(analysis, elsewhere, "1" * 32)
    analysis.plan([ONE], source="bam")
    detail = f"bam: its md5 is {hashlib.md5(BAM).hexdigest()}, but {'1' * 32} was promised."
    analysis.run()
    analysis.check_failed(ONE, "CHECKSUM_MISMATCH", detail)


def test_barcodes_are_lost_where_no_bam_is_on_offer(analysis):
    analysis.plan([ONE], source="bam")
    analysis.run()
    analysis.check_failed(ONE, "BARCODE_LOST", "bam: the record names no BAM file.")


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_mirror_that_hardly_moves_gives_way_to_the_next_source(analysis, source, capsys):
    analysis.server.fault(OBJECT, "slow", seconds=20)  # some 6 kB a second
    analysis.run("--order", source, "ena")
    analysis.check_served(ONE, "ena")
    sentence = {"sra": "fewer than 50 kB a second for 1.5 s", "ncbi": r"only [\d.]+ kB a second arrived"}[source]
    assert re.search(f"{ONE}: {source}: {sentence}", capsys.readouterr().err)


@pytest.mark.parametrize("source", ["sra", "ncbi"])
def test_a_slow_mirror_is_waited_for_where_there_is_no_other(analysis, source):
    analysis.server.fault(OBJECT, "slow", seconds=4)
    analysis.run("--order", source)
    analysis.check_served(ONE, source)


def test_in_the_last_pass_a_slow_mirror_is_waited_for(analysis):
    analysis.server.fault("/vol1/", 503)
    analysis.server.fault(OBJECT, "slow", seconds=5)
    analysis.run("--order", "ncbi", "ena", "--more-passes", "1")
    analysis.check_served(ONE, "ncbi")


class Host(http.server.BaseHTTPRequestHandler):
    """Serves archives and counts how many at a time; the last of the hosts has none.

    A transfer waits until three have run at the same time, one from the first host also until that host has had as many
    as it may and, with a bound, one more transfer is blocked by it.
    """

    running, most, together, expected, blocked = {}, {}, 0, 0, False
    folder = None
    guard = threading.Condition()

    def do_GET(self):
        run, port = self.path.rpartition("/")[2], self.server.server_address[1]
        if port == max(self.running):
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


def reporting_lock(handle, take=locks._try_lock):
    """Take a lock as ever, and report when the first host, with all the transfers that it may have, blocks another."""
    taken = take(handle)
    if not taken:
        with Host.guard:
            Host.blocked |= Host.running[min(Host.running)] == Host.expected
            Host.guard.notify_all()
    return taken


@pytest.mark.parametrize(("per_host", "most"), [(2, 2), (9, 4)])
def test_a_host_has_no_more_transfers_at_a_time_than_configured(tmp_path, server, world, monkeypatch, per_host, most):
    monkeypatch.setattr(locks, "_try_lock", reporting_lock)
    runs = [f"SRR900000{number}" for number in range(1, 9)]
    analysis = Analysis(tmp_path, server, world, runs)
    missing = runs[:2]  # the third host has none of them: they come from the second, while the first serves others
    hosts = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host) for _ in range(3)]
    hosts.sort(key=lambda host: host.server_address[1])
    Host.running = {host.server_address[1]: 0 for host in hosts}
    Host.most, Host.together, Host.expected, Host.blocked = dict(Host.running), 0, most, per_host == 9
    Host.folder = world.sra
    for host in hosts:
        threading.Thread(target=host.serve_forever, daemon=True).start()
    ports = list(Host.running)
    xml = gzip.decompress(analysis.xml.read_bytes()).decode()
    for run in runs:
        port = ports[2 if run in missing else 0]
        xml = re.sub(rf'"http://[^"]*/sra-pub-run-odp/sra/(?={run})', f'"http://127.0.0.1:{port}/', xml)
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
