"""Secrets are used, and neither printed nor written: the API key, passwords and signatures in addresses."""

import json
import os

import pytest

from scripts.core import secrets
from scripts.core.errors import InputError
from scripts.core.secrets import has_secret, mask, reveal, take_secrets


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv(secrets.KEY, raising=False)
    monkeypatch.setenv(secrets.ADDRESSES, "{}")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://me:pa55@host/x", "https://me:***@host/x"),
        ("https://me:p@a:5@host:80/x?y=1", "https://me:***@host:80/x?y=1"),
        ("ftp://ghp_token@host", "ftp://***@host"),
        (
            "https://b.s3.amazonaws.com/o?X-Amz-Credential=AK/2/s3&X-Amz-Date=2&X-Amz-Signature=0f/+=&x=1",
            "https://b.s3.amazonaws.com/o?X-Amz-Credential=***&X-Amz-Date=2&X-Amz-Signature=***&x=1",
        ),
        ("/o?AWSAccessKeyId=A&Expires=17&Signature=B%3D", "/o?AWSAccessKeyId=***&Expires=***&Signature=***"),
        ("/o?sv=1&sig=abc#access_token=x", "/o?sv=1&sig=***#access_token=***"),
        ("a.fa?token=q;api_key=r&TOKEN=s&key=t, then", "a.fa?token=***;api_key=***&TOKEN=***&key=*** then"),
        ("the form was tool=x&api_key=0123 'quoted'", "the form was tool=x&api_key=*** 'quoted'"),
    ],
)
def test_secrets_of_addresses_are_masked(text, masked):
    assert mask(text) == masked
    assert mask(f"one: {text} two") == f"one: {masked} two"
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8080/x@y",
        "https://host/a?accession=PRJ1&result=read_run&query_key=1",
        "http://127.0.0.1:9/efetch.fcgi: the server answered 503 Service Unavailable (4 tries).",
        "mail me@host, or see https://host; the monkey=1",
        "",
    ],
)
def test_what_is_no_secret_stays(text):
    assert mask(text) == text
    assert not has_secret(text)


def test_the_key_is_masked_wherever_it_stands(monkeypatch):
    monkeypatch.setenv(secrets.KEY, "a key/0123")
    assert mask('{"api-key":"a key/0123"} a+key%2F0123') == '{"api-key":"***"} ***'


def test_a_configuration_gives_its_secrets_to_the_environment():
    config = {
        "archives": {"api_key": "0123456789", "geo": "https://me:pw@mirror/geo", "retries": 2},
        "references": {"hg38": {"fasta": {"address": "https://b/g.fa?X-Amz-Signature=a/b", "sha256": "0"}}},
        "series": ["GSE1"],
    }
    found: dict[str, str] = {}
    hidden = take_secrets(config, {}, found)
    assert hidden["archives"] == {"api_key": None, "geo": "https://me:***@mirror/geo", "retries": 2}
    assert hidden["references"]["hg38"]["fasta"] == {"address": "https://b/g.fa?X-Amz-Signature=***", "sha256": "0"}
    assert config["archives"]["api_key"] == "0123456789"
    assert found[secrets.KEY] == "0123456789"
    os.environ[secrets.ADDRESSES] = found[secrets.ADDRESSES]
    assert reveal("https://me:***@mirror/geo/series/x") == "https://me:pw@mirror/geo/series/x"
    assert reveal("https://b/g.fa?X-Amz-Signature=***") == "https://b/g.fa?X-Amz-Signature=a/b"
    assert reveal("https://me:***@other/geo") == "https://me:***@other/geo"


@pytest.mark.parametrize("config", [{}, {"archives": {}}, {"archives": None}, {"archives": {"api_key": None}}])
def test_a_configuration_without_secrets_is_as_it_was(config):
    found: dict[str, str] = {}
    assert take_secrets(config, {"series": "GSE1"}, found) == config
    assert found == {}


def test_a_file_has_the_key_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "key"
    path.write_text("0123456789\n")
    config = {"archives": {"api_key": f"file:{path}"}}
    path.chmod(0o640)
    with pytest.raises(InputError, match=rf"api_key: {path} can be read by others; run: chmod 600 {path}$"):
        take_secrets(config, {}, {})
    path.chmod(0o600)
    found: dict[str, str] = {}
    assert take_secrets(config, {}, found) == {"archives": {"api_key": None}}
    assert found == {secrets.KEY: "0123456789"}
    path.write_text("two words")
    with pytest.raises(InputError, match="not a key, which is one word") as caught:
        take_secrets(config, {}, {})
    assert "two words" not in str(caught.value)


def test_a_configuration_with_secrets_that_others_can_read_is_reported(tmp_path):
    one, two, three = (tmp_path / name for name in ("one.yaml", "two.yaml", "three.yaml"))
    one.write_text("archives: {api_key: '0123456789'}\n")
    two.write_text("references: {hg38: {fasta: https://me:pw@host/x}}\n")
    three.write_text("series: [GSE1]\n")
    config = {"archives": {"api_key": "0123456789"}, "references": {"hg38": {"fasta": "https://me:pw@host/x"}}}
    for path in (one, two, three):
        path.chmod(0o644)
    files = [one, two, three, tmp_path / "nowhere"]
    assert secrets.readable_secrets(config, files) == [
        f"{path} holds a secret, and others can read it; run: chmod 600 {path}" for path in (one, two)
    ]
    assert secrets.readable_secrets({"archives": {"api_key": f"file:{one}"}, "series": ["GSE1"]}, files) == []
    one.chmod(0o600)
    two.chmod(0o600)
    assert secrets.readable_secrets(config, files) == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("file:nowhere", "nowhere cannot be read: No such file or directory"),
        ("file:/dev/null", "/dev/null is not a file"),
        (12345678, "not text; write the key in quotes, or file:PATH"),
        (["12345678"], "not text; write the key in quotes, or file:PATH"),
        ("1234 5678", "not a key, which is one word of letters and digits"),
        ("1234\x005678", "not a key, which is one word of letters and digits"),
    ],
)
def test_a_key_that_cannot_be_used_is_not_printed(key, words):
    with pytest.raises(InputError, match=words) as caught:
        take_secrets({"archives": {"api_key": key}}, {}, {})
    assert "5678" not in str(caught.value)


def test_all_faults_are_reported_at_once_without_a_secret():
    given = {"archives": {"api_key": "0123456789"}, "references": {"x": {"fasta": "https://me:pw@b/x"}}}
    config = {
        "archives": {"sra": "https://me:pw@host/sdl"},
        "references": {"x": {"fasta": "https://h/x?sig=1", "gtf": "https://h/x?sig=2"}},
    }
    with pytest.raises(InputError) as caught:
        take_secrets(config, given, {})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == [
        "archives.api_key",
        "references.x.fasta",
        "https",
        "archives.sra",
    ]
    assert not {"0123456789", "pw@", "sig=1", "sig=2"} & set(str(caught.value).split())


def test_programs_get_no_secret(monkeypatch):
    monkeypatch.setenv(secrets.KEY, "0123456789")
    monkeypatch.setenv(secrets.ADDRESSES, json.dumps({"a": "b"}))
    for given in (None, {"HOME": "/", secrets.KEY: "0"}):
        assert not {secrets.KEY, secrets.ADDRESSES} & secrets.without_secrets(given).keys()
    assert secrets.without_secrets({"HOME": "/"}) == {"HOME": "/"}
