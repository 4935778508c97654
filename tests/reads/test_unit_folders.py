"""What is left of a unit's runs on their way from archives to reads."""

from scripts.reads.unit_folders import arrived


def test_what_a_download_left_of_a_run(tmp_path):
    names = [
        "SRR1.sra",
        "SRR1.fastq.gz",
        "SRR1_2.fastq.gz",
        "SRR1.submitted_1.fastq.gz",
        "SRR1.references",
        "SRR12.sra",
        "SRR1.sra.part",
        "SRR1.json",
        "SRR1_x.sra",
    ]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in arrived(tmp_path, "SRR1")] == sorted(names[:5])
