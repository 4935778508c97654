"""The folders of tables and a page in which the uses of an atlas leave what they found, and options they share.

A folder is made beside its place and moved there when it is complete. One that the same use made before is replaced;
anything else that lies there is not touched. Tables are tab-separated UTF-8 with ``\\n`` line ends and a header line.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.core.errors import InputError, raise_faults
from scripts.core.files import atomic_folder

if TYPE_CHECKING:
    from scripts.atlas.store.shards import Atlas


def fraction(value: float) -> str:
    """Return a number as it stands in tables: six digits; nothing where it is not defined."""
    return "" if value != value else f"{value:.6g}"


def write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table; white space in values is reduced to single blanks."""
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        handle.write("\t".join(head) + "\n")
        for row in rows:
            handle.write("\t".join(" ".join(value.split()) for value in row) + "\n")


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Write notes.txt, a line for each thing that must be known in order to read the tables; and tell them."""
    (folder / "notes.txt").write_text("".join(f"{note}\n" for note in notes), encoding="utf-8", newline="\n")
    for note in notes:
        print(note, file=sys.stderr)


def notes_markup(notes: Sequence[str]) -> list[str]:
    """Return the notes as they stand on a page."""
    return [f"<p class=note>{escape(note)}</p>" for note in notes]


@contextmanager
def new_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Give a folder to fill; it takes its place when the block ends well.

    ``mark`` is the file by which a folder of the same use is known. Raises InputError where something else is there.
    """
    target = Path(path)
    if target.exists() and not (target.is_dir() and ((target / mark).exists() or not any(target.iterdir()))):
        raise InputError(f"{target}: something else is there (it has no {mark}); give a new folder to --output.")
    with atomic_folder(target) as partial:
        yield partial


NOTE_STYLE = """
.note{border-left:3px solid var(--mark);padding-left:10px}.bars figure{width:340px}nav{display:flex;flex-wrap:wrap}
"""
"""Rules of style of the pages of the uses."""


def code_words(labels: Sequence[str]) -> str:
    """Return the sentence that says which labels are shown as codes, and why."""
    return (
        f"Labels of {', '.join(labels)} are shown as codes: the atlas has no decoders for them (label_decoders.json),"
        " without which nobody can say what a code means."
    )


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


def check_layouts(atlases: Sequence["Atlas"], *, embeddings: bool) -> None:
    """Raise InputError, naming both, where atlases have other labels than the first, or other embeddings if asked."""
    faults = []
    for kind in ("embeddings", "labels") if embeddings else ("labels",):
        first, *others = ((atlas.path, _blocks(getattr(atlas.layout, kind))) for atlas in atlases)
        faults += [f"{first[0]}: {kind} {first[1]}; but {path}: {told}." for path, told in others if told != first[1]]
    raise_faults("What is read together", faults)


def _blocks(parts: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {width}" for name, width in parts) or "none"


def check_models(atlases: Sequence["Atlas"]) -> None:
    """Raise InputError, naming both, where vectors of atlases were made by different models."""
    first, *others = ((atlas.path, _model(atlas)) for atlas in atlases)
    faults = [f"{first[0]}: {first[1]}; but {path}: {told}." for path, told in others if told != first[1]]
    if faults:
        raise InputError("\n".join(["Vectors of different models cannot be put side by side.", *faults]))


def _model(atlas: "Atlas") -> str:
    if atlas.manifest is None:
        return "no manifest that tells its model"
    backend = atlas.manifest.get("backend", {})
    weights = (backend.get("weights_sha256") or "none")[:16]
    return f"{backend.get('name', 'unknown')} {backend.get('version', '')}, weights {weights}"


def score_kind(atlases: Sequence["Atlas"]) -> str | None:
    """Return what the scores are, by the manifests: logit or cosine; None where they do not tell.

    Raises InputError, naming both, where atlases have different ones.
    """
    kinds = [(atlas.manifest or {}).get("backend", {}).get("score_kind") for atlas in atlases]
    for atlas, kind in zip(atlases, kinds, strict=True):
        if kind != kinds[0]:
            raise InputError(
                f"{atlases[0].path}: scores are {kinds[0] or 'not described'}, but {atlas.path}:"
                f" {kind or 'not described'}. They cannot be put together; give one atlas at a time."
            )
    return kinds[0]
