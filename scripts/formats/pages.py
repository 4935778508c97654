"""Pages that stand alone: one style, tables, figures; no script, no network, no clock.

Text is escaped by the caller, who may hand in markup; ids, accessions and words of files always pass :func:`escape`.
"""

from collections.abc import Iterable, Sequence
from html import escape

LONG = 40
"""A table of more rows than this is scrolled inside the page."""
STYLE = """
:root{--ink:#1d2733;--soft:#5b6875;--line:#d5dbe1;--paper:#fff;--tint:#f4f6f8;--hue:#2c6fa6;--mark:#c2570c;
--counted:#2c6fa6;--left_out:#b9c2cb;--failed:#c0392b;--p0:#2c6fa6;--p1:#86b8dc;--p2:#d9a441;--p3:#8d6a9f;--p4:#b9c2cb;
--p5:#6aa58a}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ee;--soft:#9aa7b4;--line:#39444f;--paper:#151b21;--tint:#1d252d;
--hue:#6fb1e4;--mark:#f0a058;--counted:#5aa2d8;--left_out:#56626e;--failed:#e2675a;--p0:#5aa2d8;--p1:#2f5f85;
--p4:#56626e}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1120px;padding:28px 24px 60px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:26px;margin:0 0 2px}h2{font-size:19px;margin:38px 0 8px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:20px 0 6px}p{margin:4px 0 10px;max-width:75ch}.soft,figcaption,caption{color:var(--soft)}
nav a{margin-right:16px}a{color:var(--hue);text-decoration:none}a:hover{text-decoration:underline}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:18px 0}.tile{background:var(--tint);border-radius:8px;
padding:10px 16px;min-width:128px}
.tile b{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile.failed b{color:var(--failed)}
.wide,.long{overflow-x:auto}.long{max-height:560px;overflow-y:auto}
.long th{position:sticky;top:0;background:var(--paper)}
table{border-collapse:collapse;font-size:13.5px;width:100%}caption{text-align:left;padding:4px 0}
th{text-align:left;font-weight:600;border-bottom:1px solid var(--ink);padding:4px 10px 4px 0;white-space:nowrap}
td{border-bottom:1px solid var(--line);padding:3px 10px 3px 0;vertical-align:top}td svg{display:block;margin-top:4px}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}code{font-size:12.5px}
.charts{display:flex;flex-wrap:wrap;gap:14px 22px;margin:10px 0}figure{margin:0;width:248px}figcaption{font-size:13px}
figcaption b{color:var(--ink);display:block}svg{overflow:visible}svg text{font-size:10.5px;fill:var(--soft)}
.bar{fill:var(--hue)}.mark{stroke:var(--mark);stroke-width:1.6}svg text.marked{fill:var(--mark);font-weight:600}
.axis{stroke:var(--line)}.thin{stroke:var(--hue);stroke-width:1.4}
.counted{fill:var(--counted)}.left_out{fill:var(--left_out)}.failed{fill:var(--failed)}
.part-0{fill:var(--p0)}.part-1{fill:var(--p1)}.part-2{fill:var(--p2)}.part-3{fill:var(--p3)}.part-4{fill:var(--p4)}
.part-5{fill:var(--p5)}.key{display:inline-flex;align-items:center;gap:5px;margin-right:14px;font-size:13px}
.key svg{flex:none}@media print{body{max-width:none}.long{max-height:none}}
"""


def thousands(number: float) -> str:
    """Return a whole number with commas."""
    return f"{round(number):,}"


def several(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('ry') else noun + ('' if noun.endswith('s') else 's')}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a table of HTML cells; a head that begins with ``#`` is a column of numbers."""
    numeric = [name.startswith("#") for name in head]
    told = "".join(
        f"<th{' class=n' if number else ''}>{name.lstrip('#')}</th>" for name, number in zip(head, numeric, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if number else ''}>{cell}</td>" for cell, number in zip(row, numeric, strict=True))
        + "</tr>\n"
        for row in rows
    )
    note = f"<caption>{caption}</caption>" if caption else ""
    kind = "long" if body.count("<tr>") > LONG else "wide"
    return f"<div class={kind}><table>{note}<thead><tr>{told}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def cut(
    rows: Sequence[Sequence[str]], most: int, noun: str, file: str = "runs.tsv"
) -> tuple[Sequence[Sequence[str]], str]:
    """Return at most ``most`` rows, and where there are more a note that says in which file all of them stand."""
    if len(rows) <= most:
        return rows, ""
    return rows[:most], f"The first {most:,} of {several(len(rows), noun)}; all of them stand in {file}."


def figure(chart: str, name: str, text: str = "") -> str:
    """Return a chart with its caption."""
    return f"<figure><figcaption><b>{escape(name)}</b> {escape(text)}</figcaption>{chart}</figure>"


def key(entries: Iterable[tuple[str, str]]) -> str:
    """Return the key of a chart: class and words of each part."""
    return "".join(
        f'<span class=key><svg width="12" height="12"><rect class="{name}" width="12" height="12"/></svg>'
        f"{escape(words)}</span>"
        for name, words in entries
    )


def draw(title: str, sections: Iterable[str], style: str = "") -> str:
    """Return a page of sections of markup, with rules of style beyond :data:`STYLE` where it needs some."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}{style}</style></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )
