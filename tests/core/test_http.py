"""Fetching from an address, on a loopback server with every fault known of the archives."""

import contextlib
import email.utils
import gzip
import hashlib
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from scripts.core import http as remote
from scripts.core.errors import InputError
from scripts.core.http import ChecksumError, RemoteError, RetryPolicy, UnreachableError

BODY = bytes(range(256)) * 16_384  # 4 MiB
QUICK = RetryPolicy(retries=3, first_wait=0.01)


class Stage:
    """A server on a loopback port whose answers are given one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.requests: list[dict[str, str]] = []
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                seen = {name.lower(): value for name, value in self.headers.items()}
                seen["body"] = self.rfile.read(length).decode()
                seen["path"], seen["method"] = self.path, self.command
                stage.requests.append(seen)
                answer = stage.answers.pop(0) if len(stage.answers) > 1 else stage.answers[0]
                answer(self)

            def do_POST(self) -> None:
                self.do_GET()

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that goes away
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/file"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def whole(body: bytes = BODY, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def length(text: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer as to HEAD: with a length and no body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", text)
        handler.end_headers()

    return answer


def cut(length: int, ranges: bool = True, body: bytes = BODY) -> Callable[[BaseHTTPRequestHandler], None]:
    """Promise all that was asked for, give ``length`` bytes of it and hang up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        begin = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")) if ranges else 0
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - begin))
        handler.send_header("ETag", '"first"')
        handler.end_headers()
        handler.wfile.write(body[begin : begin + length])
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def test_a_file_arrives_whole(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole()]
    path = remote.fetch(stage.url, tmp_path / "new" / "file", policy=QUICK)
    assert path.read_bytes() == BODY
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_429_three_times_then_good(stage: Stage) -> None:
    stage.answers = [status(429), status(429), status(429), whole(b"good")]
    assert remote.request(f"{stage.url}?id=1", policy=QUICK) == b"good"
    assert [request["path"] for request in stage.requests] == ["/file?id=1"] * 4


def test_a_fault_that_stays_is_reported_with_the_number_of_tries(stage: Stage) -> None:
    stage.answers = [status(503)]
    with pytest.raises(RemoteError) as caught:
        remote.request(stage.url, policy=QUICK)
    assert str(caught.value) == f"{stage.url}: the server answered 503 Service Unavailable (4 tries)."
    assert caught.value.status == 503


def test_not_found_is_not_tried_again(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [status(404)]
    with pytest.raises(RemoteError, match=r"the server answered 404 Not Found\.$") as caught:
        remote.fetch(stage.url, tmp_path / "file", policy=QUICK)
    assert caught.value.status == 404
    assert len(stage.requests) == 1
    assert not list(tmp_path.iterdir())


def test_retry_after_is_obeyed(stage: Stage) -> None:
    stage.answers = [status(429, Retry_After="1"), whole(b"good")]
    begin = time.monotonic()
    assert remote.request(stage.url, policy=QUICK) == b"good"
    assert time.monotonic() - begin >= 0.95


def test_retry_after_may_be_a_date_or_nonsense(stage: Stage) -> None:
    past = email.utils.formatdate(time.time() - 60, usegmt=True)
    far = email.utils.formatdate(time.time() + 86_400, usegmt=True)
    stage.answers = [status(503, Retry_After=past), status(503, Retry_After="soon"), whole(b"good")]
    assert remote.request(stage.url, policy=QUICK) == b"good"
    stage.answers = [status(503, Retry_After=far)]  # nobody waits a day for one request
    with pytest.raises(RemoteError, match=r"503 Service Unavailable\.$"):
        remote.request(stage.url, policy=QUICK)


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><title>Are you a robot?</title>",
        b"\n <HTML lang='en'>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x" "y"><html/>',
        b"<!-- hello --><html>",
    ],
)
def test_a_web_page_is_no_file(stage: Stage, tmp_path: Path, page: bytes) -> None:
    stage.answers = [whole(page)]
    with pytest.raises(RemoteError, match="the answer is a web page, not a file"):
        remote.fetch(stage.url, tmp_path / "file", policy=QUICK)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RemoteError, match="the answer is a web page, not what was asked"):
        remote.request(stage.url, policy=QUICK)


