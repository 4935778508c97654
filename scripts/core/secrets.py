"""Secrets: an API key, and passwords and signatures in addresses. They are used, and never printed or written.

Other users of a machine can read its command lines, and Snakemake records the commands and params of its jobs. So
secrets reach a job by its environment alone: the key as NCBI_API_KEY, and an address as ``https://user:***@host/…``,
whose secrets are in SRA2MATRIX_ADDRESSES (JSON, masked address → address). Snakemake's ``envvars:`` is not used: it
puts the values into the command lines of cluster jobs.
"""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

from scripts.core.disk.rights import cause_of
from scripts.core.errors import raise_faults

KEY, ADDRESSES = "NCBI_API_KEY", "SRA2MATRIX_ADDRESSES"
_MASK = "***"
_LONGEST_KEY = 1000  # bytes of a file with a key
# RFC 3986, 3.2.1: what is before the last @ of an authority; a word without a colon is a token.
_USER = re.compile(r"(?<=://)(?:([^\s/?#:@]*:)[^\s/?#]+|[^\s/?#:@]+)@")
# Parameters of signed addresses (Amazon, Google, Azure, CloudFront) and the usual names of passwords and keys.
_PARAMETER = re.compile(
    r"((?:^|[?&;#\s])(?:[\w.-]*(?:signature|token|secret|passw(?:or)?d|credential|api[-_]?key|access[-_]?key(?:[-_]?id)?)"
    r"|sig|key|pwd|auth|authorization|policy|expires|key-pair-id|x-amz-expires)=)[^\s&;#\"'<>]+",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """Return a text in which the API key, and passwords and signatures of addresses, are ``***``."""
    key = os.environ.get(KEY, "")
    for secret in {key, quote_plus(key)} if len(key) > 3 else ():
        text = text.replace(secret, _MASK)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1{_MASK}", text)
    if "@" in text:
        text = _USER.sub(lambda found: f"{found[1] or ''}{_MASK}@", text)
    return text


def has_secret(address: str) -> bool:
    """Return whether an address has a password, a token or a signature."""
    return mask(address) != address


def name_of_address(address: str) -> str:
    """Return the last part of an address' path, without what follows after ``?``."""
    return urlsplit(address).path.rpartition("/")[2]


def reveal(address: str) -> str:
    """Return an address with the secrets that were masked by :func:`take_secrets`."""
    if _MASK in address:
        known = json.loads(os.environ.get(ADDRESSES, "{}"))
        for masked in sorted(known, key=len, reverse=True):
            if address.startswith(masked):
                return str(known[masked]) + address.removeprefix(masked)
    return address


def without_secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment, by default that of this process, as programs of others get it."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if name not in (KEY, ADDRESSES)}


def take_secrets(
    config: Mapping[str, Any], command_line: Mapping[str, Any], environment: MutableMapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return a configuration without its secrets, which go into the environment of this process and of its jobs.

    ``archives.api_key`` becomes None, addresses are masked. ``command_line`` are the values of ``--config``. Raises
    InputError for secrets given there, where every user of the machine reads them, and for a file of a key that others
    may read.
    """
    faults = [
        f"{where}: given with --config, where every user of this machine can read it; put it into config/config.yaml,"
        " or the key into a file of your own: api_key: file:PATH"
        for where, value in _values(command_line)
        if isinstance(value, str) and _is_secret(where, value)
    ]
    archives = config.get("archives")
    configured = archives.get("api_key") if isinstance(archives, Mapping) else None
    known: dict[str, str] = json.loads(environment.get(ADDRESSES, "{}"))
    hidden = _masked(config, known, faults)
    if configured not in (None, "null"):
        hidden["archives"]["api_key"] = None
        environment[KEY] = _read_key(configured, faults)
    if isinstance(archives, Mapping) and has_secret(str(archives.get("sra", ""))):
        faults.append("archives.sra: prefetch takes no password and no signature in the address of a resolver")
    raise_faults("The configuration", faults)
    if known:
        environment[ADDRESSES] = json.dumps(known)
    return hidden


def readable_secrets(config: Mapping[str, Any], files: Iterable[str | Path]) -> list[str]:
    """Return a sentence for each configuration file that has secrets of ``config`` and that other users may read."""
    found = [str(value) for where, value in _values(config) if isinstance(value, str) and _is_secret(where, value)]
    sentences = []
    for path in map(Path, files if found else ()):
        with contextlib.suppress(OSError):
            if path.stat().st_mode & 0o044 and any(secret in path.read_text("utf-8", "replace") for secret in found):
                sentences.append(f"{path} holds a secret, and others can read it; run: chmod 600 {path}")
    return sentences


def _is_secret(where: str, value: str) -> bool:
    return has_secret(value) or _is_plain_key(where, value)


def _is_plain_key(where: str, value: str) -> bool:
    return where.rpartition(".")[2] == "api_key" and value != "null" and not value.startswith("file:")


def _values(tree: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested maps and lists with its key path."""
    if isinstance(tree, Mapping | list | tuple):
        pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for name, value in pairs:
            yield from _values(value, f"{where}.{name}" if where else str(name))
    else:
        yield where, tree


def _masked(tree: Any, known: dict[str, str], faults: list[str]) -> Any:
    """Return maps and lists with masked addresses; add each to ``known``."""
    if isinstance(tree, Mapping):
        return {name: _masked(value, known, faults) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_masked(value, known, faults) for value in tree]
    if not isinstance(tree, str) or "://" not in tree or not has_secret(tree):
        return tree
    masked = mask(tree)
    if known.setdefault(masked, tree) != tree:
        faults.append(f"{masked}: two addresses differ in their passwords or signatures only; give one of them")
    return masked


def _read_key(configured: Any, faults: list[str]) -> str:
    """Return the API key that is configured, itself or as ``file:PATH``; add what is wrong with it to ``faults``."""
    where = "archives.api_key"
    if not isinstance(configured, str):
        faults.append(f"{where}: not text; write the key in quotes, or file:PATH")
        return ""
    key = configured.strip()
    if key.startswith("file:"):
        path = Path(key.removeprefix("file:")).expanduser()
        where = f"{where}: {path}"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would not end
        except OSError as error:
            faults.append(f"{where} cannot be read: {cause_of(error, path)}")
            return ""
        with open(handle, "rb") as content:  # noqa: PTH123
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode):
                faults.append(f"{where} is not a file")
                return ""
            if state.st_mode & 0o077:
                faults.append(f"{where} can be read by others; run: chmod 600 {path}")
                return ""
            key = content.read(_LONGEST_KEY).decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[!-~]+", key):
        faults.append(f"{where}: not a key, which is one word of letters and digits")
        return ""
    return key
