"""Fetch whole answers from an address: never half a file, never a web page in place of one.

:func:`fetch` streams to ``<path>.part`` and renames at the end; :func:`request` returns the bytes of a small answer.
Both

* try again, after growing waits, on connection errors, 408, 425, 429 and 5xx, and obey ``Retry-After``;
* refuse an HTML page in place of a file, a body shorter than its ``Content-Length``, a wrong size or checksum and an
  answer that the caller's ``check`` refuses;
* end a try whose answer has no end or comes in drops, at a bound of bytes and a least rate;
* follow no redirect of a form or of an address with a secret: it would be sent on to whoever answers;
* raise :class:`RemoteError` in the end, an InputError that names the address, without its secrets, and the last fault.
"""

import contextlib
import hashlib
import itertools
import os
import random
import re
import stat
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

from scripts.core.disk.files import make_folder, new_file, refuse_link
from scripts.core.disk.locks import RateLimit
from scripts.core.errors import InputError
from scripts.core.output import printable
from scripts.core.secrets import has_secret, mask, reveal
from scripts.core.version import VERSION

if TYPE_CHECKING:
    import requests
    from tenacity import RetryCallState

Result = TypeVar("Result")
USER_AGENT = f"sra2matrix/{VERSION}"
_TRANSIENT = frozenset({408, 425, 429})
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.I | re.S
)
_SIZE = re.compile("[0-9]{1,18}")
_HTML_START = 2048  # bytes in which a web page shows
_ERROR_START = 4096  # bytes of what comes with an error's status that are kept
_BUFFER = 1 << 14  # bytes of a file that are received before they are written
_SLOWEST = 100.0  # bytes a second; what comes slower does not come
LARGEST_ANSWER, LARGEST_FILE = 1 << 28, 1 << 40
"""Bytes of an answer that is kept in memory, and of a file; more of them are not received."""
_PROGRESS = 1 << 20  # bytes that a failed try must have brought to go uncounted
_LONGEST_TARGET = 200  # characters of the address of a redirect that are shown
_LONGEST_RETRY_AFTER = 600.0  # seconds; for a server that asks to wait longer, nobody waits


class RemoteError(InputError):
    """An address that did not give what was asked.

    ``status`` is the HTTP status, None when none was received; ``wait`` the seconds that the server asked to wait;
    ``final`` is true where another try would end alike; ``body`` has the first bytes of what came with the status.
    """

    def __init__(self, url: str, fault: str, status: int | None = None, wait: float = 0.0, final: bool = False) -> None:
        self.url, self.fault = mask(printable(url)), mask(printable(fault))
        super().__init__(f"{self.url}: {self.fault}")
        self.status = status
        self.wait = wait
        self.final = final
        self.body = b""


class ChecksumError(RemoteError):
    """A file that arrived whole, but with another checksum or size than promised."""


class UnreachableError(RemoteError):
    """A host to which no connection could be made."""


class RetryPolicy(NamedTuple):
    """How often and how patiently to ask.

    ``retries`` further tries are made after the first (``unreachable_retries``, where given, when no connection can be
    made), ``first_wait`` seconds before the first of them, doubled each time up to ``longest_wait``; ``timeout``
    seconds without a byte end a try, and those of a file's transfer with fewer than ``least_rate`` bytes a second.
    ``limit`` holds for each try.
    """

    retries: int = 5
    unreachable_retries: int | None = None
    first_wait: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 60.0
    limit: RateLimit | None = None
    least_rate: float = 0.0

    def is_exhausted(self, tries: int, error: RemoteError) -> bool:
        """Return whether no further try is made after so many, the last of which ended in this error."""
        retries = self.retries
        if isinstance(error, UnreachableError) and self.unreachable_retries is not None:
            retries = min(retries, self.unreachable_retries)
        return tries > retries or error.wait > max(self.longest_wait, _LONGEST_RETRY_AFTER)


def is_html(start: bytes) -> bool:
    """Return whether the first bytes of an answer are those of a web page."""
    return _HTML.match(start[:_HTML_START]) is not None