def test_xml_is_not_taken_for_a_web_page() -> None:
    assert not remote.is_html(b'<?xml version="1.0" ?>\n<!DOCTYPE EXPERIMENT_PACKAGE_SET>\n<EXPERIMENT_PACKAGE_SET>')
    assert not remote.is_html(b"")


def test_a_cut_answer_is_a_failure(stage: Stage) -> None:
    stage.answers = [cut(1000)]
    with pytest.raises(RemoteError, match=r"(cut short|broke).*\(4 tries\)"):
        remote.request(stage.url, policy=QUICK)


def test_a_cut_file_is_taken_up_where_it_broke(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [cut(1_000_000), cut(2_000_000), cut(len(BODY))]
    assert remote.fetch(stage.url, tmp_path / "file", policy=QUICK).read_bytes() == BODY
    assert stage.requests[1]["range"] == "bytes=1000000-"
    assert stage.requests[1]["if-range"] == '"first"'
    assert stage.requests[2]["range"] == "bytes=3000000-"


def test_a_try_that_brought_much_does_not_count(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [cut(1_100_000)]  # four tries are needed
    path = remote.fetch(stage.url, tmp_path / "file", policy=RetryPolicy(retries=1, first_wait=0.01))
    assert path.read_bytes() == BODY


def test_a_server_without_ranges_begins_again(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [cut(1_000_000, ranges=False), whole()]
    assert remote.fetch(stage.url, tmp_path / "file", policy=QUICK).read_bytes() == BODY


def test_a_server_without_ranges_that_always_breaks_is_given_up(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [cut(2_000_000, ranges=False)]
    with pytest.raises(RemoteError, match="tries"):
        remote.fetch(stage.url, tmp_path / "file", policy=QUICK)
    assert len(stage.requests) == 4


def test_a_range_at_another_place_is_refused(stage: Stage, tmp_path: Path) -> None:
    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-9/{len(BODY)}")
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(BODY[:10])

    stage.answers = [cut(1000), elsewhere, whole()]
    assert remote.fetch(stage.url, tmp_path / "file", policy=QUICK).read_bytes() == BODY


def test_what_another_process_left_is_taken_up_only_under_a_checksum(stage: Stage, tmp_path: Path) -> None:
    left = tmp_path / "file.part"
    left.write_bytes(BODY[:1000])
    stage.answers = [cut(len(BODY))]
    good = hashlib.sha256(BODY).hexdigest()
    assert remote.fetch(stage.url, tmp_path / "file", sha256=good, policy=QUICK).read_bytes() == BODY
    assert stage.requests[-1]["range"] == "bytes=1000-"
    left.write_bytes(BODY[:1000])
    assert remote.fetch(stage.url, tmp_path / "file", policy=QUICK).read_bytes() == BODY
    assert "range" not in stage.requests[-1]


def test_what_another_process_left_of_another_file_is_dropped(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"x" * 1000)
    stage.answers = [cut(len(BODY))]
    good = hashlib.md5(BODY).hexdigest()
    assert remote.fetch(stage.url, tmp_path / "file", md5=good.upper(), policy=QUICK).read_bytes() == BODY
    assert [request.get("range") for request in stage.requests] == ["bytes=1000-", None]


def test_a_part_that_is_whole_already_is_taken(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY)
    stage.answers = [status(416, Content_Range=f"bytes */{len(BODY)}")]
    path = remote.fetch(stage.url, tmp_path / "file", md5=hashlib.md5(BODY).hexdigest(), policy=QUICK)
    assert path.read_bytes() == BODY


def test_a_wrong_checksum_is_reported_and_leaves_nothing(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole(b"other")]
    with pytest.raises(ChecksumError) as caught:
        remote.fetch(stage.url, tmp_path / "file", md5="0" * 32, policy=QUICK)
    assert str(caught.value) == (
        f"{stage.url}: its md5 is {hashlib.md5(b'other').hexdigest()}, but {'0' * 32} was promised (4 tries)."
    )
    assert not list(tmp_path.iterdir())


def test_a_wrong_size_is_reported(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole(b"other")]
    with pytest.raises(ChecksumError, match=r"5 bytes arrived, but the file has 1,000"):
        remote.fetch(stage.url, tmp_path / "file", size=1000, policy=QUICK)


def test_what_the_caller_refuses_is_tried_again(stage: Stage, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        if path.read_bytes() != b"good":
            raise ValueError("it is not good.")

    (tmp_path / "file").write_bytes(b"old")
    stage.answers = [whole(b"bad"), whole(b"bad")]
    with pytest.raises(RemoteError, match=r"it is not good \(4 tries\)"):
        remote.fetch(stage.url, tmp_path / "file", check=check, policy=QUICK)
    assert (tmp_path / "file").read_bytes() == b"old"
    stage.answers = [whole(b"bad"), whole(b"good")]
    assert remote.fetch(stage.url, tmp_path / "file", check=check, policy=QUICK).read_bytes() == b"good"


def test_no_content_is_an_answer(stage: Stage) -> None:
    def check(body: bytes) -> None:
        raise ValueError("not asked of no content")

    stage.answers = [status(204)]
    assert remote.request(stage.url, policy=QUICK, check=check) == b""


def test_an_empty_file_arrives(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole(b"")]
    assert remote.fetch(stage.url, tmp_path / "file", size=0, policy=QUICK).read_bytes() == b""


def test_a_form_is_posted(stage: Stage) -> None:
    stage.answers = [whole(b"good")]
    assert remote.request(stage.url, data={"id": "1,2"}, policy=QUICK) == b"good"
    assert stage.requests[0]["body"] == "id=1%2C2"


def test_bytes_are_kept_as_the_server_has_them(stage: Stage, tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(b"text")
    stage.answers = [whole(packed, Content_Encoding="gzip")]
    assert remote.fetch(stage.url, tmp_path / "file", policy=QUICK).read_bytes() == packed
    assert remote.request(stage.url, policy=QUICK) == b"text"


def test_no_connection_is_reported(tmp_path: Path) -> None:
    policy = RetryPolicy(retries=50, unreachable_retries=1, first_wait=0.01)
    with pytest.raises(UnreachableError, match=r"no connection: Connection refused \(2 tries\)\.$"):
        remote.fetch("http://127.0.0.1:9/file", tmp_path / "file", policy=policy)


def test_only_http_is_asked(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="not an address that begins with https:// or http://"):
        remote.fetch("ftp://example.org/file", tmp_path / "file", policy=QUICK)


# Servers that lie

MD5 = hashlib.md5(BODY).hexdigest()
BROKEN = RetryPolicy(retries=0)


def part(begin: int, end: int, total: int = len(BODY), **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Give a part of the file as an answer to a Range."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{total}")
        handler.send_header("Content-Length", str(end - begin))
        handler.end_headers()
        handler.wfile.write(BODY[begin:end])

    return answer


def left_over(folder: Path, length: int = 1_000_000) -> Path:
    (folder / "file.part").write_bytes(BODY[:length])
    return folder / "file"


def test_a_length_that_promises_too_much_does_no_harm(stage: Stage, tmp_path: Path) -> None:
    def more(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY) + 100))
        handler.end_headers()
        handler.wfile.write(BODY)
        handler.close_connection = True

    stage.answers = [more]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=QUICK)
    assert path.read_bytes() == BODY


def test_a_body_without_end_is_left_when_it_has_become_too_long(stage: Stage, tmp_path: Path) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            sent.append(1)

    stage.answers = [endless]
    with pytest.raises(ChecksumError, match=r"bytes arrived, but the file has 4,194,304"):
        remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=BROKEN)
    assert len(sent) < 20 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "other", [whole(b"<!DOCTYPE html><title>Are you a robot?</title>"), whole(b"", ETag='"x"'), whole(BODY[:-5])]
)
def test_what_is_given_in_place_of_a_part_does_not_cost_what_we_have(stage: Stage, tmp_path: Path, other) -> None:
    path = left_over(tmp_path)
    stage.answers = [other]
    with pytest.raises(RemoteError, match=r"a web page|the server has (0|4,194,299) bytes, but the file 4,194,304"):
        remote.fetch(stage.url, path, md5=MD5, size=len(BODY), policy=BROKEN)
    assert (tmp_path / "file.part").stat().st_size == 1_000_000
    stage.answers = [part(1_000_000, len(BODY))]
    assert remote.fetch(stage.url, path, md5=MD5, size=len(BODY), policy=BROKEN).read_bytes() == BODY


def test_the_whole_file_in_place_of_a_part_is_taken(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole()]
    path = remote.fetch(stage.url, left_over(tmp_path), md5=MD5, size=len(BODY), policy=BROKEN)
    assert path.read_bytes() == BODY and stage.requests[0]["range"] == "bytes=1000000-"


def test_a_part_of_another_size_is_refused(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [part(1_000_000, len(BODY), total=len(BODY) + 7)]
    with pytest.raises(ChecksumError, match=r"the server has 4,194,311 bytes, but the file 4,194,304"):
        remote.fetch(stage.url, left_over(tmp_path), md5=MD5, size=len(BODY), policy=BROKEN)
    assert not (tmp_path / "file.part").exists()


def test_a_server_that_gives_small_parts_is_asked_for_the_next(stage: Stage, tmp_path: Path) -> None:
    ends = [1_000_000, 2_100_000, 3_200_000, len(BODY)]
    stage.answers = [part(begin, end) for begin, end in pairwise(ends)]
    path = remote.fetch(stage.url, left_over(tmp_path), md5=MD5, size=len(BODY), policy=RetryPolicy(1, first_wait=0.01))
    assert path.read_bytes() == BODY
    assert [request["range"] for request in stage.requests] == [f"bytes={end}-" for end in ends[:-1]]


def test_a_body_without_length_that_ends_early_is_resumed(stage: Stage, tmp_path: Path) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY[:1_000_000])
        handler.close_connection = True

    stage.answers = [short, part(1_000_000, len(BODY))]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=QUICK)
    assert path.read_bytes() == BODY and stage.requests[1]["range"] == "bytes=1000000-"


