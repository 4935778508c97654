import pytest

from scripts.atlas.store.files import is_whole, new_folder, read_json, read_table, write_json, write_table
from scripts.core.errors import InputError


def test_tables_are_read_back_without_stray_white_space(tmp_path):
    path = tmp_path / "a.tsv"
    write_table(path, ("name", "rows"), [("a\tb  c", 1), ('"', 2)])
    assert path.read_bytes() == b'name\trows\na b c\t1\n"\t2\n'
    assert list(read_table(path, ("name", "rows"))) == [(2, ["a b c", "1"]), (3, ['"', "2"])]
    with pytest.raises(InputError, match=r"a\.tsv: its first line must be 'name row', separated by tabs\."):
        list(read_table(path, ("name", "row")))
    path.write_text("name\trows\na\n")
    with pytest.raises(InputError, match=r"a\.tsv, line 2: 1 values, expected 2\."):
        list(read_table(path, ("name", "rows")))
    with pytest.raises(InputError, match=r"b\.tsv: cannot be read: No such file"):
        list(read_table(tmp_path / "b.tsv", ("name",)))


def test_the_same_value_is_the_same_json(tmp_path):
    for name, value in (("a", {"b": 1, "a": "µ"}), ("b", {"a": "µ", "b": 1})):
        write_json(tmp_path / name, value)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == '{\n "a": "µ",\n "b": 1\n}\n'.encode()
    assert read_json(tmp_path / "a") == {"a": "µ", "b": 1}
    (tmp_path / "a").write_text("{")
    with pytest.raises(InputError, match="a: cannot be read as JSON: "):
        read_json(tmp_path / "a")


def test_a_folder_replaces_only_one_with_its_mark(tmp_path):
    for text in ("first", "second"):
        with new_folder(tmp_path / "atlas", "manifest.json") as folder:
            (folder / "manifest.json").write_text(text)
    assert (tmp_path / "atlas/manifest.json").read_text() == "second"
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "atlas", "manifest.json"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["atlas"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").touch()
    words = r"other: the folder has other files \(it has no manifest\.json\)"
    with pytest.raises(InputError, match=words), new_folder(tmp_path / "other", "manifest.json"):
        pass


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its first line must be 'name rows', separated by tabs."),
        (b"name\trows\n\xff\t1\n", "line 2: not text in UTF-8: "),
        (b"name\trows\na\0\t1\n", "line 2: it has a control character."),
        (b"name\trows\na\x1b[31m\t1\n", "line 2: it has a control character."),
        (b"name\trows\na\rb\t1\n", "line 2: it has a control character."),
        (b"name\trows\n" + b"A" * 70_000 + b"\t1\n", "line 2: more than 65,536 characters, too long for such a file."),
    ],
)
def test_tables_that_are_none(tmp_path, content, words):
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_table(tmp_path / "a.tsv", ("name", "rows")))
    assert str(error.value).startswith(f"{tmp_path / 'a.tsv'}")
    assert words in str(error.value)


def test_whole_numbers():
    assert [is_whole(text) for text in ("0", "17", "9" * 15)] == [True] * 3
    assert [is_whole(text) for text in ("", "-1", "1.5", "9" * 16, "٣", "²")] == [False] * 6
