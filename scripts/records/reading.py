"""Open kept records and report what is wrong with them; XML is parsed by defusedxml, which refuses entities."""

import contextlib
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

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


def xml_events(pieces: Iterable[bytes], name: str | Path) -> Iterator[tuple[str, Element]]:
    """Yield ("start" or "end", element) of an XML document that comes in pieces.

    Raises InputError for a document that is cut short, ill-formed or declares entities. These are declared before the
    first element: up to there defusedxml parses the document too, the rest is left to the parser in C.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    guard = DefusedXMLParser(target=_Prolog())
    guarded = True
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    try:
        for piece in pieces:
            if guarded:
                try:
                    guard.feed(piece)
                except _FirstElement:
                    guarded = False
            parser.feed(piece)
            yield from cast("Iterator[tuple[str, Element]]", parser.read_events())
        parser.close()
    except ParseError as error:
        raise InputError(f"{name}: it is cut short or not well-formed XML ({error}).") from error
    except DefusedXmlException as error:
        raise InputError(f"{name}: the document declares entities; archives do not, so it is not read.") from error
    except (ValueError, LookupError) as error:
        raise InputError(f"{name}: XML in an encoding that is not read ({error}).") from error


def parse_xml(body: bytes, name: str | Path) -> Element:
    """Return the outermost element of an XML document, see :func:`xml_events`."""
    *_, (_, root) = xml_events([body], name)
    return root


class _FirstElement(Exception):
    pass


class _Prolog:
    """Target of a parser that is to read no further than the first element."""

    def start(self, *_: object) -> None:
        raise _FirstElement

    def close(self) -> None:
        pass
