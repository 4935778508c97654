"""The results that are wanted of an analysis, and what they say of themselves."""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.core.errors import InputError
from scripts.plan.configuration import is_address, leaves, source_address, source_sha256
from scripts.plan.decisions.analysis import Analysis
from scripts.plan.decisions.asking import as_words
from scripts.plan.decisions.sources import public_name, public_value
from scripts.plan.matrices import VELOCYTO, VELOCYTO_NAMES, archive_folders, are_listed
from scripts.plan.units import is_shard

CELLS_TABLE = "results/quality/cells.csv.gz"
_NOT_IN_RESULTS = ("plates.shard_size", "plates.keep_alignments", "harvest.clock", "atlas.python", "atlas.enabled")
"""Keys that change no result, or, as ``clock``, only what it says of the time."""


class WantedResults:
    """The results of what an analysis has planned."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.config = analysis.config
        self.sources = analysis.sources

    @functools.cached_property
    def folders(self) -> dict[str, str]:
        """Library → the folder of its archives below results/mex."""
        libraries = {name: unit for name, unit in self.analysis.units.items() if not is_shard(name)}
        folders = archive_folders((unit.experiment, unit.species) for unit in libraries.values())
        return {name: folders[unit.experiment, unit.species] for name, unit in libraries.items()}

    def archive_folder(self, library: str) -> str:
        """Return the folder of the archives of a library."""
        return f"results/mex/{self.folders[library]}"

    @functools.cached_property
    def broken_archives(self) -> set[str]:
        """The lists of archives that are not what their folder has: a file was deleted."""
        lists = {f"units/archives/{library}.tsv": self.archive_folder(library) for library in self.folders}
        return {path for path, folder in lists.items() if not are_listed(Path(path), Path(folder))}

    @property
    def calls_cells(self) -> bool:
        """Whether cells of droplet libraries are called; without there are raw archives only."""
        return bool(self.config["droplets"]["cell_filter"] != "None")

    def series_archives(self, series: str, species: str) -> list[str]:
        """Return the lists of the archives of every droplet library of a series and species.

        Raises InputError where the plan has none.
        """
        lists = [f"units/archives/{name}.tsv" for name in self.analysis.libraries(species, series)]
        if not lists:
            raise InputError(f"The plan has no droplet library of {series} of species {species!r}.")
        return lists

    def layers(self) -> list[str]:
        """Return the matrices that are layers of the cells of a series: those asked for, and all of Velocyto's."""
        droplets = self.config["droplets"]
        velocyto = [f"{VELOCYTO}_{kind}" for kind in VELOCYTO_NAMES] if VELOCYTO in droplets["features"] else []
        return list(dict.fromkeys([*droplets["layers"], *velocyto]))

    def source_names(self, species: str) -> list[str]:
        """Return where the reference of a species is from, as words ROLE=ADDRESS.

        Local files are left out, and of an address on this machine all but the name of the file: others have neither.
        """
        sources = self.sources.of_reference(self.sources.reference_of_species(species)).items()
        addresses = {role: source_address(source) or "" for role, source in sources}
        return [f"{role}={public_name(address)}" for role, address in addresses.items() if is_address(address)]

    def provenance_options(self) -> list[str]:
        """Return what the results were made from, as options of the command ``provenance``.

        Left out is what changes no result: addresses of archives, folders, numbers of tries; and options of plates or
        droplets where none are planned.
        """
        config, table = self.config, self.config["run_table"]
        species = {name: config["species"][name] for name in self.analysis.planned_species}
        references = sorted({str(facts["reference"]) for facts in species.values()})
        sources = [
            f"{name}.{role}={public_name(source_address(source) or '')}"
            for name in references
            for role, source in self.sources.of_reference(name).items()
        ]
        promised = [
            f"{name}.{role}={checksum}"
            for name in references
            for role, source in self.sources.of_reference(name).items()
            if (checksum := source_sha256(source))
        ]
        options = {
            "--run-table": [table] if table else [],
            "--asked": [] if table else self.analysis.asking.asked(),
            "--species": [f"{name}={facts['tax_id']}:{facts['reference']}" for name, facts in species.items()],
            "--sources": sources,
            "--promised": promised,
            "--settings": list(self._settings_of_results(references)),
        }
        return as_words(options)

    def _settings_of_results(self, references: Sequence[str]) -> Iterator[str]:
        """Yield key=value (JSON) of the configuration that decides what is in results, sorted."""
        config = self.config
        blocks = ["leave_out", "withdrawn", "max_failed", "count_by", "exp_id", "assay", "harvest"]
        blocks += ["plates"] if any(map(is_shard, self.analysis.units)) else []
        blocks += ["droplets", "mex"] if self.folders else []
        blocks += ["atlas"] if config["atlas"]["enabled"] else []
        kept = {block: config[block] for block in blocks}
        kept["references"] = {
            name: {key: facts[key] for key in ("sjdb_overhang", "index") if facts.get(key) is not None}
            for name in references
            for facts in [config["references"][name]]
        }
        for key, value in sorted(leaves(kept)):
            if key not in _NOT_IN_RESULTS:
                yield f"{key}={json.dumps(public_value(value), ensure_ascii=False)}"

    def tables(self) -> Iterator[str]:
        """Yield the tables of every species of which something is planned."""
        for species in self.analysis.planned_species:
            yield from (f"results/{species}_meta.tgz", f"results/{species}.metadata.samples.csv")
            yield f"results/{species}.metadata.series.csv"
            shards = self.analysis.shards(species)
            if shards:
                yield from (f"results/{species}.htseq-count.csv.gz", f"results/{species}.log.csv.gz")
                yield f"results/{species}.h5ad"
                if self.config["harvest"]["tpm"]:
                    yield f"results/{species}.tpm.csv.gz"
            if self.config["plates"]["keep_bam"]:
                yield from (f"results/bam/{shard}" for shard in self.analysis.shards_here(species))
        if any(map(is_shard, self.analysis.units)):
            yield CELLS_TABLE

    def archives(self) -> list[str]:
        """Return the lists of archives of droplet libraries, kept alignments, and the called cells of each series."""
        alignments = (
            [f"results/bam/{library}" for library in self.folders] if self.config["droplets"]["keep_bam"] else []
        )
        matrices = self.droplet_matrices()
        tagged = matrices if self.sources.features_reference() else []
        tags = [path.replace("droplets/", "droplets/features/") for path in tagged]
        return [*(f"units/archives/{name}.tsv" for name in self.folders), *alignments, *matrices, *tags]

    def named_results(self) -> list[str]:
        """Return the results that are asked for and of which no unit has its own."""
        paths = [*self.tables(), *self.atlases(), *self.quality()]
        return [path for path in paths if path.startswith("results/") and not path.startswith("results/bam/")]

    def result_kinds(self) -> list[str]:
        """Return which results units and series have of their own, in the words of the command ``wanted``."""
        droplets = self.config["droplets"]
        asked = {
            "cells": self.calls_cells,
            "features": self.calls_cells and bool(self.sources.features_reference()),
            "plate_bam": self.config["plates"]["keep_bam"],
            "droplet_bam": droplets["keep_bam"],
        }
        return [kind for kind, wanted in asked.items() if wanted]

    def droplet_matrices(self) -> list[str]:
        """Return the called cells of each droplet series."""
        libraries = [self.analysis.units[library] for library in self.folders] if self.calls_cells else []
        return sorted({f"results/droplets/{unit.series}.{unit.species}.h5ad" for unit in libraries})

    def quality(self) -> list[str]:
        """Return the tables of quality."""
        return ["results/quality/libraries.csv"] if self.folders else []

    # Atlas

    def matrices(self, species: str) -> dict[str, str]:
        """Return part of an atlas → the matrix whose cells it embeds: the plates, and each droplet series."""
        parts = {"plates": f"results/{species}.h5ad"} if self.analysis.shards(species) else {}
        libraries = self.analysis.libraries(species) if self.calls_cells else []
        for series in sorted({self.analysis.units[name].series for name in libraries}):
            parts[f"droplets.{series}"] = f"results/droplets/{series}.{species}.h5ad"
        return parts

    def matrix(self, species: str, part: str) -> str:
        """Return the matrix of a part of an atlas. Raises InputError where the plan has no such cells."""
        matrices = self.matrices(species)
        if part not in matrices:
            raise InputError(f"The plan has no cells {part!r} of {species}.")
        return matrices[part]

    def embedding_model(self, species: str) -> str:
        """Return the weights with which the cells of a species are embedded."""
        atlas = self.config["atlas"]
        if atlas["backend"] == "scprint2":
            return str(atlas["checkpoint"])
        return str(atlas["models"].get(species, f"work/atlas/{species}/model.npz"))

    def model_content(self, species: str) -> str:
        """Return the digest of the weights that are given for the cells of a species; empty where they are fitted."""
        atlas = self.config["atlas"]
        given = atlas["backend"] == "scprint2" or species in atlas["models"]
        return self.sources.content([self.embedding_model(species)] if given else [])

    def labels_content(self, species: str) -> str:
        """Return the digest of the labelled cells of a species; empty where there are none."""
        references = self.config["atlas"]["references"]
        return self.sources.content([references[species]] if species in references else [])

    def table_content(self, species: str, label: str) -> str:
        """Return the digest of the table from which a classifier of a label is trained."""
        return self.sources.content([self.config["atlas"]["train"][species][label]])

    def atlases(self) -> Iterator[str]:
        """Yield the atlas of every species of which something is planned, with the reports on its labels."""
        atlas = self.config["atlas"]
        for species in self.analysis.planned_species if atlas["enabled"] else ():
            folder = f"results/atlas/{species}"
            yield from (folder, f"units/atlas/{species}.checked", f"{folder}.distribution")
            if atlas["backend"] == "scprint2" or species in atlas["references"]:
                yield f"{folder}.agreement"
            yield from (f"{folder}.train/{label}" for label in atlas["train"].get(species, {}))
