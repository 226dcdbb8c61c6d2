import json

import pytest

from tests.export.small import facts
from tutelage.errors import UserError
from tutelage.export.facts import ModelFacts


def test_facts_survive_the_metadata_of_a_file() -> None:
    assert ModelFacts.of_metadata(facts().metadata(), "a.onnx") == facts()
    assert ModelFacts.read(json.loads(json.dumps(facts().plain())), "model.json") == facts()


def test_edited_metadata_are_refused() -> None:
    edited = facts().metadata().replace('"walk"', '"fall"')
    with pytest.raises(UserError, match=r"a\.onnx: its metadata were edited"):
        ModelFacts.of_metadata(edited, "a.onnx")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", "null", '{"facts": 1}'])
def test_a_file_of_somebody_else_is_told(text: str | None) -> None:
    with pytest.raises(UserError, match="was not shipped by Tutelage"):
        ModelFacts.of_metadata(text, "a.onnx")


def test_a_missing_key_is_named() -> None:
    plain = facts().plain()
    del plain["class_names"]
    with pytest.raises(UserError, match=r"model\.json: class_names"):
        ModelFacts.read(plain, "model.json")
