"""STAR's index: made with options that fit the genome, or linked where a ready one fits."""

import shutil
from pathlib import Path

import pytest

from scripts.core.errors import InputError
from scripts.references import star_index


def test_options_of_an_index_follow_the_genome() -> None:
    human = star_index.size_options(3_100_000_000, 195, 100)
    assert (human["genomeSAindexNbases"], human["genomeChrBinNbits"]) == (14, 18)
    toy = star_index.size_options(120_000, 2, 100)
    assert (toy["genomeSAindexNbases"], toy["genomeChrBinNbits"]) == (7, 15)
    scaffolds = star_index.size_options(1_000_000_000, 500_000, 100)
    assert scaffolds["genomeChrBinNbits"] == 10
    assert star_index.size_options(1000, 1000, 100)["genomeChrBinNbits"] == 6  # no less than a read
    assert star_index.size_options(20_000_000_000, 10, 100)["limitGenomeGenerateRAM"] == 240_000_000_000


@pytest.mark.tools
def test_a_ready_index_is_linked_when_it_fits(mm10: Path, tmp_path: Path) -> None:
    inputs = [f"--genome={mm10 / 'genome.fa'}", f"--annotation={mm10 / 'annotation.gtf'}", "--sjdb-overhang=75"]
    star_index.main([*inputs, f"--ready={mm10 / 'star'}", f"--output={tmp_path / 'star'}"])
    assert (tmp_path / "star" / "SA").resolve() == (mm10 / "star" / "SA").resolve()
    old = tmp_path / "old"
    shutil.copytree(mm10 / "star", old)
    parameters = old / "genomeParameters.txt"
    parameters.write_text(parameters.read_text().replace("versionGenome\t2.7.4a", "versionGenome\t20201"))
    (old / "chrLength.txt").write_text("5\n" + (old / "chrLength.txt").read_text().partition("\n")[2])
    with pytest.raises(InputError) as caught:
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])
    assert "needs 2 correction(s)" in str(caught.value)
    assert "its version is 20201, but the installed STAR reads 2.7.4a" in str(caught.value)
    assert "1 contig(s) are not those of the reference's genome" in str(caught.value)
    (old / "SA").unlink()
    with pytest.raises(InputError, match="SA is missing"):
        star_index.main([*inputs, f"--ready={old}", f"--output={tmp_path / 'other'}"])


@pytest.mark.tools
def test_a_failed_index_leaves_nothing_and_an_index_no_log_in_the_way(mm10: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">chr1\nACGT\n")
    (tmp_path / "annotation.gtf").write_text('chrX\t.\texon\t1\t4\t.\t+\t.\tgene_id "a"; transcript_id "a";\n')
    with pytest.raises(InputError, match="STAR could not make the index"):
        star_index.make_index(tmp_path / "genome.fa", tmp_path / "annotation.gtf", 75, 1, tmp_path / "star")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotation.gtf", "genome.fa"]
    assert (mm10 / "star").stat().st_mode & 0o055 == 0o055
    assert not Path("Log.out").exists()
