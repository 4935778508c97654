"""Fetching whole answers from an address: never half a file, never a web page in place of one.

:func:`fetch` streams to ``<path>.part`` and renames at the end; :func:`get` and :func:`post` return the bytes of a
small answer. All three

* try again, after growing waits, on connection errors, 408, 425, 429 and 5xx, and obey ``Retry-After``;
* take an HTML page in place of a file, a body shorter than its ``Content-Length``, a wrong size or checksum and an
  answer that the caller's ``check`` refuses for a failure;
* raise :class:`RemoteError` in the end, an InputError that names the address and the last fault.

:class:`RateLimit` spaces requests across processes through a lock file.
"""

import contextlib
import email.utils
import fcntl
import hashlib
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from scripts.core.errors import InputError
from scripts.core.version import VERSION

if TYPE_CHECKING:
    import requests

AGENT = f"sra2matrix/{VERSION}"
_AGAIN = frozenset({408, 425, 429})
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.I | re.S
)
_STREAMED = 1 << 14  # bytes of a file that are received before they are written
_PIECE = 1 << 20  # bytes read at a time; a try that brought at least this much more does not count as a failed one


class RemoteError(InputError):
    """An address that did not give what was asked.

    ``status`` is the HTTP status, None when none was received; ``wait`` the seconds that the server asked to wait.
    """

    def __init__(self, url: str, fault: str, status: int | None = None) -> None:
        super().__init__(f"{url}: {fault}")
        self.url = url
        self.fault = fault
        self.status = status
        self.wait = 0.0


class ChecksumError(RemoteError):
    """A file that arrived whole, but is not the one that was promised (checksum or size)."""


class UnreachableError(RemoteError):
    """A host to which no connection came about."""


class _TryError(Exception):
    """A fault of one try, after which another may be made, ``wait`` seconds later at the earliest."""

    def __init__(self, fault: str, status: int | None = None, wait: float = 0.0, kind: type = RemoteError) -> None:
        super().__init__(fault)
        self.fault = fault
        self.status = status
        self.wait = wait
        self.kind = kind


