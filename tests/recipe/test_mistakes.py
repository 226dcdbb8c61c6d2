"""Planted mistakes: each is refused before the first step, with a sentence of its own."""

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat

from tests.training.small import recipe, write
from tutelage.errors import UserError
from tutelage.execution import run
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, load, parse
from tutelage.recipe.data_spec import DataSpec, folds, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.training.check import check


def examine(content, tmp_path):
    parsed = parse(Recipe, content, "")
    dataset = load_data(parsed.data, tmp_path, None)
    first = folds(parsed, dataset)[0]
    data = Fold.of(DataSpec.of(parsed), dataset, first, tmp_path)
    return check(resolve(parsed, first, data), data)


def put(path, value):
    """Return a change that sets one key."""

    def change(content):
        *parents, last = path.split(".")
        for key in parents:
            content = content[key]
        content[last] = value

    return change


MISTAKES = {
    "unknown key": (
        put("train.epoch", 3),
        r"^train: unknown key 'epoch'; did you mean 'epochs' \(allowed: ",
    ),
    "unknown key in a stage": (
        put("stages.base.teacher", ["sig"]),
        r"^stages\.base: unknown key 'teacher'; did you mean 'teachers'",
    ),
    "wrong type": (put("train.epochs", "many"), r"^train\.epochs: found 'many'; "),
    "wrong argument": (
        put("distiller.soft.term", {"type": "SoftTargets", "temprature": 4}),
        r"^stages\.base\.distiller\.soft\.term: SoftTargets takes no 'temprature'; did you mean 'temperature'",
    ),
    "wrong type of an argument": (
        put("distiller.soft.term.temperature", "hot"),
        r"distiller\.soft\.term\.temperature: found 'hot'; allowed: a number or a Schedule",
    ),
    "near name of a class": (
        put("distiller.soft.term", {"type": "SoftTarget"}),
        r"distiller\.soft\.term\.type: unknown term 'SoftTarget'; did you mean 'SoftTargets'",
    ),
    "missing argument": (
        put("distiller.soft.weighting", {"type": "Fixed"}),
        r"distiller\.soft\.weighting: Fixed needs 'weights'",
    ),
    "missing teacher": (
        put("stages.base.teachers", ["sig", "pie"]),
        r"^stages\.base\.teachers: unknown stage 'pie'; did you mean 'pi'",
    ),
    "weights and teachers differ": (
        put("stages.base.teachers", ["sig", "pi"]),
        r"^stages\.base\.distiller\.soft: weights: a weight is given for 'gaf', which is not a teacher here",
    ),
    "weights do not sum to one": (
        put("distiller.soft.weighting.weights", {"sig": 0.4, "pi": 0.3, "gaf": 0.4}),
        r"distiller\.soft\.weighting: weights: .* sum to 1\.1, not to 1",
    ),
    "missing modality": (
        put("stages.pi.input", "image"),
        r"^stages\.pi\.input: unknown modality 'image' \(allowed: gaf, pi, signal\)",
    ),
    "missing tap": (
        put("stages.annsp.distiller.similarity.taps", ["stage9"]),
        r"^stages\.annsp: teacher 'sig' has no feature 'stage9'",
    ),
    "stages in a circle": (
        put("stages.sig.start_from", "annsp"),
        r"^stages: .* need each other in a circle",
    ),
    "start from another network": (
        put("stages.annsp.network", {"type": "WideResNet", "depth": 16}),
        r"^stages\.annsp\.start_from: the network of 'alone' has other layers",
    ),
    "depth that does not exist": (
        put("network.depth", 17),
        r"^stages\.\w+\.network: depth: 17 is not 6n \+ 4",
    ),
    "a number of classes by hand": (
        put("network.classes", 4),
        r"^stages\.\w+\.network\.classes: follows from the data",
    ),
    "no validation under the honest protocol": (
        put("split.validation", 0),
        r"^split\.validation: found 0; the honest protocol chooses the epoch on validation subjects",
    ),
    "no such fold": (put("folds", [7]), r"^folds: found 7; allowed: 0 to 2, or all"),
    "baseline that does not exist": (
        put("baseline", "alones"),
        r"^baseline: unknown stage 'alones'; did you mean",
    ),
    "negative coefficient": (
        put("distiller.labels.coefficient", -1.0),
        r"distiller\.labels\.coefficient: -1\.0 must be >= 0",
    ),
    "learning rate twice": (
        put("train.optimizer", {"type": "SGD", "lr": 0.1}),
        r"train\.optimizer\.lr: state it as stages\.\w+\.train\.learning_rate",
    ),
    "unknown optimizer": (
        put("train.optimizer", {"type": "SDG"}),
        r"train\.optimizer\.type: unknown optimizer 'SDG'; did you mean 'SGD'",
    ),
    "a callable that is no network": (
        put("network", {"type": "subprocess.Popen", "args": "true"}),
        r"network\.type: 'subprocess\.Popen' is not a subclass of Module",
    ),
    "an augmentation of nothing": (
        put("train.augment", {"sound": {"type": "Jitter"}}),
        r"stages\.\w+\.train\.augment: unknown modality 'sound'",
    ),
    "class weights that do not fit": (
        put("stages.alone.distiller", {"labels": {"class_weights": [1.0, 2.0]}}),
        r"^stages\.alone: distiller\.labels: class_weights: 2 weights for 3 classes"
        r"|^distiller\.labels: class_weights: 2 weights for 3 classes",
    ),
    "features of teachers beside a mix": (
        put("train.mix", {"type": "Mixup"}),
        r"stages\.annsp\.train\.mix: the student sees mixtures, and an objective reads stage1, stage2, stage3",
    ),
    "the name of a column": (
        put("distiller.accuracy", {"type": "Labels"}),
        r"distiller\.accuracy: the log has a column of this name already",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_refused_each_with_its_sentence(name, tmp_path):
    change, sentence = MISTAKES[name]
    with pytest.raises(UserError, match=sentence) as caught:
        examine(recipe(change), tmp_path)
    assert "\n" not in str(caught.value)


def test_the_sound_recipe_passes_and_every_objective_reaches_the_student(tmp_path):
    found = {row.stage: row for row in examine(recipe(), tmp_path)}
    assert set(found) == {"sig", "pi", "gaf", "alone", "base", "annsp"}
    assert set(found["annsp"].reach) == {"labels", "soft", "similarity"}
    assert all(norm > 0 for row in found.values() for norm in row.reach.values())
    assert found["pi"].network == "WideResNet"


def test_teachers_may_be_shown_the_mixture_instead(tmp_path):
    def change(content):
        content["train"] |= {"mix": {"type": "Mixup"}, "augment_teachers": True}

    assert {row.stage for row in examine(recipe(change), tmp_path)} >= {"base", "annsp"}


def test_an_objective_that_trains_nothing_is_found(tmp_path):
    cut = {"type": "tests.training.broken.Cut"}
    with pytest.raises(
        UserError, match=r"stages\.alone\.distiller\.labels: sends no gradient to the student"
    ):
        examine(recipe(put("stages.alone.distiller", {"labels": cut})), tmp_path)
    idle = {"type": "tests.training.broken.Idle"}
    with pytest.raises(
        UserError, match=r"parameter 'objectives.extra.unused' of the distiller gets no gradient"
    ):
        examine(recipe(put("stages.alone.distiller", {"extra": idle})), tmp_path)
    scalar = {"type": "tests.training.broken.Scalar"}
    with pytest.raises(UserError, match=r"returned shape \[\]; allowed: one number per sample"):
        examine(recipe(put("stages.alone.distiller", {"extra": scalar})), tmp_path)
    leak = {"type": "tests.training.broken.Leak"}
    with pytest.raises(
        UserError, match=r"stages\.base: a gradient reaches teacher 'sig', which is frozen"
    ):
        examine(recipe(put("stages.base.distiller", {"extra": leak})), tmp_path)


def test_modalities_with_another_number_of_windows_are_refused(tmp_path):
    stored = tmp_path / "images.npy"
    np.save(stored, np.zeros((200, 2, 8, 8), np.uint8))  # the data set has 6 * 3 * 12 = 216 windows
    content = recipe(put("modalities.pi", {"type": "Stored", "path": str(stored)}))
    with pytest.raises(
        UserError, match=r"modalities\.pi: .* holds 200 samples, but the data set has 216 windows"
    ):
        examine(content, tmp_path)


def test_a_stored_window_of_another_size_is_refused(tmp_path):
    for subject in "abcd":
        for label in (1, 2):
            name = f"ID-{subject}_CLASS-{label}_Window-1.mat"
            savemat(tmp_path / name, {"xw": np.random.default_rng(0).normal(size=(500, 3))})
    content = recipe(put("data", {"type": "GeneActiv", "folder": str(tmp_path), "window": 1000}))
    with pytest.raises(UserError, match=r"1000.*500|500.*1000"):
        examine(content, tmp_path)


def test_a_teacher_with_other_classes_is_refused(tmp_path):
    folder = run.execute(
        parse(
            Recipe,
            recipe(
                lambda c: (put("data.classes", 4)(c), c.update(stages={"sig": {}}, baseline=None))
            ),
            "",
        ),
        "four",
        RunConfig(tmp_path / "runs", tmp_path, "cpu"),
    )
    teacher = next(folder.glob("*/sig/seed-0-*"))
    content = recipe(put("stages.sig", {"run": str(teacher)}))
    with pytest.raises(
        UserError, match=r"stages\.sig: the network has 4 classes .* the data set has 3"
    ):
        examine(content, tmp_path)


def test_cached_teachers_are_refused_when_their_inputs_are_augmented(tmp_path):
    def change(content):
        content["train"] |= {
            "augment": {"signal": {"type": "Jitter"}},
            "augment_teachers": True,
            "teachers": "cached",
        }

    with pytest.raises(UserError, match="signal is randomly augmented for the teachers"):
        examine(recipe(change), tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "not readable as YAML"),
        ("- 1", "found list; allowed: a mapping"),
        ("data: 1\ndata: 2", "key 'data' stands twice"),
    ],
)
def test_files_that_are_no_recipe(text, sentence, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        load(path)
    with pytest.raises(UserError, match="no such recipe file"):
        load(tmp_path / "other.yaml")


def test_numbers_overrides_and_one_seed(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("start: 0.05", "start: 5e-2"))
    loaded = load(path, ["distiller.soft.coefficient=0.25", "seed=3", "train.learning_rate=1e-4"])
    assert loaded.train.learning_rate == pytest.approx(1e-4)
    assert isinstance(loaded.train.learning_rate, float)
    assert loaded.seeds == [3]
    assert loaded.objectives("base")["soft"]["coefficient"] == 0.25
    assert load(path).train.learning_rate == {"type": "Cosine", "start": 0.05}
    with pytest.raises(UserError, match=r"override 'train\.epochs': allowed: key\.path=value"):
        load(path, ["train.epochs"])
    with pytest.raises(UserError, match=r"train: unknown key 'epoch'"):
        load(path, ["train.epoch=3"])


def test_a_changed_type_drops_the_old_arguments(tmp_path):
    loaded = load(write(tmp_path), ["distiller.soft.weighting={type: Uniform}"])
    assert loaded.objectives("base")["soft"]["weighting"] == {"type": "Uniform"}
    assert yaml.safe_load("1e-4") == "1e-4"  # the trap of PyYAML that the loader avoids


def test_an_objective_is_removed_with_null_from_all_stages(tmp_path):
    before = load(write(tmp_path))
    after = load(write(tmp_path), ["distiller.soft=null"])
    taught = [name for name, stage in before.stages.items() if stage.teachers]
    assert taught and all("soft" in before.objectives(name) for name in taught)
    assert all(
        after.objectives(name).keys() == before.objectives(name).keys() - {"soft"}
        for name in taught
        if "soft" not in before.stages[name].distiller
    )


def test_an_objective_is_removed_with_null(tmp_path):
    loaded = load(write(tmp_path), ["stages.annsp.distiller.soft=null"])
    assert set(loaded.objectives("annsp")) == {"labels", "similarity"}
    assert torch.is_grad_enabled()
