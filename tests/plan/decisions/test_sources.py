"""Where references and lists come from, by the configuration."""

from scripts.plan.decisions.sources import ConfiguredSources, source_identity
from tests.plan.analyses import KITS, analysis


def sources(**values: object) -> ConfiguredSources:
    return analysis(**values).sources


def test_sources_of_a_reference():
    spike_ins = {"fasta": "ercc.fa", "gtf": "ercc.gtf"}
    fasta = {"address": "https://example.org/hg38.fa.gz", "sha256": "a" * 64}
    made = sources(references={"hg38": {"fasta": fasta, "gtf": "mine/genes.gtf", "spike_ins": spike_ins}})
    assert made.local_sources("hg38") == ["mine/genes.gtf", "ercc.fa", "ercc.gtf"]
    assert made.options("hg38") == [
        *("--fasta", "https://example.org/hg38.fa.gz", "--fasta-sha256", "a" * 64),
        *("--gtf", "mine/genes.gtf", "--spike-in-fasta", "ercc.fa", "--spike-in-gtf", "ercc.gtf"),
    ]
    assert [source_identity(source) for source in made.of_reference("hg38").values()][:2] == ["a" * 64, "genes.gtf"]


def test_inclusion_lists_are_those_with_a_source():
    configured = {"3M-february-2018": "lists/3M.txt"}
    made = sources(droplets={"inclusion_lists": configured})
    shipped = sorted(name for name, known in KITS["lists"].items() if known.get("address"))
    assert made.inclusion_lists() == sorted({*shipped, "3M-february-2018"})
    assert made.inclusion_list_source("3M-february-2018") == "lists/3M.txt"
