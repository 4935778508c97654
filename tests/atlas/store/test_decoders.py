from types import SimpleNamespace

import numpy as np
import pytest

from scripts.atlas.store.decoders import label_names, read_decoders
from scripts.core.errors import InputError


def test_decoders_of_any_spelling(tmp_path):
    path = tmp_path / "label_decoders.json"
    path.write_text('{"cell_type_ontology_term_id": {"0": "CL:1", "2": "CL:3"}, "age": {"0": "adult"}}')
    decoders = read_decoders(path)
    assert sorted(decoders) == ["age_group", "cell_type"]
    names = label_names("cell_type", [SimpleNamespace(path="atlas", decoders=decoders)])
    assert names.known == ("CL:1", "CL:3")
    assert names.joined([np.array([5, 0, 7])])[0].tolist() == [5, 7]
    strange = (
        '{"a": {"65536": "x"}}',
        '{"a": {"-1": "x"}}',
        '{"a": {"٣": "x"}}',
        '{"a": {"0": "\\u001b[31m"}}',
        "[" * 99_999,
    )
    for text in (*strange, "[]", '{"a": 1}', '{"a": {"x": "y"}}', '{"a": {"0": 1}}', "no"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"label_decoders\.json: "):
            read_decoders(path)
