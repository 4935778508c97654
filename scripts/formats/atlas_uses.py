"""The folders of tables and a page in which the uses of an atlas leave what they found, and options they share.

A folder is made beside its place and moved there when it is complete. One that the same use made before is replaced;
anything else that lies there is not touched. Tables are tab-separated UTF-8 with ``\\n`` line ends and a header line.
"""

import argparse
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.formats.errors import InputError


def fraction(value: float) -> str:
    """Return a number as it stands in tables: six digits; nothing where it is not defined."""
    return "" if value != value else f"{value:.6g}"


def write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table; white space in values is reduced to single blanks."""
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        handle.write("\t".join(head) + "\n")
        for row in rows:
            handle.write("\t".join(" ".join(value.split()) for value in row) + "\n")


@contextmanager
def new_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Give a folder to fill; it takes its place when the block ends well.

    ``mark`` is the file by which a folder of the same use is known. Raises InputError where something else is there.
    """
    target = Path(path)
    if target.exists() and not (target.is_dir() and ((target / mark).exists() or not any(target.iterdir()))):
        raise InputError(f"{target}: something else is there (it has no {mark}); give a new folder to --output.")
    partial = target.with_name(f"{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)


def share_of_cells(text: str) -> float:
    """Return an option that is a share, 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1, e.g. 0.2")
    return share


def score_words(kind: str | None) -> str:
    """Return what a score is, for a person; the kind is the manifest's, None where there is no manifest."""
    return _SCORES.get(kind or "", "as stored, taken for logits, as the public atlas has them")


_SCORES: Mapping[str, str] = {
    "logit": "logits: 0 is even odds, each label for itself",
    "cosine": "cosines: 1 is the same direction",
}
