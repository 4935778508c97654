"""Turn an Altair chart into the SVG of a page: still, small and the same bytes each time.

vl-convert draws it (Vega-Lite, no browser, no network). What it writes is written anew with the few elements and
attributes that are needed: coordinates have one decimal, the description of a mark is its ``<title>``, and nothing else
of what a text says becomes markup. Colours are variables of the page's style (``var(--hue)``), so that a chart is as
readable on a dark page as on a light one. Texts are measured in Liberation Sans, which vl-convert brings along.
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from scripts.core.output import printable

FONT = "Liberation Sans"
VEGA_LITE = "6.4"
"""The version of Vega-Lite whose schema Altair follows."""
_NUMBERS = "datum.value !== 0 && abs(datum.value) < 1 ? format(datum.value, '~g') : format(datum.value, '~s')"
_CONFIG = {
    "background": None,
    "font": FONT,
    "padding": 4,
    "view": {"stroke": None},
    "bar": {"color": "var(--hue)"},
    "rule": {"color": "var(--mark)"},
    "text": {"color": "var(--ink)", "fontSize": 11},
    "axis": {
        "labelColor": "var(--soft)",
        "labelExpr": _NUMBERS,
        "labelFontSize": 11,
        "titleColor": "var(--ink)",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 6,
        "gridColor": "var(--line)",
        "domainColor": "var(--soft)",
        "tickColor": "var(--soft)",
        "tickSize": 4,
    },
    "axisX": {"grid": False},
    "axisY": {"minExtent": 28},
}
_ATTRIBUTES = frozenset(
    "transform d x2 y2 fill fill-opacity stroke stroke-width stroke-dasharray opacity text-anchor font-size"
    " font-style font-weight".split()
)
_DEFAULTS = {"opacity": "1", "stroke-width": "1", "fill-opacity": "1", "font-weight": "normal"}
_LONG_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def draw(chart: Any, title: str) -> Markup:
    """Return an Altair chart as SVG; ``title`` is what it is called for those who do not see it."""
    import vl_convert

    specification = chart.to_dict()
    specification["config"] = _CONFIG
    return _rewritten(vl_convert.vegalite_to_svg(_plain(specification), vl_version=VEGA_LITE), printable(title))


def _plain(value: Any) -> Any:
    """Return a specification in which no text has a control character."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _rewritten(svg: str, title: str) -> Markup:
    drawn = ElementTree.fromstring(svg)
    width, height = drawn.get("width", ""), drawn.get("height", "")
    root = ElementTree.Element("svg", {"class": "chart", "viewBox": f"0 0 {width} {height}", "width": width})
    root.attrib |= {"height": height, "role": "img", "aria-label": title}
    root.extend(_parts(drawn))
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _parts(parent: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield what is seen of an element's children, without the groups that say nothing."""
    for child in parent:
        name = child.tag.rpartition("}")[2]
        if child.get("display") == "none" or child.get("opacity") == "0":
            continue
        attributes = {
            key: _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), value)
            for key, value in child.attrib.items()
            if key in _ATTRIBUTES and value != _DEFAULTS.get(key) and value != "translate(0,0)"
        }
        part = ElementTree.Element(name, attributes)
        if name == "g":
            part.extend(_parts(child))
            if not attributes:
                yield from part
            elif len(part):
                yield part
        elif name == "text" and child.text:
            part.text = child.text
            yield part
        elif name in ("path", "line") and {"fill", "stroke"} & set(attributes):
            if hint := child.get("aria-label"):
                ElementTree.SubElement(part, "title").text = hint
            yield part
