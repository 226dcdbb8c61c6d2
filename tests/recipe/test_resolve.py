"""A recipe resolved: every run is what it was before ``RunSpec``, and says everything itself."""

import json
from pathlib import Path

import pytest

from tests.recipe.cases import cases
from tests.training.small import recipe
from tutelage.errors import UserError
from tutelage.recipe import resolve as resolve_module
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, folds, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve

FINGERPRINTS = json.loads((Path(__file__).parent / "fingerprints.json").read_text())


def resolved(content, cache):
    parsed = parse(Recipe, content, "")
    dataset = load_data(parsed.data)
    source = DataSpec.of(parsed)
    return [
        spec
        for fold in folds(parsed, dataset)
        for spec in resolve(parsed, fold, Fold.of(source, dataset, fold, cache))
    ]


@pytest.mark.parametrize(("name", "content"), cases().items(), ids=list(cases()))
def test_fingerprints_are_those_of_the_first_house(name, content, tmp_path, monkeypatch):
    # Heads of wide networks begin elsewhere since 3.
    monkeypatch.setattr(resolve_module, "NUMBERS", 2)
    specs = resolved(content, tmp_path)
    told = {f"{spec.fold} {spec.stage} {spec.seed}": spec.fingerprint[:24] for spec in specs}
    assert told == FINGERPRINTS[name]


def test_a_run_says_everything_itself(tmp_path):
    def change(content):
        content["stages"]["annsp"] |= {
            "network": {"width": 2}, "train": {"epochs": 7}, "teacher_epoch": "last"
        }  # fmt: skip

    specs = {spec.stage: spec for spec in resolved(recipe(change), tmp_path)}
    annsp = specs["annsp"]
    assert annsp.network == {"type": "WideResNet", "depth": 10, "width": 2}
    assert set(annsp.distiller) == {"labels", "soft", "similarity"}
    assert set(specs["sig"].distiller) == {"labels"}
    assert (annsp.train.epochs, annsp.train.batch_size) == (7, 16)
    assert (annsp.modality, specs["pi"].modality) == ("signal", "pi")
    assert annsp.teachers == {name: specs[name] for name in ("sig", "pi", "gaf")}
    assert annsp.start == specs["alone"]
    assert annsp.needs == [specs[name] for name in ("sig", "pi", "gaf", "alone")]
    assert annsp.folder == Path("fold-1-of-3", "annsp", f"seed-0-{annsp.fingerprint[:10]}")
    assert annsp.place == "stages.annsp"
    order = [spec.stage for spec in resolved(recipe(change), tmp_path)]
    assert all(order.index(other.stage) < order.index("annsp") for other in annsp.needs)


def test_a_blind_run_has_the_fingerprint_of_the_honest_one_and_is_another(tmp_path):
    honest, blind = (
        resolved(recipe(lambda content, p=protocol: content.update(protocol=p)), tmp_path)[0]
        for protocol in ("honest", "blind")
    )
    assert honest.fingerprint == blind.fingerprint
    assert honest != blind
    assert honest.blinded() == blind
    assert (honest.key, blind.key) == ((honest.fingerprint, False), (honest.fingerprint, True))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input": "pie"}, r"stages.alone.input: unknown modality 'pie'; did you mean 'pi'"),
        ({"train": {"augment": {"sig": {"type": "Jitter"}}}},
         r"stages.alone.train.augment: unknown modality 'sig'"),
        ({"classes": ["walking"]}, r"stages.alone.classes: unknown class 'walking'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_data_is_refused_before_anything_is_built(change, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        resolved(recipe(lambda content: content["stages"]["alone"].update(change)), tmp_path)


def test_stages_that_need_each_other_are_refused_when_the_recipe_is_read():
    def change(content):
        content["stages"]["sig"]["start_from"] = "base"

    with pytest.raises(UserError, match=r"need each other in a circle"):
        parse(Recipe, recipe(change), "")
