"""Embed cells with scPRINT-2 on a given checkpoint; the package scprint2 is called as a library, in this process.

Blocks are those of the public atlas where the checkpoint has their classes, joined by name in its order; labels are the
best of the checkpoint's leaves, as codes, with their logits. Random numbers are seeded by run. Cells are never lost:
those that cannot be embedded are dropped, with a reason. A checkpoint is read as weights only where that is possible;
otherwise it is unpickled, which runs code in it: trust your checkpoint, or refuse this with --weights-only. See
scripts/atlas/embedders/README.md.
"""

import contextlib
import importlib.metadata
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from scripts.atlas.embedders.command_line import backend_parser, check_species
from scripts.atlas.embedders.expression import neighbours, seed_of, totals
from scripts.atlas.store.count_matrix import CountMatrix, match_genes
from scripts.atlas.store.layout import PUBLIC, Layout, standard_name
from scripts.atlas.store.part import Description, PartWriter
from scripts.core.command import run_command
from scripts.core.disk.files import hash_file
from scripts.core.errors import InputError

NAME = "scprint2"
BEST = 3  # labels of a class that the public atlas does not have, at most
NEIGHBOURS, COMPONENTS = 6, 50
"""Neighbours that a model of metacells sees, and axes on which they are found, as in the package."""
OTHER = "other"
SELECTIONS = {"random": "random expr", "most": "most expr"}
"""Option → the package's name of this choice of the genes that the model sees."""


class Checkpoint(NamedTuple):
    """The description of a model in its checkpoint."""

    organisms: tuple[str, ...]
    genes: Mapping[str, Sequence[str]]
    """Organism → its genes, in the model's order."""
    classes: Mapping[str, int]
    """Class as the package names it → its labels (leaves), in the order of the model."""
    widths: Mapping[str, int]
    """Class, and ``other`` → columns of its block."""
    decoders: Mapping[str, Mapping[Any, str]]

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], path: Path) -> "Checkpoint":
        """Return the description in the hyper-parameters of a checkpoint. Raises InputError for missing ones."""
        missing = [name for name in ("genes", "organisms", "classes", "d_model") if not parameters.get(name)]
        if missing:
            raise InputError(
                f"{path}: no checkpoint of scPRINT-2 with all that is needed; it lacks {', '.join(missing)}."
            )
        if not isinstance(parameters["genes"], Mapping):
            raise InputError(
                f"{path}: its genes are not listed by organism, as in checkpoints before scPRINT-2; these need a"
                " database of lamindb, and cannot be used here."
            )
        width = parameters.get("d_model_cell", 128) if parameters.get("cell_specific_blocks") else parameters["d_model"]
        compressed = parameters.get("compress_class_dim") or {}
        widths = {OTHER: compressed.get("default", width)}
        widths |= {name: compressed.get(name, width) for name in parameters["classes"]}
        decoders = parameters.get("label_decoders") or {}
        return cls(tuple(parameters["organisms"]), parameters["genes"], parameters["classes"], widths, decoders)

    def ordered_classes(self) -> list[str]:
        """Return the classes in the order of the public atlas; others follow."""
        known = [name for name, _ in PUBLIC.embeddings]
        return sorted(
            self.classes,
            key=lambda name: known.index(standard_name(name)) if standard_name(name) in known else len(known),
        )

    @property
    def layout(self) -> Layout:
        best = dict(PUBLIC.labels)
        blocks, labels = [(OTHER, self.widths[OTHER])], []
        for known in self.ordered_classes():
            name = standard_name(known)
            blocks.append((name, self.widths[known]))
            labels.append((name, min(best.get(name, BEST), self.classes[known])))
        return Layout(tuple(blocks), tuple(labels))

    def leaf_decoders(self) -> dict[str, dict[str, str]]:
        """Return class → code → label of the leaves, the only labels that cells get."""
        return {
            standard_name(name): {
                str(int(code)): str(label)
                for code, label in sorted(self.decoders[name].items(), key=lambda item: int(item[0]))
                if int(code) < leaves
            }
            for name, leaves in self.classes.items()
            if self.decoders.get(name)
        }