def request(
    url: str,
    *,
    data: Mapping[str, str] | None = None,
    policy: RetryPolicy | None = None,
    session: "requests.Session | None" = None,
    check: Callable[[bytes], None] | None = None,
    most: int = LARGEST_ANSWER,
) -> bytes:
    """Return the body of the answer to GET, or to POST of the form ``data``; empty for 204.

    ``check`` raises ValueError for a body that is not what was asked. Raises RemoteError, also for one of more than
    ``most`` bytes.
    """
    policy = policy or RetryPolicy()

    def attempt() -> bytes:
        with _respond(url, {}, policy, session, data) as response:
            if response.status_code == 204:  # ENA: nothing is known of this accession
                return b""
            body = bytearray()
            # `Accept-Encoding` is identity, but a server may compress anyway: then decode.
            for piece in _check_speed(url, _pieces(response, decode=True), policy):
                body += piece
                _refuse_beyond(url, len(body), most)
        content = bytes(body)
        if is_html(content):
            raise RemoteError(url, "the answer is a web page, not what was asked.")
        _check_answer(url, check, content)
        return content

    return _retry(url, attempt, policy)


def content_length(url: str, policy: RetryPolicy) -> int | None:
    """Return the size of the file at an address by one HEAD; None where the server does not answer or say."""
    try:
        with _respond(url, {}, policy, None, method="HEAD") as response:
            size = response.headers.get("Content-Length", "")
    except RemoteError:
        return None
    return int(size) if _SIZE.fullmatch(size) else None


def fetch(
    url: str,
    path: str | Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    check: Callable[[Path], None] | None = None,
    policy: RetryPolicy | None = None,
    session: "requests.Session | None" = None,
    most: int = LARGEST_FILE,
) -> Path:
    """Fetch ``url`` whole into ``path`` and return it; an older file is replaced only by a good one.

    The bytes are kept as the server has them; where it compresses them for the transfer only, which a promised ``size``
    shows, they are decoded. They go to ``<path>.part``; a broken transfer is resumed when the server can (Range), also
    one that an earlier process left, provided that a checksum will show whether the two halves belong together.
    ``check`` gets the path of the whole part and raises ValueError for a file that is not what was asked. Raises
    RemoteError, also for a file of more than ``most`` bytes, and ChecksumError.
    """
    policy = policy or RetryPolicy()
    path = Path(path)
    checksums = {name: value.lower() for name, value in (("sha256", sha256), ("md5", md5)) if value}
    transfer = _Transfer(url, path.with_name(path.name + ".part"), checksums, size, policy, session, most)
    transfer.resume()

    def attempt() -> None:
        transfer.receive()
        transfer.verify()
        with transfer.restarting():
            _check_answer(url, check, transfer.part)

    try:
        _retry(url, attempt, policy, progress=lambda: transfer.received)
    except RemoteError:
        if not checksums:  # nothing could show whether these bytes may be resumed
            transfer.part.unlink(missing_ok=True)
        raise
    transfer.part.replace(path)
    return path


