"""What results were made from and with: versions of the jobs, sources, options, and the paragraph for a paper."""

import json

import pytest

from scripts.core.errors import InputError
from scripts.harvest import provenance
from scripts.harvest.checks.provenance import provenance_faults
from scripts.plan.decisions.wanted_results import WantedResults
from scripts.plan.run_table import Run, write_runs
from scripts.plan.status import RunStatus, write_statuses
from tests.harvest.test_verify import write_archive
from tests.plan.analyses import CONFIG, analysis

PLATE = Run("GSE1", "GSE1", "GSM1", "SRX1", "SRR1", "9606", "Homo sapiens", "homo", "plate", status="counted")
PLATE = PLATE._replace(source="sra")
ROWS = [
    PLATE,
    PLATE._replace(experiment="SRX2", run="SRR2", source="ena"),
    PLATE._replace(experiment="SRX3", run="SRR3", source="file:reads/a.fastq.gz"),
    PLATE._replace(experiment="SRX4", run="SRR4", status="failed", reason="EMPTY_READS", detail="No reads."),
]
LIBRARY = PLATE._replace(experiment="SRX9", run="SRR9", assay="droplet", chemistry="10x_3p_v3")
OLD, NEW = {"STAR": "2.7.10b", "sra-tools": "3.0.3"}, {"STAR": "2.7.11b", "sra-tools": "3.2.1", "HTSeq": "2.1.2"}


class Folder:
    """A finished analysis of a shard, as far as the command reads it."""

    def __init__(self, path, monkeypatch, rows=tuple(ROWS)):
        monkeypatch.chdir(path)
        self.path, self.rows = path, rows
        for name in ("results/quality", "units/runs", "units/status", "units/references/hg38"):
            (path / name).mkdir(parents=True)
        write_runs(path / "results/runs.tsv", rows)
        of_units = {"GSE1.homo.0000": [row for row in rows if row.assay == "plate"]}
        of_units |= {f"GSE1.homo.{row.experiment}": [row] for row in rows if row.assay == "droplet"}
        for unit, mine in of_units.items():
            write_runs(path / f"units/runs/{unit}.tsv", mine)
            statuses = [RunStatus(row.run).made_with(NEW if row.run == "SRR2" else OLD) for row in mine]
            write_statuses(path / f"units/status/{unit}.tsv", statuses)
        self.write_reference()
        series = "doc_id,title,overall_design,summary,platform_id,pubmed_id,sample_taxid,relation\n"
        (path / "results/homo.metadata.series.csv").write_text(f"{series}GSE1,t,,,,26060301;99,,\n", encoding="utf-8")

    def write_reference(self):
        described = {"name": "hg38", "fingerprint": "f", "genome_sha256": "1", "annotation_sha256": "2", "genes": 3}
        release = {"provider": "GENCODE", "number": "32", "assembly": "GRCh38", "accession": "", "date": ""}
        described |= {"release": release, "sources_sha256": {"fasta": "ab", "gtf": "cd"}}
        (self.path / "units/references/hg38/reference.json").write_text(json.dumps(described), encoding="utf-8")

    def write(self, name="a", **values):
        """Run the command with the options of the workflow; return its facts and its paragraph."""
        assays = {"plate": "GSE1.homo.0000", "droplet": "GSE1.homo.SRX9"}
        units = [unit for assay, unit in assays.items() if assay in {row.assay for row in self.rows}]
        options = WantedResults(analysis(*units, **values)).provenance_options()
        facts, methods = (self.path / f"results/{file}" for file in ("provenance.json", "methods.txt"))
        command = [
            "--ledger",
            "results/runs.tsv",
            "--results",
            "results",
            "--chemistries",
            str(CONFIG / "chemistries.yaml"),
        ]
        command += ["--references", "units/references/hg38/reference.json", *map(str, options)]
        provenance.main([*command, "--output", str(facts), "--methods", str(methods)])
        return json.loads(facts.read_text(encoding="utf-8")), methods.read_text(encoding="utf-8")

    def faults(self):
        names = [path.name for path in (self.path / "results").iterdir()]
        return list(provenance_faults(self.path / "results", names, self.rows))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return Folder(tmp_path, monkeypatch)