def test_an_object_that_changes_between_tries_is_fetched_anew(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [cut(1_000_000, body=BODY[::-1]), whole(ETag='"second"')]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=QUICK)
    assert path.read_bytes() == BODY
    assert stage.requests[1]["if-range"] == '"first"'


def test_a_part_of_an_object_that_has_changed_since_is_found_out(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY[1:1_000_001])  # of the same size, at an earlier time
    stage.answers = [part(1_000_000, len(BODY)), whole()]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=QUICK)
    assert path.read_bytes() == BODY and "range" not in stage.requests[1]


def test_bytes_that_are_compressed_for_the_transfer_are_decoded(stage: Stage, tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(BODY)
    stage.answers = [whole(packed, Content_Encoding="gzip")]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=BROKEN)
    assert path.read_bytes() == BODY
    # A server may call a file that is .gz so.
    md5 = hashlib.md5(packed).hexdigest()
    path = remote.fetch(stage.url, tmp_path / "file", md5=md5, size=len(packed), policy=BROKEN)
    assert path.read_bytes() == packed


def test_a_broken_compressed_transfer_begins_again(stage: Stage, tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(bytes(BODY), 1)

    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed[: len(packed) // 2])
        handler.close_connection = True

    stage.answers = [broken, whole()]
    path = remote.fetch(stage.url, tmp_path / "file", md5=MD5, size=len(BODY), policy=QUICK)
    assert path.read_bytes() == BODY


def test_a_redirect_keeps_the_range(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [status(302, Location="/elsewhere"), part(1_000_000, len(BODY))]
    path = remote.fetch(stage.url, left_over(tmp_path), md5=MD5, size=len(BODY), policy=BROKEN)
    assert path.read_bytes() == BODY
    assert [(request["path"], request["range"]) for request in stage.requests] == [
        ("/file", "bytes=1000000-"),
        ("/elsewhere", "bytes=1000000-"),
    ]


def test_redirects_without_end_are_an_error(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [status(302, Location="/file")]
    with pytest.raises(RemoteError, match="redirects"):
        remote.fetch(stage.url, tmp_path / "file", policy=QUICK)


def test_a_transfer_that_hardly_moves_is_given_up(stage: Stage, tmp_path: Path) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        for begin in range(0, len(BODY), 1 << 15):
            handler.wfile.write(BODY[begin : begin + (1 << 15)])
            time.sleep(0.1)

    stage.answers = [slow]
    policy = RetryPolicy(retries=0, timeout=0.5)
    with pytest.raises(RemoteError, match=r"only [\d.]+ kB a second arrived\."):
        remote.fetch(stage.url, tmp_path / "file", md5=MD5, policy=policy._replace(least_rate=10_000_000))
    assert (tmp_path / "file.part").stat().st_size >= 1 << 14
    stage.answers = [whole()]
    assert remote.fetch(stage.url, tmp_path / "file", md5=MD5, policy=policy).read_bytes() == BODY


@pytest.fixture
def other() -> Iterator[Stage]:
    """A server of somebody else."""
    other = Stage()
    other.answers = [whole(b"mine now")]
    yield other
    other.close()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["other", "same", "https://127.0.0.1:9/x", "file:///etc/passwd", "//127.0.0.1:9"])
def test_a_form_is_not_sent_on(stage: Stage, other: Stage, code: int, target: str) -> None:
    location = {"other": other.url, "same": f"{stage.url}?again"}.get(target, target)
    stage.answers = [status(code, Location=location), whole(b"mine now")]
    with pytest.raises(RemoteError) as caught:
        remote.request(stage.url, data={"api_key": "0123456789"}, policy=QUICK)
    assert str(caught.value) == (
        f"{stage.url}: the server redirects to '{location}'. What was sent holds a secret or an e-mail address and is"
        " not sent on; configure that address, if you trust it."
    )
    assert caught.value.status == code
    assert (len(stage.requests), len(other.requests)) == (1, 0)


def test_an_address_with_a_secret_is_not_sent_on_and_not_shown(stage: Stage, other: Stage, tmp_path: Path) -> None:
    stage.answers = [status(302, Location=f"{other.url}?Signature=0123456789&x={'y' * 300}")]
    for secret, shown in (("", "?X-Amz-Signature=***"), ("me:0123456789@", "?X-Amz-Signature=***")):
        address = stage.url.replace("://", f"://{secret}") + "?X-Amz-Signature=0123456789"
        with pytest.raises(RemoteError) as caught:
            remote.fetch(address, tmp_path / "file", policy=QUICK)
        assert str(caught.value).startswith(f"{stage.url.replace('://', '://me:***@' if secret else '://')}{shown}: ")
        assert "0123456789" not in str(caught.value) + caught.value.url + caught.value.fault
        assert len(str(caught.value)) < 500
    assert not other.requests
    assert not list(tmp_path.iterdir())


def test_an_address_without_a_secret_leads_on(stage: Stage, other: Stage) -> None:
    stage.answers = [status(302, Location=other.url)]
    assert remote.request(stage.url, policy=QUICK) == b"mine now"


def test_a_masked_address_is_asked_with_its_secrets(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    masked = stage.url.replace("://", "://me:***@")
    monkeypatch.setenv("SRA2MATRIX_ADDRESSES", json.dumps({masked: masked.replace("***", "pw")}))
    stage.answers = [whole(b"good"), status(404)]
    assert remote.request(f"{masked}/below", policy=QUICK) == b"good"
    assert stage.requests[0]["authorization"] == "Basic bWU6cHc="
    with pytest.raises(RemoteError, match=r"me:\*\*\*@.*: the server answered 404"):
        remote.request(f"{masked}/below", policy=QUICK)


def test_no_error_repeats_a_secret_or_controls_the_terminal(stage: Stage) -> None:
    def hostile(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 404 \x1b[2J https://me:0123456789@x \xe2\x80\xae\r\nContent-Length: 0\r\n\r\n")
        handler.close_connection = True

    stage.answers = [hostile]
    for address in (stage.url, "http://me:0123456789@127.0.0.1:1/x?sig=0123456789", "ftp://me:0123456789@host/x"):
        with pytest.raises(RemoteError) as caught:
            remote.request(address, policy=QUICK._replace(retries=0))
        assert "0123456789" not in str(caught.value) + caught.value.fault
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(BODY).hexdigest()])
def test_a_link_in_place_of_a_partial_file_is_not_followed(stage: Stage, tmp_path: Path, sha256: str | None) -> None:
    stage.answers = [whole()]
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "file.part").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"file\.part: a link, in place of a file that is written here"):
        remote.fetch(stage.url, tmp_path / "file", sha256=sha256, policy=QUICK)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not stage.requests


def test_a_part_that_others_may_write_to_is_not_resumed(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [whole()]
    part = tmp_path / "file.part"
    part.write_bytes(BODY[:1000])
    (tmp_path / "theirs").hardlink_to(part)
    remote.fetch(stage.url, tmp_path / "file", sha256=hashlib.sha256(BODY).hexdigest(), policy=QUICK)
    assert "range" not in stage.requests[0]
    assert (tmp_path / "theirs").read_bytes() == BODY[:1000]


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send chunks until the client goes away."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"10000\r\n" + b"A" * 0x10000 + b"\r\n")


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, always before the client would give up waiting for one."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"A")
            handler.wfile.flush()
            time.sleep(0.02)


@pytest.mark.parametrize("body", [endless, whole(gzip.compress(bytes(1 << 24)), Content_Encoding="gzip")])
def test_an_answer_without_end_is_not_received_on(stage: Stage, tmp_path: Path, body: Callable) -> None:
    stage.answers = [body]
    with pytest.raises(RemoteError, match=r"the answer has more than 1,000,000 bytes\.$"):
        remote.request(stage.url, policy=QUICK, most=1_000_000)
    assert len(stage.requests) == 1


def test_an_error_that_is_kept_does_not_keep_the_answer(stage: Stage) -> None:
    def refuse(body: bytes) -> None:
        raise ValueError(f"{len(body)} bytes")

    stage.answers = [whole(b"x" * 100_000), whole(b"x" * 100_000)]
    for check, most in ((refuse, 1 << 20), (None, 50_000)):
        with pytest.raises(RemoteError) as caught:
            remote.request(stage.url, policy=RetryPolicy(retries=0), check=check, most=most)
        fault: BaseException | None = caught.value
        while fault is not None:
            for frame, _ in traceback.walk_tb(fault.__traceback__):
                for value in frame.f_locals.values():
                    assert not isinstance(value, bytes | bytearray) or len(value) < 1000
            fault = fault.__cause__ or fault.__context__


def test_a_file_without_end_is_not_received_on(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [endless]
    with pytest.raises(RemoteError, match=r"the answer has more than 1,000,000 bytes\.$"):
        remote.fetch(stage.url, tmp_path / "file", policy=QUICK, most=1_000_000)
    assert not list(tmp_path.iterdir())


def test_what_comes_in_drops_does_not_come(stage: Stage, tmp_path: Path) -> None:
    stage.answers = [drip]
    policy = QUICK._replace(retries=0, timeout=0.3)
    with pytest.raises(RemoteError, match=r"only 0\.\d kB a second arrived\.$"):
        remote.request(stage.url, policy=policy)
    with pytest.raises(RemoteError, match=r"only 0\.\d kB a second arrived\.$"):
        remote.fetch(stage.url, tmp_path / "file", policy=policy)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 30, "-5", "٣", "inf", "x"])
def test_numbers_of_a_server_that_are_none_end_in_a_sentence(stage: Stage, tmp_path: Path, number: str) -> None:
    def lie(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\n\r\nabc".encode())
        handler.close_connection = True

    stage.answers = [lie]
    for ask in (remote.request, lambda url, policy: remote.fetch(url, tmp_path / "file", policy=policy)):
        with contextlib.suppress(RemoteError):
            ask(stage.url, policy=QUICK._replace(retries=0))

    def wait(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/1.1 429 Slow\r\nRetry-After: {number}\r\nContent-Length: 0\r\n\r\n".encode())

    stage.answers = [wait]
    with pytest.raises(RemoteError, match="the server answered 429 Slow"):
        remote.request(stage.url, policy=QUICK._replace(retries=0))


@pytest.mark.parametrize("address", ["http://[::1", "https://", "http://a..b/x", "http://host:99999999/", "x", ""])
def test_what_is_no_address_ends_in_a_sentence(stage: Stage, tmp_path: Path, address: str) -> None:
    with pytest.raises(RemoteError):
        remote.request(address, policy=QUICK._replace(retries=0))
    with pytest.raises(RemoteError):
        remote.fetch(address, tmp_path / "file", policy=QUICK._replace(retries=0))
    stage.answers = [status(302, Location=address or "http://[")]
    with pytest.raises(RemoteError):
        remote.request(stage.url, policy=QUICK._replace(retries=0))


def test_the_size_of_a_file_is_asked_for_once_and_is_not_needed(stage: Stage) -> None:
    stage.answers = [length("4194304"), length("many"), status(404), status(503)]
    policy = RetryPolicy(retries=0, timeout=5.0)
    assert [remote.content_length(stage.url, policy) for _ in stage.answers[:]] == [len(BODY), None, None, None]
    assert [request["method"] for request in stage.requests] == ["HEAD"] * 4
    assert remote.content_length("http://127.0.0.1:9/file", policy) is None
    assert remote.content_length("ftp://example.org/file", policy) is None
