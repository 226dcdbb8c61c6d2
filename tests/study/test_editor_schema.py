"""The schema of study files, against every study of the repository and against mistakes."""

import json
from pathlib import Path

import pytest

from tutelage.recipe.reader import read_yaml
from tutelage.study.editor_schema import study_schema

jsonschema = pytest.importorskip("jsonschema")
STUDIES = list(Path("recipes").rglob("studies/*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json.dumps(study_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def as_json(content):
    """Return what an editor sees: keys are texts."""
    return json.loads(json.dumps(content))


def test_every_study_fits(validator):
    assert len(STUDIES) > 5
    for path in STUDIES:
        content = as_json(read_yaml(path, "study"))
        mistakes = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(content)]
        assert not mistakes, f"{path}: {mistakes}"


def test_a_whole_recipe_fits_inside_and_a_wrong_one_does_not(validator):
    recipe = read_yaml(Path("recipes/hapt/kd.yaml"), "recipe")
    assert validator.is_valid({"recipe": recipe})
    assert not validator.is_valid({"recipe": recipe | {"stages": {"alone": {"teachers": 3}}}})


@pytest.mark.parametrize(
    "change",
    [
        {"vari": {}},
        {"set": {"trian.epochs": 3}},
        {"set": {"training.epochs": 3}},
        {"vary": {"method": {}}},
        {"vary": {"method": {"kd": {"distill.soft": {}}}}},
        {"skip": [{}]},
    ],
    ids=str,
)
def test_mistakes_do_not_fit(validator, change):
    assert validator.is_valid(
        {"recipe": "a.yaml", "set": {"train.epochs": 3}, "vary": {"t": {"4": {"train": {}}}}}
    )
    assert not validator.is_valid({"recipe": "a.yaml"} | change)
