"""Recipes of PromptSRC and PromptKD: built and tried on small sets of the published arrangement."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.doubles.prompt_sets import LISTED, SHIFTS, write_set
from tests.recipe.test_published_recipes import dry
from tests.vlm.small import IMAGES
from tutelage.models import On, PromptedClip
from tutelage.recipe.config import Recipe, load, parse
from tutelage.recipe.networks import save_network
from tutelage.study.file import load_study
from tutelage.vlm import OpenClip
from tutelage.vlm.open_clip import new_open_clip, save_open_clip
from tutelage.vlm.pictures import Preparation

pytest.importorskip("open_clip")

RECIPES = Path(__file__).parents[2] / "recipes" / "imagenet"
# KD_WEIGHT, classes, and the published base, novel and harmonic mean of PromptKD, arXiv:2403.02781.
KD = {
    "ImageNet": (1000, 1000, 80.83, 74.66, 77.62), "Caltech101": (1000, 100, 98.91, 96.65, 97.77),
    "OxfordPets": (1000, 37, 96.30, 98.01, 97.15), "StanfordCars": (1000, 196, 82.80, 83.37, 83.13),
    "Flowers102": (200, 102, 99.42, 82.62, 90.24), "Food101": (1000, 101, 92.43, 93.68, 93.05),
    "FGVCAircraft": (200, 100, 49.12, 41.81, 45.17), "SUN397": (1000, 397, 83.69, 81.54, 82.60),
    "DTD": (200, 47, 85.84, 71.37, 77.94), "EuroSAT": (1000, 10, 97.54, 82.08, 89.14),
    "UCF101": (1000, 101, 89.71, 82.27, 86.10),
}  # fmt: skip
TARGETS = [name for name in KD if name != "ImageNet"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Write all sets, two encoders and a teacher that was trained on the classes of ImageNet."""
    root = tmp_path_factory.mktemp("sets")
    for name in (*KD, *SHIFTS):
        write_set(name, root)
    config = {**IMAGES, "quick_gelu": True, "text_cfg": IMAGES["text_cfg"] | {"layers": 2}}
    for number, name in enumerate(("student", "teacher")):
        torch.manual_seed(number)
        save_open_clip(root / name, new_open_clip(config, Preparation((16, 16))), config)
    names = [f"kind {kind}" for kind in range(4)]
    description = {
        "type": "PromptedClip", "encoder": {"type": "OpenClip", "model": str(root / "teacher")},
        "vision_depth": 2, "text_depth": 2, "frozen_templates": None,
    }  # fmt: skip
    teacher = PromptedClip(
        names, OpenClip(str(root / "teacher")), vision_depth=2, text_depth=2, frozen_templates=None
    )
    spec = {
        "network": description,
        "modality": "image",
        "input_shape": [3, 16, 16],
        "class_names": names,
    }
    (root / "run").mkdir()
    on = On("image", teacher, torch.zeros(3), torch.full((3,), 255.0))
    save_network(root / "run" / "best.safetensors", on, spec)
    return root


def small(place, *stages):
    """Return what makes a recipe a dry run of seconds: small towers and pictures, and few of them."""
    towers = ("student", "teacher") if "promptsrc" in stages else ("student",)
    encoders = [f"encoders.{name}={{model: {place / name}, weights: null}}" for name in towers]
    depth = ["network.vision_depth=2", "train.augment.image.size=16", "train.batch_size=2"]
    own = [] if "promptsrc" not in stages else [
        "stages.promptsrc.network.vision_depth=2", "stages.promptsrc.network.text_depth=2",
        "stages.promptsrc.shots=2",
        "stages.promptsrc.network.frozen_templates=['a photo of a {}.']",
    ]  # fmt: skip
    return [*encoders, *depth, *own]


def few(recipe):
    """Return a recipe on images as small as the ones written here, however few classes there are."""
    content = recipe.model_dump(mode="json")
    content["data"] |= {"stored": 16, "expect_official": False}
    return parse(Recipe, content, "")


