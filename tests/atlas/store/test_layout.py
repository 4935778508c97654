import json

import pytest

from scripts.atlas.store.layout import PUBLIC, Layout, read_layout
from scripts.core.errors import InputError

LAYOUT = Layout((("other", 2), ("sex", 1)), (("cell_type", 2), ("sex", 1)))


def test_the_public_layout_is_that_of_the_document():
    assert (PUBLIC.embedding_width, PUBLIC.label_width) == (424, 23)
    assert PUBLIC.block("cell_type") == slice(256, 320)
    assert PUBLIC.block("age") == PUBLIC.block("age_group") == slice(384, 392)
    assert PUBLIC.block("ethnicity") == PUBLIC.block("self_reported_ethnicity_ontology_term_id") == slice(404, 412)
    assert PUBLIC.label("organism_ontology_term_id") == slice(19, 22)
    with pytest.raises(InputError, match="'colour' is no class of labels of this atlas; it has cell_type, tissue"):
        PUBLIC.label("colour")
    assert Layout.from_json(PUBLIC.to_json()) == PUBLIC


def test_layouts_given_as_an_option(tmp_path):
    reported = read_layout("labels=cell_type:3,age:2")
    assert reported == Layout(PUBLIC.embeddings, (("cell_type", 3), ("age_group", 2)))
    (tmp_path / "layout.json").write_text(json.dumps({"layout": LAYOUT.to_json()}))
    assert read_layout(str(tmp_path / "layout.json")) == LAYOUT
    with pytest.raises(InputError, match="--layout: 'cells=a:1' is neither"):
        read_layout("cells=a:1")
    with pytest.raises(InputError, match="'sex' is duplicated"):
        read_layout("labels=sex:1,sex:1")
    with pytest.raises(InputError, match="cannot be read: No such"):
        read_layout(str(tmp_path / "other.json"))
