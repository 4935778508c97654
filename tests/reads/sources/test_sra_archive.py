"""The settings of sra-tools, and what is taken from their messages."""

from scripts.reads.sources import sra_archive


def test_settings_without_a_resolver_keep_the_tools_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("VDB_CONFIG", "/elsewhere")
    environment = sra_archive.write_settings(tmp_path / "offline.mkfg")
    assert environment["NCBI_SETTINGS"] == str(tmp_path / "offline.mkfg")
    assert "VDB_CONFIG" not in environment
    lines = (tmp_path / "offline.mkfg").read_text().splitlines()
    assert '/libs/cloud/provider = "none"' in lines
    assert '/repository/remote/disabled = "true"' in lines


def test_settings_in_a_folder_that_is_not_ascii_have_the_path_from_here(tmp_path, monkeypatch):
    folder = tmp_path / "Übung"
    (folder / "work").mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert sra_archive.write_settings(folder / "work/offline.mkfg")["NCBI_SETTINGS"] == "work/offline.mkfg"


def test_settings_with_a_resolver_name_it(tmp_path):
    sra_archive.write_settings(tmp_path / "online.mkfg", "http://127.0.0.1:1/sdl/2/retrieve")
    text = (tmp_path / "online.mkfg").read_text()
    assert '/repository/remote/main/SDL.2/resolver-cgi = "http://127.0.0.1:1/sdl/2/retrieve"' in text
    assert "disabled" not in text


def test_the_words_of_a_tool_lose_clock_name_and_paths():
    errors = (
        "2026-01-02T03:04:05 vdb-validate.3.0.3 info: Database 'SRR1.sra' metadata: md5 ok\n"
        "2026-01-02T03:04:05 vdb-validate.3.0.3 err: data bad - Database '/some/where/SRR1.sra': column 'X' failed.\n"
        "2026-01-02T03:04:05 vdb-validate.3.0.3 err: data bad - Database 'SRR1.sra' check failed\n"
    )
    assert sra_archive.first_words(errors, "/some/where/SRR1.sra") == (
        "data bad - Database 'SRR1.sra': column 'X' failed"
    )
    assert sra_archive.first_words("2026-01-02T03:04:05 prefetch.3.0.3: cannot open http://127.0.0.1:9/x") == (
        "cannot open its address"
    )
    assert sra_archive.first_words("") == ""