def assemble(
    checkpoint: Checkpoint, blocks: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings, codes (best first; equals by code) and logits of cells, in the columns of the layout.

    ``blocks`` and ``logits`` are by the names of the package. Raises ValueError where one has another width.
    """
    ordered = checkpoint.ordered_classes()
    given = {name: values.shape[1] for name, values in blocks.items()}
    due = {name: checkpoint.widths[name] for name in (OTHER, *ordered)}
    if given != due:
        raise ValueError(f"the blocks of the model are {given}, but those of its checkpoint {due}")
    codes, scores = [], []
    for name, (_, best) in zip(ordered, checkpoint.layout.labels, strict=True):
        if logits[name].shape[1] != checkpoint.classes[name]:
            raise ValueError(f"{name}: {logits[name].shape[1]} logits, but the checkpoint has {checkpoint.classes}")
        order = np.argsort(-logits[name], axis=1, kind="stable")[:, :best]
        codes.append(order)
        scores.append(np.take_along_axis(logits[name], order, axis=1))
    embeddings = np.concatenate([blocks[name] for name in due], axis=1)
    return embeddings, np.concatenate(codes, axis=1), np.concatenate(scores, axis=1)


def read_parameters(path: Path, weights_only: bool) -> tuple[dict[str, Any], bool]:
    """Return the hyper-parameters of a checkpoint, and whether it could be read as weights only.

    Raises InputError where it is no checkpoint, or where it would have to be unpickled and must not.
    """
    import pickle

    import torch

    try:
        content, safe = torch.load(path, map_location="cpu", weights_only=True), True
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, KeyError, ValueError) as error:
        if weights_only:
            raise InputError(
                f"{path}: cannot be read as weights only, and unpickling it, which runs code in it, was refused"
                f" by --weights-only: {str(error).splitlines()[0]}"
            ) from error
        try:
            content, safe = torch.load(path, map_location="cpu", weights_only=False), False
        except (pickle.UnpicklingError, EOFError, RuntimeError, KeyError, ValueError) as again:
            raise InputError(f"{path}: no checkpoint of torch: {str(again).splitlines()[0]}") from again
    if not isinstance(content, Mapping) or "hyper_parameters" not in content:
        raise InputError(f"{path}: no checkpoint of Lightning: it has no hyper_parameters.")
    return dict(content["hyper_parameters"]), safe


def import_package() -> types.ModuleType:
    """Return the package scprint2.

    Where torchvision is not installed (there may be no build of it for a CPU), a substitute for the one name that
    simpler_flash uses of it, which does nothing outside training, is in its place during the import.
    """
    import lightning  # noqa: F401, first: it looks for torchvision too
    import torch

    try:
        import torchvision.ops  # noqa: F401
    except (ImportError, RuntimeError):

        class StochasticDepth(torch.nn.Module):
            """Passes everything on: layers are left out in training only."""

            def __init__(self, p: float, mode: str) -> None:
                super().__init__()

            def forward(self, values: torch.Tensor) -> torch.Tensor:
                if self.training:
                    raise RuntimeError("this environment has no torchvision, so that it cannot train")
                return values

        substitutes = {name: types.ModuleType(name) for name in ("torchvision", "torchvision.ops")}
        vars(substitutes["torchvision.ops"])["StochasticDepth"] = StochasticDepth
        vars(substitutes["torchvision"])["ops"] = substitutes["torchvision.ops"]
        before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torchvision"}
        sys.modules.update(substitutes)
        try:
            import simpler_flash  # noqa: F401
        finally:
            for name in substitutes:
                del sys.modules[name]
            sys.modules.update(before)
    import scprint2

    return scprint2


class Embedder:
    """A model on its device, and the package's way to show cells to it."""

    def __init__(self, path: Path, checkpoint: Checkpoint, organism: str, options: Any, safe: bool) -> None:
        import pandas as pd
        import torch

        package = import_package()
        from scdataloader import Collator

        self.checkpoint, self.organism = checkpoint, organism
        gpu = torch.cuda.is_available()
        if options.device == "cuda" and not gpu:
            raise InputError("--device cuda: torch finds no GPU; leave the option out to use one only if there is one.")
        self.device = "cuda" if gpu and options.device != "cpu" else "cpu"
        self.precision = options.precision or ("float16" if self.device == "cuda" else "float32")
        try:
            model = package.scPRINT2.load_from_checkpoint(
                path, precpt_gene_emb=None, gene_pos_file=None, map_location="cpu", weights_only=safe
            )
        except RuntimeError as error:
            raise InputError(f"{path}: scprint2 {package.__version__} cannot load it: {error}") from error
        self.model = model.to(torch.float32).to(self.device).eval()
        self.model.on_predict_epoch_start()
        self.model.keep_all_labels_pred = True
        self.model.pred_log_adata = False
        self.metacells = self.model.expr_emb_style == "metacell"
        genes = [gene for name in self.model.organisms for gene in checkpoint.genes[name]]
        of = [name for name in self.model.organisms for _ in checkpoint.genes[name]]
        self.collator = Collator(
            organisms=self.model.organisms,
            valid_genes=self.model.genes,
            how=SELECTIONS[options.genes],
            max_len=min(options.length, len(checkpoint.genes[organism])),
            add_zero_genes=0,
            n_bins=self.model.n_input_bins if self.model.expr_emb_style == "binned" else 0,
            genedf=pd.DataFrame({"organism": of}, index=genes),
        )
        self.collator.organism_ids = set(self.model.organisms)  # which it sets only when it reads its own table

    def seed(self, seed: int) -> None:
        """Seed all that draws."""
        import torch

        np.random.seed(seed)
        torch.manual_seed(seed)

    def collate(self, counts: np.ndarray, near: np.ndarray | None, far: np.ndarray | None) -> dict[str, Any]:
        """Return what the model sees of cells of one run; ``near`` [cells, neighbours, genes] are their neighbours."""
        elements = []
        for cell, row in enumerate(counts):
            element: dict[str, Any] = {"X": row, self.collator.organism_name: self.organism}
            if near is not None and far is not None:
                element |= {"knn_cells": near[cell], "knn_cells_info": far[cell]}
            elements.append(element)
        batch = self.collator(elements)
        if len(batch["x"]) != len(counts):
            raise RuntimeError(f"the package's Collator made {len(batch['x'])} of {len(counts)} cells")
        return batch

    def embed(self, batch: Mapping[str, Any], sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return embeddings, codes and logits of a batch; ``sums`` are the counts of each cell over all its genes."""
        import torch

        model = self.model
        model.embs = model.pred = model.pos = model.expr_pred = None
        narrow = self.precision != "float32"
        kind = getattr(torch, self.precision)
        near = {name: batch[name].to(self.device) for name in ("knn_cells", "knn_cells_info") if name in batch}
        casting = torch.autocast(self.device, dtype=kind) if narrow else contextlib.nullcontext()
        with torch.no_grad(), casting:
            model._predict(
                batch["genes"].to(self.device),
                batch["x"].to(self.device),
                torch.tensor(sums, dtype=torch.float32, device=self.device),
                pred_embedding=["all"],
                max_size_in_mem=sys.maxsize,
                **near,
            )
        blocks = {name: values.float().cpu().numpy() for name, values in model.embs.items()}
        every = model.pred.float().cpu().numpy()
        model.embs = model.pred = model.pos = model.expr_pred = None
        logits, start = {}, 0
        for name in model.classes:
            logits[name] = every[:, start : start + model.label_counts[name]]
            start += model.label_counts[name]
        if any(len(values) != len(sums) for values in (*blocks.values(), every)):
            raise RuntimeError(f"the model gave another number of rows than the {len(sums)} cells it was shown")
        return assemble(self.checkpoint, blocks, logits)


def known_counts(matrix: CountMatrix, genes: Sequence[str]) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Return the matrix that maps counts by a matrix's genes to counts by these genes, and which of these it has."""
    index = match_genes(matrix.gene_ids, genes)
    rows = np.flatnonzero(index >= 0)
    shape = (len(index), len(genes))
    gene_map = scipy.sparse.csr_matrix((np.ones(len(rows), np.int64), (rows, index[rows])), shape=shape)
    return gene_map, np.unique(index[rows])


def groups_of(cells: Sequence[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """Yield the first row and that after the last one of cells whose neighbours are searched among each other.

    ``cells`` are (series, library): the cells of a droplet library, or with an empty library, the plate cells of a
    series.
    """
    row = 0
    for _, group in groupby(cells):
        first = row
        row += sum(1 for _ in group)
        yield first, row


def embed_matrix(
    matrix: CountMatrix, embedder: Embedder, gene_map: scipy.sparse.csr_matrix, part: PartWriter, options: Any
) -> None:
    """Write the rows of all cells of a matrix."""
    origins = list(matrix.read_cells())
    runs = [cell.run for cell in origins]
    groups = [(cell.series, cell.experiment if cell.barcode else "") for cell in origins]
    layout = part.description.layout
    before: str | None = None

    def pieces() -> Iterator[tuple[int, Any]]:
        if not embedder.metacells:
            yield from matrix.blocks()
            return
        for start, stop in groups_of(groups):
            yield start, scipy.sparse.vstack([counts for _, counts in matrix.blocks(start=start, stop=stop)], "csr")

    for start, counts in pieces():
        sums = totals(counts)
        known = (counts @ gene_map).tocsr()
        reasons = reasons_of(sums, known, options.min_genes)
        kept = np.array([row for row, reason in enumerate(reasons) if not reason], np.int64)
        embs = np.zeros((len(sums), layout.embedding_width), np.float32)
        codes = np.zeros((len(sums), layout.label_width), np.int64)
        scores = np.zeros((len(sums), layout.label_width), np.float32)
        found = far = None
        if embedder.metacells:
            found, far = neighbours(known[kept], NEIGHBOURS, COMPONENTS, seed_of(options.seed, "neighbours"))
        first = 0
        while first < len(kept):
            group = groups[start + kept[first]]
            last = first
            batches: list[dict[str, Any]] = []
            while last < len(kept) and last - first < options.batch_size and groups[start + kept[last]] == group:
                run, end = runs[start + kept[last]], last
                while end < len(kept) and end - first < options.batch_size and runs[start + kept[end]] == run:
                    end += 1
                if run != before:
                    embedder.seed(seed_of(options.seed, run))
                    before = run
                rows = known[kept[last:end]].toarray()
                if found is not None and far is not None and found.shape[1]:
                    near = np.stack([known[kept[cells]].toarray() for cells in found[last:end]])
                    batches.append(embedder.collate(rows, near, far[last:end]))
                else:
                    batches.append(embedder.collate(rows, None, None))
                last = end
            mine = kept[first:last]
            embs[mine], codes[mine], scores[mine] = embedder.embed(join(batches), sums[mine])
            first = last
        part.append(embs, codes, scores, reasons=reasons)
        print(f"{part.written} of {matrix.cells} cells", flush=True)


def reasons_of(sums: np.ndarray, known: scipy.sparse.csr_matrix, least: int) -> list[str]:
    """Return the reason why each cell is dropped, empty where it is kept; ``known``: counts of the model's genes."""
    reasons = np.full(len(sums), "", object)
    reasons[np.diff(known.indptr) < least] = "FEW_GENES"
    reasons[totals(known) == 0] = "NO_KNOWN_GENES"
    reasons[sums == 0] = "NO_COUNTS"
    return reasons.tolist()


def join(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the model sees of the cells of several runs."""
    import torch

    names = ("x", "genes", "knn_cells", "knn_cells_info")
    return {name: torch.cat([batch[name] for batch in batches]) for name in names if name in batches[0]}


def count_found(matrix: CountMatrix, gene_map: scipy.sparse.csr_matrix) -> float:
    """Return the share of the counts of a matrix that are of genes of the model."""
    there = np.diff(gene_map.indptr) > 0
    inside = everything = 0
    for _, counts in matrix.blocks():
        everything += int(counts.data.sum())
        inside += int(counts.data[there[counts.indices]].sum())
    return inside / everything if everything else 1.0


def main(argv: Sequence[str] | None = None) -> None:
    parser = backend_parser(__doc__, needs_model=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument(
        "--precision", choices=("float32", "float16", "bfloat16"), help="default: float16 on a GPU, as in the package"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="cells that the model sees at a time")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU; another number, other last bits")
    parser.add_argument("--genes", choices=SELECTIONS, default="random", help="which of a cell's genes the model sees")
    parser.add_argument("--length", type=int, default=2000, help="how many genes of a cell the model sees, at most")
    parser.add_argument("--min-genes", type=int, default=0, help="drop cells with fewer of the model's genes")
    parser.add_argument("--weights-only", action="store_true", help="refuse a checkpoint that must be unpickled")
    options = parser.parse_args(argv)
    if min(options.batch_size, options.threads, options.length) < 1:
        raise InputError("--batch-size, --threads and --length are whole numbers from 1.")
    if not options.model.is_file():
        raise InputError(f"--model {options.model}: there is no such file; give the path of a checkpoint of scPRINT-2.")
    warnings.simplefilter("ignore")  # of packages that are not ours
    import torch

    torch.set_num_threads(options.threads)
    parameters, safe = read_parameters(options.model, options.weights_only)
    if not safe:
        print(f"{options.model}: has more than weights and was unpickled, which runs code in it.", flush=True)
    checkpoint = Checkpoint.from_parameters(parameters, options.model)
    organism = f"NCBITaxon:{options.tax_id}"
    with CountMatrix(options.matrix) as matrix:
        check_species(matrix, options.species, options.tax_id)
        notes = [
            f"genes that the model sees of a cell: {SELECTIONS[options.genes]}, at most {options.length}",
            f"torch {torch.__version__}",
        ]
        embedder = None
        if organism in checkpoint.organisms:
            gene_map, there = known_counts(matrix, checkpoint.genes[organism])
            found = len(there) / max(1, len(checkpoint.genes[organism]))
            counts = count_found(matrix, gene_map)
            match = f"{found:.1%} of the model's genes are in it, {counts:.1%} of its counts are of these genes"
            if matrix.cells and min(found, counts) < options.min_found:
                raise InputError(
                    f"{options.matrix}: {match}; less than {options.min_found:.0%} is too little. Are its genes named"
                    " by accessions of Ensembl, as those of the checkpoint?"
                )
            embedder = Embedder(options.model, checkpoint, organism, options, safe)
            notes.append(f"computed in {embedder.precision} on {embedder.device}")
            if embedder.metacells:
                notes.append(
                    f"neighbours: the {NEIGHBOURS} nearest cells of the droplet library, or of the series for plate"
                    f" cells, exactly, on {COMPONENTS} principal components of log(1 + counts per 10,000)"
                )
        else:
            match = f"{organism} is none of the checkpoint's organisms ({', '.join(checkpoint.organisms)})"
        description = Description(
            name=NAME,
            version=importlib.metadata.version("scprint2"),
            layout=checkpoint.layout,
            weights_sha256=hash_file(options.model),
            score_kind="logit",
            seed_policy="the generators of numpy and torch are seeded by sha256 of '{seed}:{run}' where a run begins",
            decoders=checkpoint.leaf_decoders(),
            notes=tuple(notes),
        )
        with PartWriter(options.output, description, rows=matrix.cells) as part:
            if embedder is not None:
                embed_matrix(matrix, embedder, gene_map, part, options)
            else:
                drop_all(part, matrix.cells)
        print(f"{options.matrix}: {match}.", file=sys.stderr)


def drop_all(part: PartWriter, cells: int, rows: int = 4096) -> None:
    """Drop all cells, whose organism the model does not know."""
    layout = part.description.layout
    for start in range(0, cells, rows):
        number = min(rows, cells - start)
        labels = np.zeros((number, layout.label_width), np.int64)
        embs = np.zeros((number, layout.embedding_width), np.float32)
        part.append(embs, labels, labels.astype(np.float32), reasons=["ORGANISM_UNKNOWN"] * number)


if __name__ == "__main__":
    run_command(main)
