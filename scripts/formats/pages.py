"""Pages that stand alone, made from Jinja2 templates: one style, one script, tables, figures; no network, no clock.

What a page shows was written by others: templates quote every attribute, every text is escaped and control characters
are written as escapes, and the page's Content-Security-Policy allows nothing but its own style and script. The script
(``templates/page.js``) sorts and searches tables and shows what is under the mouse; a page says all without it.

The template of a page extends ``formats/templates/page.html`` and imports what it needs from the macros beside it:
``table``, ``figure``, ``figures``, ``tiles``, ``legend``, ``nav``, ``parts_bar``, ``spread``. It gets numbers and
texts, which are escaped there, and charts (:mod:`scripts.formats.charts`), which are markup. The filters are
``several``, ``thousands``, ``tenth``, ``short``, ``percent``, ``exact``, ``with_code``::

    {% extends "formats/templates/page.html" %}
    {% from "formats/templates/macros.html" import figures, nav, table %}
    {% block title %}Cells{% endblock %}
    {% block header %}<h1>Cells</h1><p class="soft">{{ cells | several("cell") }}.</p>{% endblock %}
    {% block nav %}{{ nav(links) }}{% endblock %}
    {% block body %}
    {{ figures([(chart, "Reads", "a cell")]) }}
    {{ table(["series", "#cells", "%mapped", "`reason"], rows, note) }}
    {% endblock %}

It belongs to its stage, and :func:`render` finds it there: ``render("atlas/templates/cells.html", cells=12, …)``.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from scripts.core.output import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

T = TypeVar("T")
_SCRIPTS = Path(__file__).parents[1]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_SCRIPTS),
        auto_reload=False,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_without_controls,
    )
    environment.filters.update(several=several, thousands=thousands, tenth=tenth, percent=percent, exact=exact)
    environment.filters.update(short=short_number, with_code=with_code)
    environment.globals.update(policy=policy)
    return environment


def _without_controls(value: Any) -> Any:
    """Return a text without control characters; markup and all else as it is."""
    return printable(value) if type(value) is str else value


def policy(style: str, script: str) -> "Markup":
    """Return the Content-Security-Policy of a page: it loads and sends nothing, and has this style and script alone."""
    from markupsafe import Markup

    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    allowed = "style-src 'sha256-{}'; script-src 'sha256-{}'".format(*digests)
    return Markup(f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'")


def render(template: str, **values: Any) -> "Markup":
    """Return a template, named by its path in ``scripts/``, filled with values; all text but markup is escaped."""
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(values))


def with_code(text: str) -> "Markup":
    """Return a text in which what is between backticks is code."""
    from markupsafe import Markup

    words = printable(text).split("`")
    shown = [
        Markup("<code>{}</code>").format(part) if index % 2 else Markup.escape(part) for index, part in enumerate(words)
    ]
    if len(words) % 2 == 0:  # a backtick without another one
        shown[-2:] = [Markup.escape("`".join(words[-2:]))]
    return Markup("").join(shown)


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{round(number):,}"


def tenth(number: float) -> str:
    """Return a number with one decimal, or with none where that is 0."""
    return f"{number:.1f}".removesuffix(".0")


class Bar(NamedTuple):
    """A small bar in a table, cut into parts: class, words and share of 1 of each."""

    parts: Sequence[tuple[str, str, float]]
    title: str


class Spread(NamedTuple):
    """A small picture of how values spread: positions (0 to 1) of their 5th, 25th, 50th, 75th and 95th percentile."""

    positions: Sequence[float]
    title: str


def percent(share: float) -> str:
    """Return a share of 1 in percent, with one decimal: never 0.0 or 100.0 where it is neither."""
    return "<0.1" if 0 < share < 0.0005 else ">99.9" if 0.9995 <= share < 1 else f"{100 * share:.1f}"


def exact(number: float) -> str:
    """Return a number for sorting."""
    return f"{number:.6g}"


def short_number(value: float) -> str:
    """Return a number in few characters: 1.5k, 20M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def several(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('ry') else noun + ('' if noun.endswith('s') else 's')}"


def cut(rows: Sequence[T], most: int, noun: str, file: str = "runs.tsv") -> tuple[Sequence[T], str]:
    """Return at most ``most`` rows and, where there are more, a note that names the file with all of them."""
    if len(rows) <= most:
        return rows, ""
    where = f"; all of them are in {file}" if file else ""
    return rows[:most], f"The first {most:,} of {several(len(rows), noun)}{where}."
