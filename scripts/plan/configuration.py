"""The configuration: the defaults of its schema, and all its faults at once, in the words of the schema."""

import copy
import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.core.disk.rights import cause_of
from scripts.core.errors import InputError, raise_faults
from scripts.core.untrusted import nearest
from scripts.core.yaml_text import load_yaml, loader
from scripts.plan.accessions import accessions_meant, kind_of
from scripts.plan.hints import kit_hint, path_hint, value_hint
from scripts.plan.lists import asked_for, is_empty_list
from scripts.plan.matrices import archives_of
from scripts.plan.reasons import REASONS
from scripts.plan.star_options import cell_filter_fault, option_faults, plate_option_faults

SCHEMA = Path(__file__).resolve().parents[2] / "config" / "config.schema.yaml"
ADDRESS = re.compile(r"(https?|ftp)://|ngs-tools(:|$)")

MOST_NODES = 1_000_000
"""Values of a configuration, with each alias as what it stands for."""
_LONGEST = 200  # of a wrong value, in a message
_UNKNOWN_KEY = "additionalProperties"  # what the validator calls an unknown key


def check_yaml(path: str | Path) -> None:
    """Raise InputError for a file, if it is there, that is no YAML of keys and values, with the line.

    Also for one whose aliases (``*name``) have no end, or repeat one another to a huge size.
    """
    if not Path(path).is_file():
        return
    top, size = None, 0
    try:
        top = yaml.compose(Path(path).read_bytes(), loader())
        size = _expanded(top, {}) if top else 0
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {cause_of(error, path)}.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(
            f"{path}{where}: not YAML: {error.problem or error.context}. Look there, and in the line before, for a"
            " bracket or quote that is not closed, a colon without a blank behind it, a tab, or other indentation."
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}.") from error
    except RecursionError:
        size = MOST_NODES + 1
    if size > MOST_NODES:
        raise InputError(
            f"{path}: its aliases (*name) stand for more than {MOST_NODES:,} values, or for themselves; write them out."
        )
    if not isinstance(top, yaml.MappingNode):
        raise InputError(f"{path}: there are no keys in it; write, for instance, `series: [GSE67835]`.")


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node has, with those of its aliases; ``known`` has those of nodes that are counted."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # of a node in itself
        parts = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else ()
        pairs = (part if isinstance(part, tuple) else (part,) for part in parts)
        known[id(node)] = 1 + sum(_expanded(part, known) for pair in pairs for part in pair)
    return known[id(node)]


