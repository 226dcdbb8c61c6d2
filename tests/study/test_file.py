import json

import pytest

from tests.execution.tiny import content, write
from tutelage.errors import UserError
from tutelage.study.file import lay, load_study, write_study


def test_axes_make_cells_in_order_and_skip_takes_some_out(tmp_path):
    vary = {
        "share": {0.1: {"distiller.soft.coefficient": 0.1}, "half": None},
        "epochs": {"few": {"train": {"epochs": 1}}, "many": {"train": {"epochs": 3}}},
    }
    study = load_study(write(tmp_path, vary=vary, skip=[{"share": 0.1, "epochs": "many"}]))
    assert [cell.name for cell in study.cells] == ["0.1_few", "half_few", "half_many"]
    assert dict(study.cells[0].at) == {"share": "0.1", "epochs": "few"}
    assert study.cells[0].recipe.distiller["soft"]["coefficient"] == 0.1
    assert study.cells[1].recipe.distiller["soft"]["coefficient"] == 0.5
    assert [cell.recipe.train.epochs for cell in study.cells] == [1, 1, 3]
    assert study.axes == {"share": ("0.1", "half"), "epochs": ("few", "many")}


def test_without_axes_there_is_one_cell(tmp_path):
    study = load_study(write(tmp_path, vary={}))
    assert [(cell.name, dict(cell.at)) for cell in study.cells] == [("all", {})]


def test_the_recipe_may_be_a_file_and_set_lies_over_it(tmp_path):
    (tmp_path / "studies").mkdir()
    from tests.training.small import write as write_recipe

    write_recipe(tmp_path)
    path = tmp_path / "studies" / "it.yaml"
    path.write_text(
        "recipe: ../recipe.yaml\nset: {seeds: [4, 5], train.epochs: 7, stages: {annsp: }}\n"
    )
    study = load_study(path)
    assert study.name == f"{tmp_path.name}-it"
    recipe = study.cells[0].recipe
    assert (recipe.seeds, recipe.train.epochs) == ([4, 5], 7)
    assert "annsp" not in recipe.stages
    changed = load_study(path, ["set.seeds=[1]"])
    assert changed.cells[0].recipe.seeds == [1]
    # Other settings are another study, unless they are given the same name.
    assert changed.name.startswith(f"{tmp_path.name}-it-")
    assert load_study(path, ["set.seeds=[1]"], "mine").name == "mine"


def test_a_change_of_type_replaces_what_belonged_to_the_old_one():
    before = {"network": {"type": "WideResNet", "depth": 10}}
    assert lay(before, {"network": {"type": "MLP"}})["network"] == {"type": "MLP"}
    assert lay(before, {"network.depth": 16})["network"] == {"type": "WideResNet", "depth": 16}
    assert before == {"network": {"type": "WideResNet", "depth": 10}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"varies": {}}, "study: unknown key 'varies'; did you mean 'vary'"),
        ({"recipe": "none.yaml"}, "there is no such recipe file"),
        ({"recipe": "é" * 300}, "there is no such recipe file"),
        ({"vary": {"share": {}}}, "vary.share: has no values"),
        ({"vary": {"share": {"a/b": {}}}}, "vary.share: found the name 'a/b'"),
        ({"vary": {"share": {"table": {}}}}, "two folders of the study would be called 'table'"),
        ({"vary": {"a": {"b_c": {}, "b": {}}, "d": {"e": {}, "c_e": {}}}}, "called 'b_c_e'"),
        ({"skip": [{"chare": "half"}]}, "skip.0: unknown axis 'chare'; did you mean 'share'"),
        ({"skip": [{"share": "hlf"}]}, "skip.0.share: unknown value 'hlf'; did you mean 'half'"),
        ({"skip": [{}]}, "skip.0: names no axis"),
        ({"skip": [{"share": ["half", "most"]}]}, "skip: leaves nothing to do"),
        (
            {"vary": {"share": {"half": {"train.epoch": 5}}}},
            "cell half: train: unknown key 'epoch'; did you mean 'epochs'",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path, change, sentence):
    with pytest.raises(UserError) as found:
        load_study(write(tmp_path, **change))
    assert sentence in str(found.value)
    assert "\n" not in str(found.value)


def test_the_record_says_which_cells_there_are(tmp_path):
    study = load_study(write(tmp_path), name="it")
    write_study(study, tmp_path / "it", {"version": "1"})
    found = json.loads((tmp_path / "it" / "study.json").read_text())
    assert (found["schema"], found["name"], found["title"]) == (1, "it", "Tiny")
    assert found["cells"] == [
        {"name": "half", "at": {"share": "half"}, "path": "half"},
        {"name": "most", "at": {"share": "most"}, "path": "most"},
    ]
    assert found["resolved"]["recipe"] == content()["recipe"]
    assert found["code"] == {"version": "1"}