class RateLimit:
    """At most ``per_second`` requests a second, shared by all processes that name the same folder.

    ``<folder>/<name>.next`` holds the time (seconds since 1970) from which the next request may go out; it is read and
    written under a lock.
    """

    def __init__(self, folder: str | Path, name: str, per_second: float) -> None:
        self.path = Path(folder) / f"{name}.next"
        self.space = 1.0 / per_second

    def wait(self) -> None:
        """Take the next free place and sleep until it comes."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            now = time.time()
            try:
                place = float(handle.read() or 0)
            except ValueError:
                place = now
            if not now - 60 < place < now + 60:  # long ago, or written under a clock that has been put right since
                place = now
            place = max(place, now)
            handle.seek(0)
            handle.truncate()
            handle.write(b"%.6f" % (place + self.space))
        time.sleep(max(0.0, place - now))


class Asking(NamedTuple):
    """How to ask.

    ``retries`` further tries are made after the first (``unreachable_retries``, where given, when no connection comes
    about), ``first_wait`` seconds before the first of them, doubled each time up to ``longest_wait``; ``timeout``
    seconds without a byte end a try, and those of a file's transfer with fewer than ``least_rate`` bytes a second.
    """

    retries: int = 5
    unreachable_retries: int | None = None
    first_wait: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 60.0
    limit: RateLimit | None = None
    least_rate: float = 0.0


def is_html(start: bytes) -> bool:
    """Whether the first bytes of an answer are those of a web page."""
    return _HTML.match(start) is not None


def get(
    url: str,
    params: Mapping[str, str] | None = None,
    *,
    asking: Asking | None = None,
    session: "requests.Session | None" = None,
    check: Callable[[bytes], None] | None = None,
) -> bytes:
    """Return the body that GET gives, empty for 204; ``check`` raises ValueError for one that is not what was asked."""
    return _answer(url, params, None, asking, session, check)


def post(
    url: str,
    data: Mapping[str, str],
    *,
    asking: Asking | None = None,
    session: "requests.Session | None" = None,
    check: Callable[[bytes], None] | None = None,
) -> bytes:
    """Return the body that POST of a form gives; ``check`` as for :func:`get`."""
    return _answer(url, None, data, asking, session, check)


def _answer(
    url: str,
    params: Mapping[str, str] | None,
    data: Mapping[str, str] | None,
    asking: Asking | None,
    session: "requests.Session | None",
    check: Callable[[bytes], None] | None,
) -> bytes:
    asking = asking or Asking()

    def once() -> bytes:
        with _response(url, params, data, {}, asking, session) as response:
            if response.status_code == 204:  # ENA: there is nothing to tell
                return b""
            # `Accept-Encoding` is identity, but a server may compress all the same: then decode.
            body = b"".join(response.raw.stream(_PIECE, decode_content=True))
            if not response.headers.get("Content-Encoding"):
                _check_length(len(body), response.headers.get("Content-Length"))
        if is_html(body[:2048]):
            raise _TryError("the answer is a web page, not what was asked.")
        if check is not None:
            try:
                check(body)
            except ValueError as error:
                raise _TryError(str(error)) from error
        return body

    return _try(url, once, asking)


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    data: Mapping[str, str] | None = None,
    check: Callable[[Path], None] | None = None,
    retries: int = 5,
    asking: Asking | None = None,
    session: "requests.Session | None" = None,
) -> Path:
    """Fetch ``url`` whole into ``path`` and return it; what lies at ``path`` is replaced only by a good file.

    The bytes are kept as the server has them; where it compresses them for the transfer only, which a promised ``size``
    tells, they are decoded. They go to ``<path>.part``; a broken transfer is taken up where it broke when the server
    can (Range), also one that an earlier process left, provided that a checksum will tell whether the two halves belong
    together. ``check`` gets the path of the whole part and raises ValueError for a file that is not
    what was asked. ``data`` makes it a POST of a form. Raises RemoteError, ChecksumError.
    """
    asking = asking or Asking(retries=retries)
    path = Path(path)
    transfer = _Transfer(url, path.with_name(path.name + ".part"), sha256, md5, size, data, asking, session)
    transfer.start()

    def once() -> None:
        transfer.receive()
        if check is not None:
            try:
                check(transfer.part)
            except ValueError as error:
                transfer.start_afresh()
                raise _TryError(str(error)) from error

    try:
        _try(url, once, asking, progress=lambda: transfer.have)
    except RemoteError:
        if not (sha256 or md5):  # nobody could tell whether these bytes may be taken up again
            transfer.part.unlink(missing_ok=True)
        raise
    transfer.part.replace(path)
    return path


class _Transfer:
    """The state of one file's transfer over several tries."""

    def __init__(
        self,
        url: str,
        part: Path,
        sha256: str | None,
        md5: str | None,
        size: int | None,
        data: Mapping[str, str] | None,
        asking: Asking,
        session: "requests.Session | None",
    ) -> None:
        self.url = url
        self.part = part
        self.promised = {name: value.lower() for name, value in (("sha256", sha256), ("md5", md5)) if value}
        self.size = size
        self.data = data
        self.asking = asking
        self.session = session
        self.have = 0
        self.validator = ""  # ETag or date of the answer whose bytes we hold

    def start(self) -> None:
        """Take up what an earlier process left, where a checksum will judge it; otherwise begin with nothing."""
        left = self.part.stat().st_size if self.part.is_file() else 0
        if not (left and self.promised and self.data is None) or (self.size is not None and left > self.size):
            self.start_afresh()
            return
        self._reset_sums()
        with self.part.open("rb") as handle:
            while piece := handle.read(_PIECE):
                self._add(piece)

    def start_afresh(self) -> None:
        self.part.unlink(missing_ok=True)
        self.validator = ""
        self._reset_sums()

    def _reset_sums(self) -> None:
        self.have = 0
        self.sums = {name: hashlib.new(name) for name in self.promised}

    def _add(self, piece: bytes) -> None:
        for digest in self.sums.values():
            digest.update(piece)
        self.have += len(piece)

    def receive(self) -> None:
        """One try: receive what is missing, then hold it against size and checksums. Raises _TryError."""
        if not (self.size is not None and self.have == self.size and self.size):
            self._receive_rest()
        if self.size is not None and self.have != self.size:
            fault = f"{self.have:,} bytes arrived, but the file has {self.size:,}."
            if self.have > self.size:
                self.start_afresh()
            raise _TryError(fault, kind=ChecksumError)
        for name, digest in self.sums.items():
            if digest.hexdigest() != self.promised[name]:
                fault = f"its {name} is {digest.hexdigest()}, but {self.promised[name]} was promised."
                self.start_afresh()
                raise _TryError(fault, kind=ChecksumError)

    def _receive_rest(self) -> None:
        headers = {}
        resumable = self.have and self.data is None and (self.validator or self.promised)
        if self.have and not resumable:
            self.start_afresh()
        if resumable:
            headers["Range"] = f"bytes={self.have}-"
            if self.validator:
                headers["If-Range"] = self.validator
        with _response(self.url, None, self.data, headers, self.asking, self.session) as response:
            if response.status_code == 416:  # we hold as much as there is, or more: only a checksum can tell
                if not self.promised:
                    self.start_afresh()
                    raise _TryError("the server cannot go on where the transfer broke.", 416)
                total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
                if total and int(total[1]) != self.have:
                    self.start_afresh()
                    raise _TryError("what an earlier transfer left is longer than the file.", 416)
                return
            length = response.headers.get("Content-Length", "")
            packed = self._is_packed(response)
            total = None  # of the object, where the server gives a part of it
            if response.status_code == 206:
                begin = re.match(rf"bytes {self.have}-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
                if not begin or packed:
                    self.start_afresh()
                    raise _TryError("the server went on at another place than was asked.")
                total = int(begin[1]) if begin[1].isdecimal() else self.size
                if self.size is not None and total != self.size:
                    self.start_afresh()
                    raise _TryError(f"the server has {total:,} bytes, but the file {self.size:,}.", kind=ChecksumError)
            pieces = response.raw.stream(_STREAMED, decode_content=packed)
            first = next(pieces, b"")
            if response.status_code == 200 and self.have:  # from the beginning, whatever was asked
                if is_html(first[:2048]):
                    raise _TryError("the answer is a web page, not a file.")
                if self.size is not None and not packed and length.isdecimal() and int(length) != self.size:
                    raise _TryError(f"the server has {int(length):,} bytes, but the file {self.size:,}.")
                self.start_afresh()
            etag = response.headers.get("ETag", "")
            self.validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
            if packed:
                self.validator = ""
            received = 0
            slow = _Slowness(self.asking)
            self.part.parent.mkdir(parents=True, exist_ok=True)
            with self.part.open("ab") as handle:
                for piece in itertools.chain([first], pieces):
                    if not self.have and is_html(piece[:2048]):
                        raise _TryError("the answer is a web page, not a file.")
                    handle.write(piece)
                    self._add(piece)
                    received += len(piece)
                    if self.size is not None and self.have > self.size:
                        break  # there may be no end of it
                    slow.check(received)
            if packed:
                return
            if self.size is None or self.have <= self.size:
                _check_length(received, length)
            if total is not None and self.have < total:
                raise _TryError(f"the server gave no more than {self.have:,} of {total:,} bytes.")
        with self.part.open("rb") as handle:
            if is_html(handle.read(2048)):
                self.start_afresh()
                raise _TryError("the answer is a web page, not a file.")

    def _is_packed(self, response: "requests.Response") -> bool:
        """Whether the bytes are compressed for this transfer only; servers say so of files that are .gz, too."""
        length = response.headers.get("Content-Length", "")
        coded = response.headers.get("Content-Encoding", "").lower() not in ("", "identity")
        if not length and urlsplit(self.url).path.endswith(".gz"):
            return False
        return coded and self.size is not None and length != str(self.size)


class _Slowness:
    """Finds out a transfer that goes on, but hardly."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.begun, self.before = time.monotonic(), 0

    def check(self, received: int) -> None:
        """Take note of the bytes received by now. Raises _TryError where they became too few."""
        passed = time.monotonic() - self.begun
        if passed < self.asking.timeout:
            return
        if received - self.before < self.asking.least_rate * passed:
            rate = (received - self.before) / passed / 1000
            raise _TryError(f"only {rate:,.1f} kB a second arrived.")
        self.begun, self.before = time.monotonic(), received


def _check_length(received: int, promised: str | None) -> None:
    if promised is not None and promised.isdecimal() and received != int(promised):
        raise _TryError(f"the answer was cut short: {received:,} of {int(promised):,} bytes arrived.")


@contextlib.contextmanager
def _response(
    url: str,
    params: Mapping[str, str] | None,
    data: Mapping[str, str] | None,
    headers: Mapping[str, str],
    asking: Asking,
    session: "requests.Session | None",
) -> Iterator["requests.Response"]:
    """Ask once; the answer is good (200, 204, 206, 416) inside the block. Faults of the transfer become _TryError."""
    import requests
    import urllib3

    if urlsplit(url).scheme not in ("http", "https"):
        raise RemoteError(url, "not an address that begins with https:// or http://.")
    if asking.limit is not None:
        asking.limit.wait()
    own = session is None
    session = session or requests.Session()
    try:
        with session.request(
            "GET" if data is None else "POST",
            url,
            params=params,
            data=data,
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **headers},
            stream=True,
            timeout=(min(20.0, asking.timeout), asking.timeout),
        ) as response:
            status = response.status_code
            if status in _AGAIN or status >= 500:
                raise _TryError(f"the server answered {status} {response.reason}.", status, _retry_after(response))
            if status not in (200, 204, 206) and not (status == 416 and "Range" in headers):
                raise RemoteError(url, f"the server answered {status} {response.reason}.", status)
            yield response
    except (requests.ConnectionError, urllib3.exceptions.NewConnectionError) as error:
        raise _TryError(f"no connection: {_plain(error)}.", kind=UnreachableError) from error
    except requests.Timeout as error:
        raise _TryError(f"no byte for {asking.timeout:.0f} s.") from error
    except (urllib3.exceptions.HTTPError, requests.exceptions.ChunkedEncodingError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException | ConnectionError):
            raise  # a fault of ours, for instance a full disk
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.TooManyRedirects):
            raise RemoteError(url, f"{_plain(error)}.") from error
        raise _TryError(f"the transfer broke: {_plain(error)}.") from error
    finally:
        if own:
            session.close()


def _plain(error: Exception) -> str:
    """What lies at the bottom of a library's error, in few words and without the addresses of objects."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    return (getattr(error, "strerror", None) or re.sub(r"<[^<>]* at 0x[0-9a-f]+>:? ?", "", str(error))).rstrip(".")


def _retry_after(response: "requests.Response") -> float:
    """Seconds that the server asks to wait: a number or a date (RFC 9110, 10.2.3); 0 when it does not say."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _try(url: str, once: Callable[[], Any], asking: Asking, progress: Callable[[], int] = lambda: 0) -> Any:
    """Call ``once`` until it succeeds; a try after which ``progress`` stands higher than ever is not counted."""
    failed = 0
    best = progress()
    while True:
        try:
            return once()
        except _TryError as again:
            if progress() >= best + _PIECE:
                best = progress()
                failed = 0
            failed += 1
            retries = asking.retries
            if again.kind is UnreachableError and asking.unreachable_retries is not None:
                retries = min(retries, asking.unreachable_retries)
            if failed > retries or again.wait > max(asking.longest_wait, 600):
                tries = f" ({failed} tries)" if failed > 1 else ""
                fault = again.kind(url, f"{again.fault.rstrip('.')}{tries}.", again.status)
                fault.wait = again.wait
                raise fault from again.__cause__
            wait = min(asking.longest_wait, asking.first_wait * 2 ** (failed - 1)) * random.uniform(0.75, 1.0)
            time.sleep(max(wait, again.wait))