def test_versions_are_those_that_the_jobs_recorded_with_what_they_made(folder):
    facts, _ = folder.write()
    found = {
        (tool["program"], tool["version"]): (tool["assays"], tool["series"], tool["runs"]) for tool in facts["tools"]
    }
    assert found == {
        ("HTSeq", "2.1.2"): (["plate"], ["GSE1"], 1),
        ("sra-tools", "3.0.3"): (["plate"], ["GSE1"], 2),
        ("sra-tools", "3.2.1"): (["plate"], ["GSE1"], 1),
        ("STAR", "2.7.10b"): (["plate"], ["GSE1"], 2),
        ("STAR", "2.7.11b"): (["plate"], ["GSE1"], 1),
    }


def test_facts_say_what_was_counted_from_where_and_with_which_reference(folder):
    facts, _ = folder.write()
    assert facts["asked_for"] == ["GSE1"]
    assert facts["runs"] == {"counted": 3, "left_out": 0, "failed": 1}
    assert facts["counted"] == [{"assay": "plate", "species": "homo", "series": 1, "experiments": 3, "runs": 3}]
    assert facts["series"] == [{"series": "GSE1", "pubmed_ids": ["99", "26060301"]}]
    assert [(row["source"], row["runs"]) for row in facts["reads"]] == [("ena", 1), ("file", 1), ("sra", 1)]
    (reference,) = facts["references"]
    assert [(source["role"], source["sha256"]) for source in reference["sources"]] == [("fasta", "ab"), ("gtf", "cd")]
    assert reference["sources"][1]["address"].endswith("gencode.v32.primary_assembly.annotation.gtf.gz")
    assert reference["release"]["words"] == "GENCODE 32, assembly GRCh38"
    assert facts["options"] == []
    assert folder.faults() == []


def test_options_that_are_not_the_default_are_listed_with_it(folder):
    changed = {"mode": "union", "star_options": {"outFilterMismatchNmax": 3}, "min_reads": 50}
    facts, text = folder.write(plates=changed, harvest={"tpm": True}, leave_out={"SRR7": "bad"}, retry="all")
    assert {option["key"]: (option["value"], option["default"]) for option in facts["options"]} == {
        "harvest.tpm": (True, False),
        "leave_out.SRR7": ("bad", None),
        "plates.min_reads": (50, 0),
        "plates.mode": ("union", "intersection-nonempty"),
        "plates.star_options.outFilterMismatchNmax": (3, None),
    }
    assert "mode union" in text
    assert "Cells of fewer than 50 reads were left out." in text
    assert "Transcripts per million" in text
    assert "--outFilterMismatchNmax 3" in facts["star"][0]["arguments"]
    assert "plates.mode: union" in text


def test_what_changes_no_result_changes_no_byte(folder):
    before = folder.write()
    archives = {"order": ["ena"], "geo": "http://127.0.0.1:8000/geo", "retries": 9}
    scratch = {"directory": "/data/me/scratch", "limit_gb": 7}
    plates = {"shard_size": 7, "keep_alignments": True}
    clock = {"clock": "keep"}
    assert folder.write(archives=archives, scratch=scratch, harvest=clock, plates=plates, retry="all") == before


def test_no_path_of_the_machine_and_no_secret_is_in_it(folder, monkeypatch):
    monkeypatch.setenv("NCBI_API_KEY", "SECRETKEY012345")
    table = folder.path / "mine.tsv"
    write_runs(table, ROWS)
    mine = {
        "fasta": "https://me:passw0rd98@host.org/genome.fa.gz",
        "gtf": {"address": str(folder.path / "genes.gtf"), "sha256": "e" * 64},
        "spike_ins": {"fasta": "http://127.0.0.1:8000/spikes.fa?sig=passw0rd98", "gtf": "shared/spikes.gtf"},
        "index": str(folder.path / "star"),
    }
    options = {"sjdbFileChrStartEnd": f"{folder.path}/junctions.tsv"}
    facts, text = folder.write(run_table=str(table), references={"hg38": mine}, plates={"star_options": options})
    whole = json.dumps(facts) + text
    assert "passw0rd98" not in whole
    assert "SECRETKEY012345" not in whole
    assert str(folder.path) not in whole
    assert "127.0.0.1" not in whole
    assert facts["run_table"]["name"] == "mine.tsv"
    assert [source["address"] for source in facts["references"][0]["sources"]] == [
        "https://me:***@host.org/genome.fa.gz",
        "genes.gtf",
        "spikes.fa?sig=***",
        "shared/spikes.gtf",
    ]
    assert {"key": "references.hg38.index", "value": "star", "default": None} in facts["options"]


