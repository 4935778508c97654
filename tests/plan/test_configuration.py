"""The configuration: shipped values, defaults and the words of every fault."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from scripts.core.errors import InputError
from scripts.plan.configuration import check_configuration, check_yaml, configuration_page, with_defaults

CONFIG = Path(__file__).parents[2] / "config"
SCHEMA = yaml.safe_load((CONFIG / "config.schema.yaml").read_text(encoding="utf-8"))
SHIPPED = yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8"))
REFERENCES = yaml.safe_load((CONFIG / "references.yaml").read_text(encoding="utf-8"))
CHEMISTRIES = {"chemistries": {"10x_3p_v3": {}}, "lists": {"3M-february-2018": {}}}


def check(**values):
    return check_configuration(values, SCHEMA, references=REFERENCES, chemistries=CHEMISTRIES)


def faults(**values) -> list[str]:
    with pytest.raises(InputError) as reported:
        check(**values)
    title, *lines = str(reported.value).splitlines()
    assert title == f"The configuration (config/config.yaml) needs {len(lines)} correction{'s' * (len(lines) > 1)}:"
    return lines


def test_the_shipped_file_holds_every_default_and_one_example():
    assert {**with_defaults({}, SCHEMA), "series": ["GSE67835"]} == SHIPPED


def test_layers_are_matrices_that_are_counted():
    layers = ["GeneFull_EM", "Velocyto_spliced"]
    features = ["Gene", "GeneFull", "Velocyto"]
    droplets = {"features": features, "layers": layers, "multireads": ["Unique", "EM"]}
    assert check(series=["GSE1"], droplets=droplets)["droplets"]["layers"] == layers
    reported = faults(series=["GSE1"], droplets={"layers": ["Velocyto_spliced", "Gene_Rescue", "Gene_EM"]})
    assert reported == [
        f"droplets.layers: '{layer}' is not counted; features and multireads say what is"
        for layer in ("Velocyto_spliced", "Gene_Rescue")
    ]


def test_a_list_of_the_package_is_no_path():
    lists = {"one": {"packaged": "one.gz"}, "two": {}}
    known = {"chemistries": {"10x_3p_v3": {}}, "lists": lists}

    def configure(**sources):
        values = {"series": ["GSE1"], "droplets": {"inclusion_lists": sources}}
        return check_configuration(values, SCHEMA, references=REFERENCES, chemistries=known)

    configure(one="ngs-tools", two="ngs-tools:two.gz")
    every = configure(all="ngs-tools", two="ngs-tools:two.gz")["droplets"]["inclusion_lists"]
    assert every == {"one": "ngs-tools", "two": "ngs-tools:two.gz"}
    assert configure(all="ngs-tools", one="ngs-tools:1.gz")["droplets"]["inclusion_lists"] == {"one": "ngs-tools:1.gz"}
    with pytest.raises(
        InputError, match=r"droplets\.inclusion_lists\.all: no chemistry of config/chemistries\.yaml uses"
    ):
        configure(all="https://example.org/lists")
    with pytest.raises(InputError) as reported:
        configure(two="ngs-tools")
    assert str(reported.value).splitlines()[1:] == [
        "droplets.inclusion_lists.two: the package ngs-tools is not known to have this list; give a path or an address"
    ]


def test_the_shipped_file_is_sound():
    assert check(**SHIPPED)["references"]["mm10"]["sjdb_overhang"] == 100


def test_a_part_keeps_the_defaults_of_the_rest():
    checked = check(series=["GSE1"], plates={"strand": "reverse"})
    assert checked["plates"]["strand"] == "reverse"
    assert checked["plates"]["shard_size"] == 96


def test_a_known_reference_takes_an_index_or_spike_ins_of_ones_own():
    own = {"index": str(CONFIG), "spike_ins": {"fasta": "https://example.org/a.fa", "gtf": "https://example.org/a.gtf"}}
    references = check(series=["GSE1"], references={"hg38": own, "mm10": {}})["references"]
    assert references == {"hg38": REFERENCES["hg38"] | own, "mm10": REFERENCES["mm10"]}


def test_the_page_says_of_every_choice_when_to_choose_it():
    page = configuration_page()
    for key, facts in described(SCHEMA):
        (row,) = re.findall(rf"^\| `{re.escape(key)}` \|.*", page, re.MULTILINE)
        advice = re.findall(rf"^- \*\*`{re.escape(key)}`\*\*: (.*)", page, re.MULTILINE)
        assert [choice for choice in facts.get("enum", ()) if choice not in "".join([row.split("|")[4], *advice])] == []


def described(schema, above=""):
    """Yield every key below a block of the schema that has a description, with its facts."""
    for name, facts in schema.get("properties", {}).items():
        if "properties" not in facts:
            yield above + name, facts
        yield from described(facts, f"{above}{name}.")
        if isinstance(facts.get("additionalProperties"), dict):
            yield from described(facts["additionalProperties"], f"{above}{name}.NAME.")


def test_defaults_are_not_shared_between_configurations():
    first = check(series=["GSE1"])
    first["species"]["homo"]["tax_id"] = 1
    assert check(series=["GSE1"])["species"]["homo"]["tax_id"] == 9606


def test_all_faults_are_reported_at_once():
    reported = faults(
        series=[],
        countby="run",
        species={"homo": {"tax_id": 9606, "reference": "hg39"}},
        references={"hg38": {"fasta": "/no/such/genome.fa", "gtf": "https://example.org/x.gtf.gz"}},
        run_table=None,
        leave_out=[],
        plates={"mod": "union"},
    )
    assert any(line == "countby: unknown key; did you mean 'count_by'?" for line in reported)
    assert any(line == "plates.mod: unknown key; did you mean 'mode'?" for line in reported)
    assert any(line.startswith("species.homo.reference: 'hg39' is neither") and "'hg38'" in line for line in reported)
    assert any(line.startswith("leave_out: [] cannot be used; expected: map of accession to reas") for line in reported)
    assert any(line.startswith("series: nothing is asked for") for line in reported)
    assert len(reported) == 5


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"series": ["gse75140"]},
            "series.0: 'gse75140' is not an accession that can be looked up; did you mean GSE75140?",
        ),
        (
            {"series": "no/such/list.txt"},
            "series.0: no/such/list.txt: it cannot be read: No such file",
        ),
        ({"run_table": "no/such/table.tsv"}, "run_table: 'no/such/table.tsv' cannot be read: No such file"),
        ({"series": ["GSE1"], "max_failed": 2}, "max_failed: 2 cannot be used; expected: number from 0 to 1: share of"),
        ({"series": ["GSE1"], "assay": "plates"}, "assay: 'plates' cannot be used; expected: auto, plate (a sample"),
        (
            {"series": ["GSE1"], "droplets": {"features": ["Gene", "genefull"]}},
            "droplets.features.1: 'genefull' cannot be used; expected: what STARsolo counts; Gene is always among it;"
            " one of Gene, GeneFull, GeneFull_Ex50pAS, SJ, Velocyto; did you mean 'GeneFull'?",
        ),
        (
            {"series": ["GSE1"], "droplets": {"features": ["gene"]}},
            "droplets.features.0: 'gene' cannot be used; ",
        ),
        (
            {"series": ["GSE1"], "droplets": {"chemistry": "SC3Pv3"}},
            "droplets.chemistry: 'SC3Pv3' is not in config/chemistries.yaml; did you mean '10x_3p_v3'?",
        ),
        (
            {"series": ["GSE1"], "plates": {"mode": "unoin"}},
            "plates.mode: 'unoin' cannot be used; expected: overlap mode of htseq-count; one of intersection-nonempty",
        ),
        (
            {"series": ["GSE1"], "references": {"hg38": {"fasta": "no/such.fa", "gtf": "https://example.org/x"}}},
            "references.hg38.fasta: 'no/such.fa' cannot be read: No such file or directory",
        ),
        (
            {"series": ["GSE1"], "references": {"hg38": {"fasta": "https://example.org/x"}}},
            "references.hg38.gtf: missing; its annotation (GTF, plain or gzip): a path",
        ),
        ({"series": ["GSE1"], "retry": ["DOWNLOAD_FALED"]}, "retry: 'DOWNLOAD_FALED' is not a reason code"),
        (
            {"series": ["GSE1"], "refresh": ["GSE1", "gse2"]},
            "refresh: 'gse2' is neither an accession nor all; did you mean GSE2?",
        ),
        ({"series": ["GSE1"], "leave_out": {"gsm12": "x"}}, "leave_out.gsm12: not an accession; did you mean GSM12?"),
        ({"series": ["GSE1"], "assay": {"SRX-12": "plate"}}, "assay.SRX-12: not an accession; did you mean SRX12?"),
        (
            {"series": ["GSE1"], "plates": {"strand": {"srr12": "forward"}}},
            "plates.strand.srr12: not an accession; did you mean SRR12?",
        ),
        ({"series": ["GSE1"], "refresh": "everything"}, "refresh: 'everything' is neither an accession nor all"),
        ({"series": ["GSE1"], "refresh": 3}, "refresh: 3 cannot be used"),
        (
            {"series": ["GSE1"], "droplets": {"chemistry": "10x_3p_v2"}},
            "droplets.chemistry: '10x_3p_v2' is not in config/chemistries.yaml; did you mean '10x_3p_v3'?",
        ),
        (
            {"series": ["GSE1"], "droplets": {"probe_sets": {"homos": __file__}}},
            "droplets.probe_sets.homos: not a species of the configuration; did you mean 'homo'?",
        ),
        (
            {"series": ["GSE1"], "droplets": {"probe_sets": {"homo": "/none.csv"}}},
            "droplets.probe_sets.homo: '/none.csv' cannot be read: No such file or directory",
        ),
        (
            {"series": ["GSE1"], "droplets": {"inclusion_lists": {"3M-febuary-2018": "https://example.org/x"}}},
            "droplets.inclusion_lists.3M-febuary-2018: no chemistry of config/chemistries.yaml uses this list",
        ),
        (
            {
                "series": ["GSE1"],
                "species": {
                    "homo": {"tax_id": 9606, "reference": "hg38"},
                    "mus": {"tax_id": 9606, "reference": "mm10"},
                },
            },
            "species.mus.tax_id: 9606 is that of 'homo' already",
        ),
        (
            {"series": ["GSE1"], "species": {"homo": {"tax_id": 9606}}},
            "species.homo.reference: missing; the name of a reference under `references`",
        ),
        ({"series": ["GSE1"], "strand": "forward"}, "strand: unknown key; did you mean 'plates.strand'?"),
    ],
)
def test_words_of_a_fault(values, words):
    reported = faults(**copy.deepcopy(values))
    assert len(reported) == 1
    assert reported[0].startswith(words)


def test_accessions_come_from_files_too(tmp_path):
    listed = tmp_path / "accessions.txt"
    listed.write_text("GSE1 # the first\n\n# none here\nSRR\n", encoding="utf-8")
    assert faults(series=["GSM3", str(listed)]) == [
        f"{listed}, line 4: 'SRR' is not an accession that can be looked up; "
        "e.g. GSE67835, GSM1657871, SRP057196, PRJNA281204, SRX995861, SRR1974543."
    ]


def test_a_run_table_needs_no_series(tmp_path):
    table = tmp_path / "runs.tsv"
    table.write_text("run\n", encoding="utf-8")
    assert check(run_table=str(table))["series"] == []


def test_the_command_line_gives_text_inside_maps():
    checked = check(
        series=["GSE1"],
        species={"homo": {"tax_id": "9606", "reference": "hg38"}},
        plates={"shard_size": "7", "keep_bam": "true"},
        scratch={"limit_gb": "0.5"},
        archives={"api_key": "null", "retries": "2"},
    )
    assert checked["species"]["homo"]["tax_id"] == 9606
    assert (checked["plates"]["shard_size"], checked["plates"]["keep_bam"]) == (7, True)
    assert checked["scratch"]["limit_gb"] == 0.5
    assert (checked["archives"]["api_key"], checked["archives"]["retries"]) == (None, 2)


def test_text_that_is_no_number_stays_a_fault():
    assert faults(series=["GSE1"], plates={"shard_size": "many"}) == [
        "plates.shard_size: 'many' cannot be used; expected: whole number from 1: experiments that are"
        " processed together in one job a stage"
    ]


def test_the_message_names_what_a_back_end_lacks(tmp_path):
    reference = tmp_path / "labelled.h5ad"
    reference.touch()
    atlas = {
        "enabled": True,
        "backend": "scprint2",
        "references": {"hom": str(reference)},
        "models": {"mus": "gone.npz"},
        "train": {"mus": {"cell_type": "types.tsv"}},
    }
    missing = f"cannot be read: No such file or directory; it is relative to {Path.cwd()}"
    assert faults(series=["GSE1"], atlas=atlas) == [
        "atlas.checkpoint: scprint2 has no weights of its own; give the path of a checkpoint",
        "atlas.labels: missing; name the columns of the references' obs that are labels, e.g. [cell_type]",
        "atlas.models: only svd-baseline uses them; atlas.backend is scprint2",
        "atlas.references: only svd-baseline uses them; atlas.backend is scprint2",
        "atlas.references.hom: not a species of the configuration; did you mean 'homo'?",
        f"atlas.models.mus: 'gone.npz' {missing}",
        f"atlas.train.mus.cell_type: 'types.tsv' {missing}",
    ]
    atlas = {"enabled": True, "labels": ["cell_type"], "references": {"homo": str(reference)}}
    assert check(series=["GSE1"], atlas=atlas)["atlas"]["components"] == 256


def test_an_atlas_that_is_not_asked_for_has_no_faults():
    assert not check(series=["GSE1"], atlas={"backend": "scprint2"})["atlas"]["enabled"]


def test_aliases_that_have_no_end_or_fill_the_memory(tmp_path):
    path = tmp_path / "config.yaml"
    check_yaml(path)  # no such file
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
    for text in (laughs, "assay: &a {b: *a}\n", "series: &s [*s]\n"):
        path.write_text(text)
        with pytest.raises(
            InputError, match=r"aliases \(\*name\) stand for more than 1,000,000 values, or for themsel"
        ):
            check_yaml(path)
    path.write_text("a: &a [1, 2]\nb: *a\nc: *a\n")
    check_yaml(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("series: [GSE1\nspecies: {}\n", ", line 2, column 8: not YAML: "),
        ("series:\n\t- GSE1\n", ", line 2, column 1: not YAML: found character that cannot start any token."),
        ("a: *unknown\n", ", line 1, column 4: not YAML: found undefined alias. Look there, and in the line before"),
        ("[" * 50 + "*", ", line 1, column 5"),
        ("", ": there are no keys in it; write, for instance, `series: [GSE67835]`."),
        ("GSE1\n", ": there are no keys in it"),
        ("series:[GSE1]\n", ": there are no keys in it"),
        ("- series: GSE1\n", ": there are no keys in it"),
    ],
)
def test_what_is_no_yaml_of_keys_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(f"{path}{words}")):
        check_yaml(path)


def test_a_long_value_is_cut_in_the_message():
    (fault,) = faults(series=["GSE1"], max_failed=list(range(10_000)))
    assert fault.startswith("max_failed: [0, 1, 2,")
    assert len(fault) < 400


def test_options_and_filters_that_star_cannot_be_given_are_faults_of_the_plan():
    droplets = {"star_options": {"genomeLoad": "LoadAndKeep", "outFilterScoreMin": 20}, "cell_filter": "EmptyDrop"}
    assert faults(series=["GSE1"], droplets=droplets) == [
        "droplets.cell_filter: 'EmptyDrop' is no cell filter of STAR; did you mean 'EmptyDrops_CR'?",
        "droplets.star_options.genomeLoad: it cannot be set, the workflow shares a genome in memory or does not",
    ]
    for nothing in (None, "None"):
        assert check(series=["GSE1"], droplets={"cell_filter": nothing})["droplets"]["cell_filter"] == "None"


def test_counts_of_the_h5ad_are_those_of_a_feature_that_is_counted():
    reported = faults(series=["GSE1"], droplets={"counts": "GeneFull", "features": ["Gene", "SJ"]})
    assert reported == ["droplets.counts: GeneFull is not counted; add it to droplets.features"]
    assert check(series=["GSE1"], droplets={"counts": "GeneFull"})["droplets"]["counts"] == "GeneFull"


def test_starsolo_has_no_options_of_htseq_count():
    assert (
        check(series=["GSE1"], plates={"counter": "starsolo", "strand": "reverse"})["plates"]["counter"] == "starsolo"
    )
    plates = {"counter": "starsolo", "mode": "union", "min_quality": 0, "strand": "auto", "keep_bam": True}
    plates["star_options"] = {"twopassMode": "Basic", "outFilterScoreMin": 20}
    assert faults(series=["GSE1"], plates=plates) == [
        "plates.mode: it is an option of htseq-count, which counter: starsolo does not have",
        "plates.min_quality: it is an option of htseq-count, which counter: starsolo does not have",
        "plates.strand: with counter: starsolo it is none, forward or reverse, for all cells",
        "plates.star_options.twopassMode: it cannot be set with counter: starsolo, which depends on it",
        "plates.keep_bam: with counter: starsolo there is no BAM file of each cell; choose another counter",
    ]


def test_floors_are_shares_and_numbers():
    assert len(faults(series=["GSE1"], plates={"min_mapped": 1.5, "min_reads": -1})) == 2


def test_nothing_needs_to_be_asked_for_where_new_series_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept = "results/discovered.accepted.txt"
    none = "series: nothing is asked for; name at least one accession, e.g. GSE67835, or give a run_table"
    assert faults(series=[]) == [none]
    assert check(series=[], discover={"since": "2026-10-01"})["series"] == []
    assert check(series=[], discover={"query": "retina"})["series"] == []
    assert check(series=[accept])["series"] == [accept]  # it may be there later
    (tmp_path / "results").mkdir()
    (tmp_path / accept).write_text("# nothing yet\n")
    assert check(series=accept)["series"] == accept
    (tmp_path / accept).write_text("GSE\n")
    assert f"{accept}, line 1: 'GSE' is not an accession that can be looked up" in faults(series=accept)[0]
    assert "series.0: other.txt: it cannot be read" in faults(series="other.txt")[0]


def test_a_day_is_text():
    day = yaml.safe_load("{since: 2026-10-01}")
    assert check(series=["GSE1"], discover=day)["discover"]["since"] == "2026-10-01"


def test_what_is_looked_for_is_of_a_configured_species():
    reported = faults(series=["GSE1"], discover={"species": ["moose"], "date": "made", "limit": 0, "types": ['a"b']})
    assert [fault.partition(":")[0] for fault in reported] == ["discover.date", "discover.limit", "discover.types.0"]
    reported = faults(series=["GSE1"], discover={"species": ["moose"]})
    assert reported == ["discover.species: 'moose' is not configured; known are homo, mus"]
