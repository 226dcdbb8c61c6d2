"""Recipes and studies of published protocols: each is built and tried on small files of the official form."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.doubles.archives import write_pamap2
from tutelage.data import GeneActiv, Pamap2
from tutelage.recipe.config import load
from tutelage.recipe.data_spec import DataSpec, folds, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.study.file import load_study
from tutelage.training.check import check

RECIPES = Path(__file__).parents[2] / "recipes"
SENSORS = ("pamap2", "geneactiv")
METHODS = ("tpkd", "tda-kd", "mglw-kd", "three-teachers", "ca-mkd")
PAIRS = {
    "amd-depth": ("WideResNet", "WideResNet"),
    "amd-depth-width": ("WideResNet", "WideResNet"),
    "amd-resnet44": ("CifarResNet", "WideResNet"),
    "amd-wrn28-vgg8": ("WideResNet", "VGG"),
    "amd-vgg13-resnet20": ("VGG", "CifarResNet"),
    "amd-mobilenet-resnet26": ("MobileNetV2", "CifarResNet"),
}

# Of the student, for 10 classes: exact counts of docs/networks.md.
PARAMETERS = {
    "amd-depth": 175_066, "amd-depth-width": 175_066, "amd-resnet44": 175_066, "amd-wrn28-vgg8": 3_918_858,
    "amd-vgg13-resnet20": 272_474, "amd-mobilenet-resnet26": 369_690,
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Write small files in the form of the official ones."""
    home = tmp_path_factory.mktemp("data")
    write_pamap2(home / "pamap2" / "Protocol", [101, 102, 105, 108], rows=8000)
    rng = np.random.default_rng(0)
    (home / "geneactiv-files").mkdir()
    for subject in range(1, 6):
        for kind in range(1, 15):
            for number in range(1, 3):
                name = f"ID-{subject}_CLASS-{kind}_Window-{number}.mat"
                savemat(home / "geneactiv-files" / name, {"xw": rng.normal(size=(500, 3))})
    return home


# In place of CIFAR-10, whose archive is compared with its checksums.
IMAGES = "data={type: SyntheticImages, classes: 10, samples: 60, size: 32}"


def overrides(folder, home, pixels=16):
    """Return what is changed for a dry run of seconds: where the files are, and smaller pictures."""
    place = [f"data.folder={home / 'geneactiv-files'}"] if folder == "geneactiv" else []
    return [*place, f"modalities.pi.resolution={pixels}"]


def dry(recipe, home, cache):
    dataset = load_data(recipe.data, home, None)
    numbers = folds(recipe, dataset)
    data = Fold.of(DataSpec.of(recipe), dataset, numbers[0], cache)
    specs = resolve(recipe, numbers[0], data)
    return numbers, data, specs, {one.stage: one for one in check(specs, data)}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("folder", SENSORS)
def test_a_sensor_recipe_is_sound_and_leaves_every_person_out_once(folder, method, home, tmp_path):
    # A workspace is as large as the smallest last stage, which is the signal's where pictures are large enough.
    pixels = 48 if method == "mglw-kd" else 16
    recipe = load(RECIPES / folder / f"{method}.yaml", overrides(folder, home, pixels))
    numbers, data, _, checked = dry(recipe, home, tmp_path)
    assert len(numbers) == len(set(data.dataset.subjects))
    assert len(set(data.dataset.subjects[data.split.test])) == 1
    student = checked[recipe.students()[-1]]
    assert student.input == "signal"
    # The student is the published WRN16-1 for so many channels and classes, whatever taught it.
    alone = checked["alone"].parameters
    kinds = len(data.dataset.class_names)
    assert alone == {"pamap2": 63_020, "geneactiv": 61_374}[folder] - 65 * (
        {"pamap2": 12, "geneactiv": 14}[folder] - kinds
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("folder", SENSORS)
def test_a_sensor_recipe_has_the_published_schedule(folder, method):
    recipe = load(RECIPES / folder / f"{method}.yaml")
    train = recipe.train
    assert (train.epochs, train.batch_size, recipe.standardise) == (200, 64, "within_window")
    assert train.optimizer == {"type": "SGD", "momentum": 0.9, "weight_decay": 1e-4}
    steps = [0, 10, 11, 65, 66, 132, 133, 199]
    assert [rate(train, epoch) for epoch in steps] == [
        0.05, 0.05, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001,
    ]  # fmt: skip
    weights = recipe.distiller["soft"]["weighting"]
    if "weights" in weights:
        assert sum(weights["weights"].values()) == pytest.approx(1)
    assert recipe.stages["alone"].published


def rate(train, epoch):
    from tutelage.recipe.instantiate import convert
    from tutelage.schedules import Schedule, value_at
    from tutelage.types import Clock

    schedule = convert(train.learning_rate, float | Schedule, "rate")
    return value_at(schedule, Clock(epoch, epoch * 10, train.epochs, 10))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_of_amd_is_sound(name, home, tmp_path):
    recipe = load(RECIPES / "cifar10" / f"{name}.yaml", [IMAGES])
    _, _, specs, checked = dry(recipe, home, tmp_path)
    assert (checked["teacher"].network, checked["amd"].network) == PAIRS[name]
    for spec in specs:
        if spec.stage not in ("teacher", "alone"):
            assert all(value > 0 for value in checked[spec.stage].reach.values())
    assert checked["amd"].parameters == checked["alone"].parameters == PARAMETERS[name]


STUDIES = {
    "pamap2/studies/teacher-capacity": 4, "pamap2/studies/tpkd-parts": 10,
    "geneactiv/studies/teacher-capacity": 4, "geneactiv/studies/tpkd-parts": 10,
    "cifar10/studies/amd-parts": 12, "cifar10/studies/amd-margin": 4, "cifar10/studies/amd-gamma": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIES)
def test_every_cell_of_a_study_is_another_experiment(name, home, tmp_path):
    folder = name.partition("/")[0]
    changes = overrides(folder, home) if folder in SENSORS else [IMAGES]
    study = load_study(RECIPES / f"{name}.yaml", [f"set.{change}" for change in changes])
    assert len(study.cells) == STUDIES[name]
    prints = set()
    for cell in study.cells:
        dataset = load_data(cell.recipe.data, home, None)
        data = Fold.of(DataSpec.of(cell.recipe), dataset, 0, tmp_path)
        prints.add(tuple(spec.fingerprint for spec in resolve(cell.recipe, 0, data)))
    assert len(prints) == STUDIES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if "tpkd" in name])
def test_every_part_of_tpkd_is_sound(name, home, tmp_path):
    folder = name.partition("/")[0]
    study = load_study(
        RECIPES / f"{name}.yaml", [f"set.{change}" for change in overrides(folder, home)]
    )
    for cell in study.cells:
        dry(cell.recipe, home, tmp_path)


def test_official_files_are_asked_for_in_one_sentence(tmp_path):
    for loader in (Pamap2(), GeneActiv(str(tmp_path / "absent"))):
        with pytest.raises(ValueError, match=r"found no"):
            loader.load(tmp_path)
