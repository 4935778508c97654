"""Open kept records and report what is wrong with them; XML is parsed by defusedxml, which refuses entities."""

import contextlib
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from scripts.core.disk.gzip_files import open_bytes
from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError

_DEEPEST = 100  # elements within each other; archives nest about ten
_LONGEST = 1 << 24  # bytes of one tag or text; expat reads a long tag again with each piece


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
        raise InputError(f"{path}: it cannot be read: {cause_of(error, path)}.") from error


def xml_events(pieces: Iterable[bytes], name: str | Path) -> Iterator[tuple[str, Element]]:
    """Yield ("start" or "end", element) of an XML document that comes in pieces.

    Raises InputError for a document that is cut short, ill-formed or declares entities, or has a tag, a text or a depth
    without end. Entities are declared before the first element: up to there defusedxml parses the document too, the
    rest is left to the parser in C.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    guard = DefusedXMLParser(target=_Prolog())
    guarded = True
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    depth = silent = 0
    try:
        for piece in pieces:
            silent += len(piece)
            if guarded:
                try:
                    guard.feed(piece)
                except _FirstElement:
                    guarded = False
            parser.feed(piece)
            for event, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
                silent = 0
                depth += 1 if event == "start" else -1
                if depth > _DEEPEST:
                    raise InputError(f"{name}: more than {_DEEPEST} elements within each other, as no archive has.")
                yield event, element
            if silent > _LONGEST:
                raise InputError(f"{name}: a tag or text of more than {_LONGEST >> 20} MB, as no archive has.")
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