@dataclass
class _Transfer:
    """The state of one file's transfer over several tries."""

    url: str
    part: Path
    checksums: Mapping[str, str]  # algorithm → promised checksum
    size: int | None
    policy: RetryPolicy
    session: "requests.Session | None"
    most: int  # bytes that are received

    def restart(self) -> None:
        """Drop what was received."""
        with contextlib.suppress(PermissionError):  # reported when it is made anew
            self.part.unlink(missing_ok=True)
        self._begin()

    def _begin(self) -> None:
        self.received = 0  # bytes in the partial file
        self.digests = {name: hashlib.new(name) for name in self.checksums}
        self.validator = ""  # ETag or date of the answer that the bytes are from

    @contextlib.contextmanager
    def restarting(self) -> Iterator[None]:
        """Drop what was received when the block raises RemoteError."""
        try:
            yield
        except RemoteError:
            self.restart()
            raise

    def resume(self) -> None:
        """Take what an earlier process left, where a checksum will verify it; else drop it.

        Raises InputError for a link in its place. What another user may still write to is dropped.
        """
        refuse_link(self.part)
        left = 0
        with contextlib.suppress(FileNotFoundError):
            state = self.part.lstat()
            own = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and state.st_nlink == 1
            left = state.st_size if own else 0
        if not left or not self.checksums or (self.size is not None and left > self.size):
            self.restart()
            return
        self._begin()
        with self.part.open("rb") as handle:
            while piece := handle.read(1 << 20):
                self._add(piece)

    def _add(self, piece: bytes) -> None:
        for digest in self.digests.values():
            digest.update(piece)
        self.received += len(piece)

    def receive(self) -> None:
        """Receive what is missing, in one try."""
        if self.size and self.received == self.size:
            return
        with _respond(self.url, self._negotiate(), self.policy, self.session) as response:
            if response.status_code == 416:
                self._refuse_longer(response)
                return
            with self.restarting():
                total = self._classify(response)
            self._copy(response, total)

    def verify(self) -> None:
        """Compare the partial file with the promised size and checksums. Raises ChecksumError."""
        if self.size is not None and self.received != self.size:
            fault = f"{self.received:,} bytes arrived, but the file has {self.size:,}."
            if self.received > self.size:
                self.restart()
            raise ChecksumError(self.url, fault)
        with self.restarting():
            for name, digest in self.digests.items():
                if digest.hexdigest() != self.checksums[name]:
                    fault = f"its {name} is {digest.hexdigest()}, but {self.checksums[name]} was promised."
                    raise ChecksumError(self.url, fault)

    def _negotiate(self) -> dict[str, str]:
        """Return the headers that ask for what is missing: RFC 9110, 14.2 (Range) and 13.1.5 (If-Range)."""
        if not self.validator and not self.checksums:
            self.restart()
        headers = {"Range": f"bytes={self.received}-"} if self.received else {}
        return headers | {"If-Range": self.validator} if headers and self.validator else headers

    def _refuse_longer(self, response: "requests.Response") -> None:
        """Raise RemoteError for 416 (nothing is left to send), unless a checksum may prove the file whole."""
        total = re.fullmatch(r"bytes \*/(\d{1,18})", response.headers.get("Content-Range", ""))
        with self.restarting():
            if not self.checksums:
                raise RemoteError(self.url, "the server cannot resume the transfer.", 416)
            if total and int(total[1]) != self.received:
                raise RemoteError(self.url, "what an earlier transfer left is longer than the file.", 416)

    def _classify(self, response: "requests.Response") -> int | None:
        """Return the bytes of the whole file where a response is the part of it that was asked for, else None.

        Raises RemoteError for another part.
        """
        if response.status_code != 206:
            return None
        bounds = re.match(rf"bytes {self.received}-\d+/(\d{{1,18}}|\*)", response.headers.get("Content-Range", ""))
        if not bounds or self._is_packed(response):
            raise RemoteError(self.url, "the server resumed at another position than was asked.")
        total = int(bounds[1]) if bounds[1].isdecimal() else self.size
        if self.size is not None and total != self.size:
            raise ChecksumError(self.url, f"the server has {total:,} bytes, but the file {self.size:,}.")
        return total

    def _is_packed(self, response: "requests.Response") -> bool:
        """Return whether the bytes are compressed for this transfer only; servers say so of files that are .gz, too."""
        length = response.headers.get("Content-Length", "")
        encoded = response.headers.get("Content-Encoding", "").lower() not in ("", "identity")
        if not length and urlsplit(self.url).path.endswith(".gz"):
            return False
        return encoded and self.size is not None and length != str(self.size)

    def _copy(self, response: "requests.Response", total: int | None) -> None:
        """Append the body to the partial file. Raises RemoteError for one that is cut short or a web page."""
        packed = self._is_packed(response)
        pieces = _pieces(response, decode=packed)
        first = next(pieces, b"")
        if response.status_code == 200:
            length = "" if packed else response.headers.get("Content-Length", "")
            self._replace_by(first, int(length) if _SIZE.fullmatch(length) else None)
        etag = response.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
        self.validator = "" if packed else strong
        make_folder(self.part.parent)
        with self._open_part() as handle:
            for piece in _check_speed(self.url, itertools.chain([first], pieces), self.policy):
                handle.write(piece)
                self._add(piece)
                if self.size is not None and self.received > self.size:
                    return  # there may be no end of it
                _refuse_beyond(self.url, self.received, self.most)
        if total is not None and self.received < total:
            raise RemoteError(self.url, f"the server gave no more than {self.received:,} of {total:,} bytes.")
        if not packed:
            with self.part.open("rb") as handle, self.restarting():  # the first piece may have been too short
                self._refuse_html(handle.read(_HTML_START))

    def _open_part(self) -> BinaryIO:
        """Return the partial file, to which what comes is appended. Raises InputError for a link."""
        if not self.received:
            return os.fdopen(new_file(self.part), "ab")
        refuse_link(self.part)
        return os.fdopen(os.open(self.part, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC), "ab")

    def _replace_by(self, first: bytes, size: int | None) -> None:
        """Drop what was received for a body that is the whole file. Raises RemoteError, and keeps it, for another."""
        self._refuse_html(first)
        if self.received and None not in (self.size, size) and size != self.size:
            raise RemoteError(self.url, f"the server has {size:,} bytes, but the file {self.size:,}.")
        self.restart()

    def _refuse_html(self, start: bytes) -> None:
        if is_html(start):
            raise RemoteError(self.url, "the answer is a web page, not a file.")


