"""What ``plan`` says of stacks."""

import pytest
import yaml

from tests.training.small import recipe
from tutelage.errors import UserError
from tutelage.execution.listener import Quiet
from tutelage.execution.run import make_plan
from tutelage.execution.stack_engine import stacking, ways_of
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import load


def change(content):
    content["stages"] = {
        "alone": {},
        "compiled": {"train": {"compile": True, "epochs": 1}},
        "as_it_is": {"train": {"epochs": 0}},
    }
    content["baseline"] = "alone"
    content["modalities"] = {}
    content["distiller"] = {"labels": {"type": "Labels"}}


def test_plan_says_what_stacks_and_why_the_rest_does_not(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe(change)))
    small = load(tmp_path / "recipe.yaml")
    planned = make_plan({"it": small}, RunConfig(tmp_path, None, "cpu", 1), Quiet())
    assert sorted(ways_of(planned)) == [
        "can be stacked: alone (not measured here yet)",
        "one by one: as_it_is (nothing is trained)",
        "one by one: compiled (its network is compiled)",
    ]


def test_an_unknown_way_is_refused():
    with pytest.raises(UserError, match=r"--way.*processes"):
        stacking("proceses")