def cell(study, name, place, *stages):
    changes = [f"set.{change}" for change in small(place, *stages)]
    if not stages:
        changes.append(f"set.stages.promptsrc.run={place / 'run'}")
    found = load_study(RECIPES / "studies" / f"{study}.yaml", changes)
    (one,) = [each for each in found.cells if each.at["data"] == name]
    return few(one.recipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", KD)
def test_base_to_novel_is_sound_on_each_of_the_eleven_sets(name, place, tmp_path):
    recipe = cell("promptkd-sets", name, place, "promptsrc")
    weight, classes, *published = KD[name]
    assert recipe.stages["promptkd"].published == dict(
        zip(("base", "novel", "harmonic_mean"), published, strict=True)
    )
    assert recipe.distiller["refine"]["coefficient"] == pytest.approx(weight / classes, rel=2e-4)
    assert (recipe.stages["promptsrc"].draw == "coop") is (name != "ImageNet")
    _, data, specs, checked = dry(recipe, place, tmp_path)
    assert [len(names) for names in specs[0].groups.values()] == [2, 2]
    assert (
        checked["promptsrc"].network == "PromptedClip"
        and checked["promptkd"].network == "DistilledClip"
    )
    for stage in ("promptsrc", "promptkd"):
        assert all(value > 0 for value in checked[stage].reach.values())
    known = {spec.stage: spec for spec in specs}
    assert (
        known["promptkd"].unlabelled
        and known["promptsrc"].train_classes == data.dataset.class_names[:2]
    )
    assert len(data.split.train) == 24
    ours = [spec.fingerprint for spec in specs]
    assert len(set(ours)) == 6  # two stages, three seeds


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_teacher_from_imagenet_teaches_on_each_target(name, place, tmp_path):
    recipe = cell("promptkd-cross", name, place)
    weight, classes, *_ = KD[name]
    assert recipe.distiller["refine"]["coefficient"] == pytest.approx(weight / classes, rel=2e-4)
    _, data, _, checked = dry(recipe, place, tmp_path)
    assert all(value > 0 for value in checked["promptkd"].reach.values())
    assert len(data.split.train) == 24 and len(data.split.test) == 8


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIFTS)
def test_a_student_of_another_domain_is_shown_its_test_images_without_labels(name, place, tmp_path):
    recipe = cell("promptkd-shifts", name.removeprefix("ImageNet"), place)
    assert recipe.data["type"] == name
    _, data, _, checked = dry(recipe, place, tmp_path)
    assert all(value > 0 for value in checked["promptkd"].reach.values())
    np.testing.assert_array_equal(data.split.train, data.split.test)
    assert len(data.split.train) == 16


@pytest.mark.slow
def test_the_teacher_is_measured_on_ten_sets_without_training_there(place, tmp_path):
    changes = [
        change for change in small(place, "promptsrc") if not change.startswith("encoders.student")
    ]
    changes += ["network.text_depth=2", "network.frozen_templates=['a photo of a {}.']"]
    loaded = few(load(RECIPES / "promptsrc-cross.yaml", changes))
    assert sorted(one["type"] for one in loaded.transfer.values()) == sorted(TARGETS)
    _, _, _, checked = dry(loaded, place, tmp_path)
    assert all(value > 0 for value in checked["promptsrc"].reach.values())
    assert loaded.stages["promptsrc"].published == {"accuracy": 78.12, "mean": 71.89}


def test_published_numbers_add_up():
    """The means that the literature states are those of the numbers at the stages."""
    sets = load_study(RECIPES / "studies" / "promptkd-sets.yaml")
    assert [one.at["data"] for one in sets.cells] == list(KD)
    stated = [one.recipe.stages["promptkd"].published for one in sets.cells]
    base, novel = (np.mean([each[key] for each in stated]) for key in ("base", "novel"))
    assert [round(base, 2), round(novel, 2), round(2 * base * novel / (base + novel), 2)] == [
        86.96,
        80.73,
        83.73,
    ]
    for each in (one.recipe.stages["promptsrc"].published for one in sets.cells):
        mean = 2 * each["base"] * each["novel"] / (each["base"] + each["novel"])
        assert mean == pytest.approx(each["harmonic_mean"], abs=0.02)
    for name, mean in (("cross", 71.33), ("shifts", 71.47)):
        study = load_study(RECIPES / "studies" / f"promptkd-{name}.yaml")
        found = [one.recipe.stages["promptkd"].published["accuracy"] for one in study.cells]
        assert np.mean(found) == pytest.approx(mean, abs=0.01)
    assert set(LISTED) < set(KD)
