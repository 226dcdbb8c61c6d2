"""The schema of recipes, against every recipe of the repository and mistakes that the reader refuses, too."""

import json
from pathlib import Path

import pytest

from tutelage.errors import UserError
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.editor_schema import recipe_schema
from tutelage.recipe.reader import read_yaml

jsonschema = pytest.importorskip("jsonschema")
RECIPES = [path for path in Path("recipes").rglob("*.yaml") if path.parent.name != "studies"]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json.dumps(recipe_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_recipe_fits(validator):
    assert len(RECIPES) > 50
    for path in RECIPES:
        mistakes = [
            f"{e.json_path}: {e.message}" for e in validator.iter_errors(read_yaml(path, "recipe"))
        ]
        assert not mistakes, f"{path}: {mistakes}"


SMALL = {"data": {"type": "Hapt"}, "split": {"type": "GroupedFolds"}, "stages": {"alone": {}}}
WRONG = [
    {"dta": {"type": "Hapt"}},
    {"train": {"epochs": -1}},
    {"train": {"precision": "16"}},
    {"train": {"learning_rate": 0.0}},
    {"stages": {"alone": {"teachers": "sig"}}},
    {"stages": {"alone": {"shots": 0}}},
    {"labelled": {"per_class": 0}},
    {"seeds": [-1]},
    {"protocol": "peeking"},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_what_the_reader_refuses_does_not_fit(validator, change):
    assert validator.is_valid(SMALL)
    parse(Recipe, SMALL, "")
    with pytest.raises(UserError):
        parse(Recipe, SMALL | change, "")
    assert not validator.is_valid(SMALL | change)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3},
        {"train": {"clip_norm": 0}},
        {"stages": {"a": {"stored": "logits.npy"}, "b": {"teachers": ["a"], "distiller": {"soft": None}}}},
        {"stages": {"alone": {"network": {"width": 2}, "train": {"epochs": 3}}}},
        {"network": {"type": "my_package.MyNetwork"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_may_be_written_shorter_fits(validator, change):
    parse(Recipe, SMALL | change, "")
    assert validator.is_valid(SMALL | change)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"type": "Hapd"}},
        {"data": {"window": 128}},
        {"split": {"type": "Hapt"}},
        {"network": {"type": "WideResNett"}},
        {"distiller": {"soft": {"type": "PerTeacher", "term": {"type": "SoftTarget"}}}},
        {"distiller": {"soft": {"type": "PerTeacher", "weighting": "Unifrom"}}},
        {"distiller": {"labels": {"type": "Labels", "coefficient": -1}}},
        {"train": {"optimizer": {"type": "SDG"}}},
    ],
    ids=str,
)
def test_names_that_nobody_has_do_not_fit(validator, change):
    assert not validator.is_valid(SMALL | change)