def _pieces(response: "requests.Response", decode: bool) -> Iterator[bytes]:
    """Yield the body as it comes, however little that is."""
    while piece := response.raw.read1(_BUFFER, decode_content=decode):
        yield piece


def _refuse_beyond(url: str, size: int, most: int) -> None:
    if size > most:
        raise RemoteError(url, f"the answer has more than {most:,} bytes.", final=True)


def _check_speed(url: str, pieces: Iterable[bytes], policy: RetryPolicy) -> Iterator[bytes]:
    """Yield pieces. Raises RemoteError when fewer bytes a second than the policy asks for came within its timeout."""
    least = max(policy.least_rate, _SLOWEST)
    since, received = time.monotonic(), 0
    for piece in pieces:
        yield piece
        received += len(piece)
        passed = time.monotonic() - since
        if passed >= policy.timeout:
            if received < least * passed:
                raise RemoteError(url, f"only {received / passed / 1000:,.1f} kB a second arrived.")
            since, received = time.monotonic(), 0


Content = TypeVar("Content", bytes, Path)


def _check_answer(url: str, check: Callable[[Content], None] | None, content: Content) -> None:
    if check is not None:
        try:
            check(content)
        except ValueError as error:
            raise RemoteError(url, str(error)) from error


@contextlib.contextmanager
def _respond(
    url: str,
    headers: Mapping[str, str],
    policy: RetryPolicy,
    session: "requests.Session | None",
    data: Mapping[str, str] | None = None,
    method: str = "",
) -> Iterator["requests.Response"]:
    """Ask once, by POST where there is a form; the answer is good (200, 204, 206, 416) in the block.

    Faults of the transfer become RemoteError.
    """
    import requests
    import urllib3

    _refuse_scheme(url)
    if policy.limit is not None:
        policy.limit.wait()
    address = reveal(url)
    with contextlib.ExitStack() as stack:
        session = session or stack.enter_context(requests.Session())
        try:
            with _send(session, address, headers, policy, data, method) as response:
                if not _may_lead_on(address, data):
                    _refuse_redirect(url, response)
                _check_status(url, response, ranged="Range" in headers)
                response.raw.enforce_content_length = True  # as urllib3 2 does
                yield response
        except (requests.ConnectionError, urllib3.exceptions.NewConnectionError) as error:
            raise UnreachableError(url, f"no connection: {_root_cause(error)}.") from error
        except requests.Timeout as error:
            raise RemoteError(url, f"no byte for {policy.timeout:.0f} s.") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects, _BrokenAddress) as error:
            raise RemoteError(url, f"{_root_cause(error)}.", final=True) from error
        except (urllib3.exceptions.HTTPError, requests.RequestException, ConnectionError) as error:
            raise RemoteError(url, f"the transfer broke: {_root_cause(error)}.") from error


class _BrokenAddress(Exception):
    """An address, given or of a redirect, that cannot be taken apart."""


