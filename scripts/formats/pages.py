"""Pages that stand alone, made from Jinja2 templates: one style, tables, figures; no script, no network, no clock.

What a page shows was written by others: templates quote every attribute, every text is escaped and control characters
are written as escapes, and the page's Content-Security-Policy allows nothing but its own style.

The template of a page extends ``formats/templates/page.html`` and imports what it needs from the macros beside it:
``table``, ``figure``, ``figures``, ``tiles``, ``legend``, ``nav``. It gets numbers and texts, which are escaped there,
and charts (:mod:`scripts.formats.charts`), which are markup. The filters are ``several``, ``thousands``, ``tenth``::

    {% extends "formats/templates/page.html" %}
    {% from "formats/templates/macros.html" import figures, table %}
    {% block title %}Cells{% endblock %}
    {% block style %}{% include "formats/templates/heat_map.css" %}{% endblock %}   only where there is a heat map
    {% block body %}
    <h1>Cells</h1>
    <p class="soft">{{ cells | several("cell") }}.</p>
    {{ figures([(chart, "Reads", "a cell")]) }}
    {{ table(["series", "#cells", "`reason"], rows, note) }}
    {% endblock %}

It belongs to its stage, and :func:`render` finds it there: ``render("atlas/templates/cells.html", cells=12, …)``.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
    environment.filters.update(several=several, thousands=thousands, tenth=tenth, policy=policy)
    return environment


def _without_controls(value: Any) -> Any:
    """Return a text without control characters; markup and all else as it is."""
    return printable(value) if type(value) is str else value


def policy(style: str) -> "Markup":
    """Return the Content-Security-Policy of a page: it loads, runs and sends nothing, and has this style alone."""
    from markupsafe import Markup

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return Markup(f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")


def render(template: str, **values: Any) -> "Markup":
    """Return a template, named by its path in ``scripts/``, filled with values; all text but markup is escaped."""
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(values))


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{round(number):,}"


def tenth(number: float) -> str:
    """Return a number with one decimal, or with none where that is 0."""
    return f"{number:.1f}".removesuffix(".0")


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