def test_a_paragraph_of_plates_speaks_of_plates_alone(folder):
    _, text = folder.write()
    assert "3 plate cells were aligned with STAR 2.7.10b and 2.7.11b" in text
    assert "HTSeq 2.1.2" in text
    assert "GENCODE 2021" in text
    assert "doi:10.1093/bioinformatics/bts635" in text
    assert "PubMed ids), which are cited too: 99, 26060301." in text
    assert "1 failed" in text
    for word in ("droplet", "STARsolo", "EmptyDrops", "Transcripts per million", "samtools"):
        assert word not in text


def test_a_paragraph_of_droplets_speaks_of_droplets_alone(tmp_path, monkeypatch):
    folder = Folder(tmp_path, monkeypatch, (LIBRARY,))
    archive = tmp_path / "results/mex/SRX9/Gene_Unique_raw.tar.gz"
    write_archive(archive)
    (tmp_path / "results/quality/libraries.csv").write_text(
        "experiment,status,cell_filter\nSRX9,counted,EmptyDrops_CR\nSRX8,failed,\n", encoding="utf-8"
    )
    facts, text = folder.write(droplets={"features": ["Gene", "Velocyto"]})
    assert facts["cell_filters"] == [{"filter": "EmptyDrops_CR", "libraries": 1}]
    assert "1 droplet library (10x Chromium 3′ v3 or v3.1: 1) was counted with STARsolo (STAR 2.7.10b)" in text
    for doi in ("10.1101/2021.05.05.442755", "10.1186/s13059-019-1662-y", "10.1038/s41586-018-0414-6"):
        assert doi in text
    for word in ("plate", "HTSeq", "htseq"):
        assert word not in text
    assert folder.faults() == []


def test_counts_of_starsolo_are_not_called_those_of_htseq_count(folder):
    _, text = folder.write(plates={"counter": "starsolo"})
    assert "counted by STARsolo" in text
    assert "htseq" not in text.lower()


def test_versions_of_samtools_are_named_where_alignments_are_kept(folder):
    (folder.path / "units/tools").mkdir()
    (folder.path / "units/tools/GSE1.homo.0000.json").write_text('{"samtools": "1.16.1"}\n', encoding="utf-8")
    (folder.path / "units/tools/GSE7.homo.0000.json").write_text(
        '{"samtools": "0.1"}\n', encoding="utf-8"
    )  # not counted
    _, text = folder.write(plates={"keep_bam": True})
    assert "Alignments were sorted with samtools 1.16.1 [" in text
    _, text = folder.write()  # units/bam stays, but no result is made from it any more
    assert "samtools" not in text


def test_an_empty_analysis_has_its_paragraph(tmp_path, monkeypatch):
    folder = Folder(tmp_path, monkeypatch, ())
    facts, text = folder.write()
    assert facts["tools"] == facts["star"] == []
    assert "No run was counted." in text
    assert folder.faults() == []


SPOILED = {
    ("runs", "counted"): (4, "its numbers of runs are not those of the ledger"),
    ("series", 0, "series"): ("GSE2", "its series are not those of the counted runs"),
    ("counted", 0, "runs"): (4, "what it says was counted is not what the ledger says"),
    ("reads", 0, "runs"): (9, "the runs of its archives do not add up"),
    ("format",): (2, "not of format 1"),
    ("settings",): ([], "its facts are not those of docs/formats.md"),
    ("tools", 0, "version"): ("9", "not the text that provenance.json makes"),
}


@pytest.mark.parametrize("where", SPOILED)
def test_verify_finds_facts_that_are_not_those_of_the_results(folder, where):
    value, words = SPOILED[where]
    facts, _ = folder.write()
    part = facts
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    (folder.path / "results/provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    assert any(words in fault for fault in folder.faults())


def test_the_words_of_another_version_are_not_compared(folder):
    facts, _ = folder.write()
    facts["workflow"]["harvested_with"] = "9.9"
    (folder.path / "results/provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder.path / "results/methods.txt").write_text("Other words.\n", encoding="utf-8")
    assert folder.faults() == []


def test_a_setting_that_is_no_pair_is_refused():
    with pytest.raises(InputError, match="--settings: 'plates' is not name=value"):
        provenance.as_settings(["plates"])
