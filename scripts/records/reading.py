"""Open kept records and report what is wrong with them; XML is parsed by defusedxml, which refuses entities."""

import contextlib
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scripts.core.errors import InputError
from scripts.core.gzip_files import open_bytes


@contextlib.contextmanager
def open_record(path: str | Path) -> Iterator[BinaryIO]:
    """Open a record for reading, gzipped or not by its first bytes.

    Raises InputError, which says what to do, for a record that cannot be read, is damaged or is cut short.
    """
    try:
        with open_bytes(path) as handle:
            yield handle
    except EOFError as error:
        raise InputError(f"{path}: it is cut short; delete it to have it fetched again.") from error
    except gzip.BadGzipFile as error:
        raise InputError(f"{path}: it is damaged ({error}); delete it to have it fetched again.") from error
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror or error}.") from error


@contextlib.contextmanager
def checked_xml(name: str | Path) -> Iterator[None]:
    """Report an XML document that is cut short, ill-formed or declares entities as InputError."""
    import defusedxml
    from defusedxml import ElementTree

    try:
        yield
    except ElementTree.ParseError as error:
        raise InputError(f"{name}: it is cut short or not well-formed XML ({error}).") from error
    except defusedxml.DefusedXmlException as error:
        raise InputError(f"{name}: the document declares entities; archives do not, so it is not read.") from error