def _refuse_scheme(url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise RemoteError(url, f"not an address: {error}.", final=True) from error
    if scheme not in ("http", "https"):
        raise RemoteError(url, "not an address that begins with https:// or http://.", final=True)


def _may_lead_on(address: str, data: Mapping[str, str] | None) -> bool:
    """Return whether redirects are followed: nothing that is sent is a secret."""
    return data is None and not has_secret(address)


def _send(
    session: "requests.Session",
    address: str,
    headers: Mapping[str, str],
    policy: RetryPolicy,
    data: Mapping[str, str] | None,
    method: str,
) -> "requests.Response":
    try:
        return session.request(
            method or ("GET" if data is None else "POST"),
            address,
            data=data,
            allow_redirects=_may_lead_on(address, data),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
            stream=True,
            timeout=(min(20.0, policy.timeout), policy.timeout),
        )
    except ValueError as error:  # requests parses the address of a redirect without a check
        import requests

        if isinstance(error, requests.RequestException):
            raise
        raise _BrokenAddress(str(error)) from error


def _refuse_redirect(url: str, response: "requests.Response") -> None:
    """Raise RemoteError for a redirect of a form (e-mail address, API key) or of an address with a secret."""
    if response.is_redirect:
        target = response.headers["Location"]
        target = f"{target[:_LONGEST_TARGET]}…" if len(target) > _LONGEST_TARGET else target
        raise RemoteError(
            url,
            f"the server redirects to {target!r}. What was sent holds a secret or an e-mail address and is not"
            " sent on; configure that address, if you trust it.",
            response.status_code,
            final=True,
        )


def _check_status(url: str, response: "requests.Response", ranged: bool) -> None:
    status = response.status_code
    if status in (200, 204, 206) or (status == 416 and ranged):
        return
    transient = status in _TRANSIENT or status >= 500
    fault = f"the server answered {status} {response.reason}."
    error = RemoteError(url, fault, status, _retry_after(response) if transient else 0.0, final=not transient)
    error.body = response.raw.read(_ERROR_START, decode_content=True)
    raise error


def _root_cause(error: BaseException) -> str:
    """Return what a library's error is caused by, in few words and without the addresses of objects."""
    while isinstance(cause := error.__cause__ or error.__context__, Exception):
        error = cause
    return (getattr(error, "strerror", None) or re.sub(r"<[^<>]* at 0x[0-9a-f]+>:? ?", "", str(error))).rstrip(".")


def _retry_after(response: "requests.Response") -> float:
    """Return the seconds that the server asks to wait (RFC 9110, 10.2.3); 0 when it does not say."""
    import urllib3

    try:
        return urllib3.Retry().parse_retry_after(response.headers.get("Retry-After", ""))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return 0.0


def _retry(
    url: str, attempt: Callable[[], Result], policy: RetryPolicy, progress: Callable[[], int] = lambda: 0
) -> Result:
    """Call ``attempt`` until it succeeds; a try after which ``progress`` is higher than ever is not counted."""
    import tenacity

    best = progress()
    backoff = tenacity.wait_exponential(multiplier=policy.first_wait, max=policy.longest_wait)

    def count_again(state: "RetryCallState") -> None:
        nonlocal best
        if progress() >= best + _PROGRESS:
            best = progress()
            state.attempt_number = 1

    def give_up(state: "RetryCallState") -> NoReturn:
        error = _last_error(state)
        tries = f" ({state.attempt_number} tries)" if state.attempt_number > 1 else ""
        fault = f"{error.fault.rstrip('.')}{tries}."
        last = type(error)(url, fault, error.status, error.wait, error.final)
        last.body = error.body
        raise last from error.__cause__

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, RemoteError) and not error.final),
        after=count_again,
        stop=lambda state: policy.is_exhausted(state.attempt_number, _last_error(state)),
        wait=lambda state: max(_last_error(state).wait, backoff(state) * random.uniform(0.75, 1.0)),
        retry_error_callback=give_up,
    )
    try:
        return retrying(attempt)
    except RemoteError as error:  # the look-up keeps errors, and the frames of an error would keep its whole answer
        fault: BaseException | None = error
        while fault is not None:
            traceback.clear_frames(fault.__traceback__)
            fault = fault.__cause__ or fault.__context__
        raise


def _last_error(state: "RetryCallState") -> RemoteError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RemoteError)
    return error