def with_defaults(values: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the schema's defaults for the keys that are missing."""
    filled = dict(values)
    for key, known in schema.get("properties", {}).items():
        if key not in filled and "default" in known:
            filled[key] = copy.deepcopy(known["default"])
        if isinstance(filled.get(key), Mapping) and "properties" in known:
            filled[key] = with_defaults(filled[key], known)
    return filled


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key path and value of nested maps; an empty map has none."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def with_types(values: Any, schema: Mapping[str, Any]) -> Any:
    """Return the configuration with numbers, truth values and null where the schema wants them and there is text.

    Snakemake reads what is inside a map on the command line (`--config 'plates={shard_size: 7}'`) as text. YAML reads a
    day (`2026-10-01`) as a date, which is text here.
    """
    if isinstance(values, Mapping):
        known, other = schema.get("properties", {}), schema.get("additionalProperties")
        other = other if isinstance(other, Mapping) else {}
        return {key: with_types(value, known.get(key, other)) for key, value in values.items()}
    wanted = schema.get("type", ())
    if isinstance(values, datetime.date) and "string" in wanted:
        return values.isoformat()
    if (isinstance(values, str) and "string" not in wanted) or values == "null":
        kinds: dict[str, Any] = {"integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
        read = load_yaml(values)
        for kind in [wanted] if isinstance(wanted, str) else wanted:
            if kind in kinds and isinstance(read, kinds[kind]):
                return read
    return values


def source_address(source: str | Mapping[str, str] | None) -> str | None:
    """Return the path or address of a source, which may be given alone or as {address, sha256}."""
    return source["address"] if isinstance(source, Mapping) else source


def source_sha256(source: str | Mapping[str, str] | None) -> str | None:
    """Return the SHA-256 that is given for a source, if any."""
    return source.get("sha256") if isinstance(source, Mapping) else None


def is_address(source: str) -> bool:
    """Return whether a source is fetched, from the network or an installed package, and not read from a path."""
    return ADDRESS.match(source) is not None


def _nearest(key: str, here: Mapping[str, Any], everywhere: Mapping[str, str]) -> str:
    if close := nearest(key, here):
        return f"; did you mean {close!r}?"
    elsewhere = nearest(key, everywhere, 0.75)
    return f"; did you mean {everywhere[elsewhere]!r}?" if elsewhere else f"; known are {', '.join(sorted(here))}"


def _all_keys(schema: Mapping[str, Any], above: str = "") -> dict[str, str]:
    keys: dict[str, str] = {}
    for key, known in schema.get("properties", {}).items():
        keys.setdefault(key, above + key)
        keys.update({name: path for name, path in _all_keys(known, f"{above}{key}.").items() if name not in keys})
    return keys


def _schema_faults(error: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    key_path = ".".join(str(step) for step in error.absolute_path)
    if error.validator == _UNKNOWN_KEY:
        known = error.schema.get("properties", {})
        everywhere = _all_keys(schema)
        for key in sorted(set(error.instance) - set(known)):
            where = f"{key_path}.{key}" if key_path else key
            yield f"{where}: unknown key{_nearest(key, known, everywhere)}"
    elif error.validator == "required":
        for key in sorted(set(error.validator_value) - set(error.instance)):
            description = error.schema["properties"][key].get("description", "a path or an address")
            yield f"{key_path}.{key}: missing; {description}"
    else:
        description = _description(error, schema)
        form = _type_of(error.schema, schema).replace("`", "") if "type" in error.schema else ""
        expected = f"{form}: {description}" if form else description
        expected += f"; one of {', '.join(map(str, error.validator_value))}" if error.validator == "enum" else ""
        expected += value_hint(error.instance, error.schema)
        value = repr(error.instance)
        value = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        yield f"{key_path or 'configuration'}: {value} cannot be used; expected: {expected}"


def _description(error: Any, schema: Mapping[str, Any]) -> str:
    """Return the description nearest to the key at fault."""
    description, here = "what the schema allows", schema
    for step in error.absolute_path:
        if isinstance(step, int):
            continue
        here = here.get("properties", {}).get(step, here.get("additionalProperties", {}))
        if not isinstance(here, Mapping):
            break
        description = here.get("description", description)
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
            description = here.get("description", description)
    return description


_OF_HTSEQ = ("mode", "type", "id_attribute", "nonunique", "secondary_alignments", "supplementary_alignments")
"""Options of htseq-count, which STARsolo does not have."""


def _solo_faults(plates: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    if plates["counter"] != "starsolo":
        return
    for key in (*_OF_HTSEQ, "min_quality"):
        if plates[key] != known[key]["default"]:
            yield f"plates.{key}: it is an option of htseq-count, which counter: starsolo does not have"
    if isinstance(plates["strand"], Mapping) or plates["strand"] == "auto":
        yield "plates.strand: with counter: starsolo it is none, forward or reverse, for all cells"
    for name in ("twopassMode", "outFilterType", "outSAMattributes", "outSAMunmapped"):
        if name in plates["star_options"]:
            yield f"plates.star_options.{name}: it cannot be set with counter: starsolo, which depends on it"
    if plates["keep_bam"]:
        yield "plates.keep_bam: with counter: starsolo there is no BAM file of each cell; choose another counter"


def _series_faults(config: Mapping[str, Any]) -> Iterator[str]:
    if config["run_table"] is not None:
        yield from _source_faults("run_table", config["run_table"])
        return
    words = [config["series"]] if isinstance(config["series"], str) else config["series"]
    wanted = config["discover"]
    if not words and not (wanted["since"] or wanted["query"]):
        yield "series: nothing is asked for; name at least one accession, e.g. GSE67835, or give a run_table"
    # The list that `discover` writes may be there later; until then `resolve` says that nothing is asked for.
    yield from asked_for([word for word in words if word != wanted["accept"] or not is_empty_list(word)])[1]


def _reference_faults(config: Mapping[str, Any]) -> Iterator[str]:
    references = config["references"]
    used = set()
    taxa: dict[int, str] = {}
    for label, species in config["species"].items():
        if not isinstance(species, Mapping) or not {"tax_id", "reference"} <= set(species):
            continue  # reported as a fault of its shape
        name = species["reference"]
        used.add(name)
        if name not in references:
            near = _nearest(str(name), references, {})
            yield (
                f"species.{label}.reference: {name!r} is neither in references nor in config/references.yaml{near}; to "
                f"add it: references: {{{name}: {{fasta: PATH, gtf: PATH}}}}"
            )
        if taxa.setdefault(species["tax_id"], label) != label:
            yield f"species.{label}.tax_id: {species['tax_id']} is that of {taxa[species['tax_id']]!r} already"
    for name in sorted(used & set(references)):
        reference = references[name]
        sources = {key: reference.get(key) for key in ("fasta", "gtf", "index")}
        sources.update({f"spike_ins.{key}": source for key, source in (reference.get("spike_ins") or {}).items()})
        for key, source in sources.items():
            yield from _source_faults(f"references.{name}.{key}", source)


def _with_known(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return references, with what is known under the name of one that gives neither genome nor annotation.

    A genome of the user's own has to come with its annotation.
    """
    return {
        name: {**known[name], **facts}
        if name in known and isinstance(facts, Mapping) and not {"fasta", "gtf"} & facts.keys()
        else facts
        for name, facts in given.items()
    }


def _source_faults(key_path: str, source: Any) -> Iterator[str]:
    address = source.get("address") if isinstance(source, Mapping) else source
    if not isinstance(address, str) or is_address(address):
        return
    path = Path(address)
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        yield f"{key_path}: {address!r} cannot be read: {cause_of(error, path)}{path_hint(path)}"


def check_configuration(
    config: Mapping[str, Any],
    schema: Mapping[str, Any],
    *,
    references: Mapping[str, Any],
    chemistries: Mapping[str, Any],
    named: str = "config/config.yaml",
) -> dict[str, Any]:
    """Return the configuration with defaults and known references filled in.

    ``references`` and ``chemistries`` are the contents of the files of those names in config/; ``named`` is what an
    error calls the configuration. Raises InputError, telling all faults at once.
    """
    import jsonschema

    filled = with_defaults(with_types(config, schema), schema)
    if isinstance(filled["references"], Mapping):
        filled["references"] = _with_known(filled["references"], references)
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(filled), key=lambda error: error.json_path)
    # A list lacks what it must contain where that is misspelt: its members are reported.
    members = {tuple(error.absolute_path)[:-1] for error in errors if error.validator == "enum"}
    errors = [error for error in errors if error.validator != "contains" or tuple(error.absolute_path) not in members]
    faults = [sentence for error in errors for sentence in _schema_faults(error, schema)]
    # What follows looks only at keys whose values have the shape that the schema asks for.
    misshapen = {error.absolute_path[0] for error in errors if error.absolute_path and error.validator != _UNKNOWN_KEY}
    if all(isinstance(filled[key], Mapping) for key in ("species", "references")):
        filled["references"] = {**references, **filled["references"]}
        faults += _reference_faults(filled)
    if not misshapen & {"series", "run_table", "discover"}:
        faults += _series_faults(filled)
    if "retry" not in misshapen:
        faults += _retry_faults(filled["retry"])
    if "refresh" not in misshapen:
        faults += _refresh_faults(filled["refresh"])
    faults += _named_faults(filled, misshapen)
    if not misshapen & {"discover", "species"}:
        faults += _discover_faults(filled["discover"], filled["species"])
    if "droplets" not in misshapen:
        filled["droplets"] = {
            **filled["droplets"],
            "inclusion_lists": _every_list(filled["droplets"], chemistries),
            "cell_filter": filled["droplets"]["cell_filter"] or "None",
        }
        faults += _droplet_faults(filled["droplets"], chemistries)
        faults += _source_faults("droplets.features_reference", filled["droplets"]["features_reference"])
        faults += _probe_set_faults(filled["droplets"]["probe_sets"], filled["species"])
    if "plates" not in misshapen:
        faults += _solo_faults(filled["plates"], schema["properties"]["plates"]["properties"])
    for stage, faults_of in (("plates", plate_option_faults), ("droplets", option_faults)):
        options = filled[stage]["star_options"] if stage not in misshapen else {}
        faults += [f"{stage}.star_options.{fault}" for fault in faults_of(options)]
    if not misshapen & {"atlas", "species"}:
        faults += _atlas_faults(filled["atlas"], filled["species"])
    raise_faults(f"The configuration ({named})", dict.fromkeys(faults))
    return filled


def _retry_faults(retry: str | list[str]) -> Iterator[str]:
    for reason in [] if retry == "all" else retry:
        if reason not in REASONS:
            yield f"retry: {reason!r} is not a reason code of the ledger{_nearest(reason, dict.fromkeys(REASONS), {})}"


def _refresh_faults(refresh: str | list[str]) -> Iterator[str]:
    for word in [refresh] if isinstance(refresh, str) else refresh:
        if word != "all" and not kind_of(word):
            yield f"refresh: {word!r} is neither an accession nor all{_accession_hint(word)}"


def _accession_hint(word: str) -> str:
    near = [] if kind_of(word) else accessions_meant(word)
    return f"; did you mean {', '.join(near)}?" if near else ""


def _named_faults(config: Mapping[str, Any], misshapen: set[Any]) -> Iterator[str]:
    """Yield what names no run, sample, experiment or series of an archive, but looks as if it should."""
    maps = {key: config[key] for key in ("leave_out", "assay") if key not in misshapen}
    if "plates" not in misshapen:
        maps["plates.strand"] = config["plates"]["strand"]
    for key, named in maps.items() if config["run_table"] is None else ():  # in a run table all names may be one's own
        for word in named if isinstance(named, Mapping) else ():
            if hint := _accession_hint(str(word)):
                yield f"{key}.{word}: not an accession{hint}"


def _discover_faults(discover: Mapping[str, Any], species: Mapping[str, Any]) -> Iterator[str]:
    for label in discover["species"]:
        if label not in species:
            yield f"discover.species: {label!r} is not configured{_nearest(label, species, {})}"


def _every_list(droplets: Mapping[str, Any], chemistries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sources of inclusion lists, with ``all: ngs-tools`` as every list that the package has."""
    sources = dict(droplets["inclusion_lists"])
    if sources.get("all") == "ngs-tools":
        del sources["all"]
        packaged = {name: "ngs-tools" for name, known in chemistries["lists"].items() if known.get("packaged")}
        sources = packaged | sources
    return sources


def _droplet_faults(droplets: Mapping[str, Any], chemistries: Mapping[str, Any]) -> Iterator[str]:
    known = chemistries["chemistries"]
    if droplets["chemistry"] not in ("auto", *known):
        near = kit_hint(droplets["chemistry"], known)
        yield f"droplets.chemistry: {droplets['chemistry']!r} is not in config/chemistries.yaml{near}"
    if fault := cell_filter_fault(droplets["cell_filter"]):
        yield f"droplets.cell_filter: {fault}"
    if droplets["counts"] not in ("auto", *droplets["features"]):
        yield f"droplets.counts: {droplets['counts']} is not counted; add it to droplets.features"
    for layer in droplets["layers"]:
        feature, _, way = layer.rpartition("_")
        if (feature, way, "filtered") not in archives_of(droplets["features"], droplets["multireads"]):
            yield f"droplets.layers: {layer!r} is not counted; features and multireads say what is"
    lists = chemistries["lists"]
    for name, source in droplets["inclusion_lists"].items():
        key_path = f"droplets.inclusion_lists.{name}"
        if name not in lists:
            yield f"{key_path}: no chemistry of config/chemistries.yaml uses this list{_nearest(name, lists, {})}"
        elif source_address(source) == "ngs-tools" and not lists[name].get("packaged"):
            yield f"{key_path}: the package ngs-tools is not known to have this list; give a path or an address"
        yield from _source_faults(key_path, source)


def _probe_set_faults(probe_sets: Mapping[str, str], species: Any) -> Iterator[str]:
    for label, path in probe_sets.items():
        if isinstance(species, Mapping) and label not in species:
            yield f"droplets.probe_sets.{label}: not a species of the configuration{_nearest(label, species, {})}"
        yield from _source_faults(f"droplets.probe_sets.{label}", path)


def _atlas_faults(atlas: Mapping[str, Any], species: Mapping[str, Any]) -> Iterator[str]:
    if not atlas["enabled"]:
        return
    if atlas["backend"] == "scprint2" and not atlas["checkpoint"]:
        yield "atlas.checkpoint: scprint2 has no weights of its own; give the path of a checkpoint"
    if atlas["references"] and not atlas["labels"]:
        yield "atlas.labels: missing; name the columns of the references' obs that are labels, e.g. [cell_type]"
    if atlas["labels"] and not atlas["references"]:
        yield "atlas.references: missing; say which AnnData file has the labels, e.g. {homo: labelled.h5ad}"
    for key in ("models", "references"):
        if atlas[key] and atlas["backend"] != "svd-baseline":
            yield f"atlas.{key}: only svd-baseline uses them; atlas.backend is {atlas['backend']}"
    for key in ("models", "references", "train"):
        for label in sorted(set(atlas[key]) - set(species)):
            yield f"atlas.{key}.{label}: not a species of the configuration{_nearest(label, species, {})}"
    for label in sorted(set(atlas["models"]) & set(atlas["references"])):
        yield f"atlas.references.{label}: atlas.models.{label} has the labels that it was fitted with; give one of them"
    paths = {key: atlas[key] for key in ("checkpoint", "python")}
    paths |= {f"{key}.{label}": path for key in ("models", "references") for label, path in atlas[key].items()}
    for label, tables in atlas["train"].items():
        paths |= {f"train.{label}.{name}": path for name, path in tables.items()}
    for key, path in paths.items():
        yield from _source_faults(f"atlas.{key}", path)


def configuration_page() -> str:
    """Return config/README.md: every key of the schema, with its default, and the droplet kits."""
    schema = load_yaml(SCHEMA.read_text(encoding="utf-8"))
    kits = load_yaml(SCHEMA.with_name("chemistries.yaml").read_text(encoding="utf-8"))
    lines = [
        "# Configuration",
        "",
        "The workflow reads `config/config.yaml` of the analysis directory, and what `--config` and `--configfile`",
        "add, such as `snakemake --config 'plates={strand: auto}'`. A key that is left out has its default; an unknown",
        "key is refused with the nearest known one. Paths are relative to the analysis directory. What is done again",
        "where a value changes: docs/changes.md.",
        "",
        "To begin, set `series:` (or `run_table:`), then call `snakemake resolve` for the plan and its cost,",
        "`snakemake -n` for the jobs, and `snakemake` to run them.",
        "",
        "This page is made from `config.schema.yaml` and `chemistries.yaml` by `make docs`.",
        "",
        "## The analysis",
        *_section(schema["properties"], schema),
    ]
    for name, facts in schema["properties"].items():
        if "properties" in facts:
            about = facts["description"]
            lines += ["", f"## {name}", "", f"{about[0].upper()}{about[1:]}.", *_section({name: facts}, schema)]
    return _DOCS.sub(r"[\1](../\1)", "\n".join([*lines, *_kits(kits)])) + "\n"


_DOCS = re.compile(r"(docs/[a-z-]+\.md)")


def _section(keys: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of keys, and what to choose; the keys of a part where it is the only one."""
    described = dict(_keys_below(keys, parts=len(keys) == 1))
    yield from ("", "| key | value | default | |", "|---|---|---|---|")
    for key, facts in described.items():
        default = ""
        if "default" in facts and "properties" not in facts:
            default = f"`{yaml.safe_dump(facts['default'], default_flow_style=True, width=10**6).splitlines()[0]}`"
        yield f"| `{key}` | {_type_of(facts, schema)} | {default} | {facts['description']} |"
    if advice := {key: facts["advice"] for key, facts in described.items() if "advice" in facts}:
        yield from ("", "What to choose:", "")
        yield from (f"- **`{key}`**: {text}" for key, text in advice.items())


def _keys_below(keys: Mapping[str, Any], parts: bool, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key path and facts; of a map whose names are the user's own, those of what is under a NAME."""
    for name, facts in keys.items():
        key = f"{above}{name}"
        entries = facts.get("additionalProperties")
        if above or "properties" not in facts:
            yield key, facts
        if "properties" in facts and parts:
            yield from _keys_below(facts["properties"], parts, f"{key}.")
        elif isinstance(entries, Mapping) and "properties" in entries:
            yield from _keys_below(entries["properties"], True, f"{key}.NAME.")


_KINDS = {
    "string": "text",
    "integer": "whole number",
    "object": "map",
    "array": "list",
    "boolean": "`true`, `false`",
}


def _type_of(facts: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return in words what a key takes."""
    if "$ref" in facts:
        facts = schema["$defs"][facts["$ref"].rpartition("/")[2]]
    if "title" in facts:
        return str(facts["title"])
    if "anyOf" in facts:
        return " or ".join(_type_of(choice, schema) for choice in facts["anyOf"])
    if "const" in facts:
        return f"`{facts['const']}`"
    if "enum" in facts:
        return ", ".join(f"`{choice}`" for choice in facts["enum"])
    kinds = facts["type"] if isinstance(facts["type"], list) else [facts["type"]]
    text = " or ".join(str(_KINDS.get(kind, kind)) for kind in kinds)
    if "enum" in facts.get("items", {}):
        return f"{text} of {_type_of(facts['items'], schema)}"
    if "exclusiveMinimum" in facts:
        return f"{text} above {facts['exclusiveMinimum']}"
    if "minimum" in facts:
        text += f" from {facts['minimum']}"
    return f"{text} to {facts['maximum']}" if "maximum" in facts else text


def _kits(kits: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of the droplet kits: their inclusion lists and where to get them."""
    yield from (
        "",
        "## Droplet kits",
        "",
        "Names that `droplets.chemistry` and the column `chemistry` of a run table take, and names of lists for",
        "`droplets.inclusion_lists`. Lists of 10x Genomics are in Cell Ranger's folder",
        "`lib/python/cellranger/barcodes/` under these names (`.txt.gz`); those in ngs-tools come with",
        "`pip install ngs-tools`. `chemistry: auto` finds the kits that are proved by their reads; the others must be",
        "named.",
        "",
        "| chemistry | kit | inclusion lists | found |",
        "|---|---|---|---|",
    )
    for name, kit in kits["chemistries"].items():
        if "refused" in kit and "probes" not in kit:
            continue
        names = dict.fromkeys(part["list"] for part in kit["barcode"] if part["list"])
        lists = "; ".join(_list_of(each, kits) for each in names) or "none needed"
        found = "must be named" if kit.get("proof") == "pinned" else "proved"
        found += ", with `droplets.probe_sets`" if "probes" in kit else ""
        yield f"| `{name}` | {kit['title']} | {lists} | {found} |"


def _list_of(name: str, kits: Mapping[str, Any]) -> str:
    known = kits["lists"][name]
    if "file" in known:
        return f"`{name}`, comes with the workflow"
    return f"`{name}`, in ngs-tools" if known.get("packaged") else f"`{name}`"


if __name__ == "__main__":
    print(configuration_page(), end="")
