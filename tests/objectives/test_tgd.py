"""The whole loss of TGD, as the distiller of its recipe adds it up, against the released training loop."""

from pathlib import Path

import pytest
import torch

from tests.doubles.teachers import LABELS, wave
from tutelage.objectives import Distiller
from tutelage.recipe.config import load
from tutelage.recipe.instantiate import weighted
from tutelage.types import Batch, Clock, Output, View

RECIPE = Path(__file__).parents[2] / "recipes" / "cifar10" / "tgd.yaml"

# jeunsom/TGD@242ad11, main_train.py, TrainManager.train on fixed outputs in float64: the logged loss of a step (9
# decimals) for --alpha 0.99 and 0.95.
AUTHORS = {0.99: 1073.637462158, 0.95: 1067.732653667}


def output(k, channels, side):
    features = {
        f"stage{i + 1}": wave(
            4, channels * 2**i, side // 2**i, side // 2**i, step=0.31 + 0.1 * k, shift=i
        )
        for i in range(3)
    }
    return Output(2 * wave(4, 5, step=0.8, shift=k), features)


def view():
    teachers = {"teacher": output(1, 3, 8), "pi": output(2, 3, 12)}
    return View(output(0, 2, 8), teachers, Batch({}, LABELS, torch.arange(4)), Clock())


def recipe(alpha):
    mix = f"{{teacher: {alpha}, pi: {round(1 - alpha, 2)}}}"
    return load(
        RECIPE,
        [f"distiller.soft.weighting.weights={mix}", f"distiller.similarity.weights={mix}"],
    )


def distiller(loaded):
    return Distiller(weighted(loaded.objectives("tgd"), "distiller"))


@pytest.mark.parametrize("alpha", AUTHORS)
def test_the_recipes_distiller_gives_the_loss_of_the_released_loop(alpha):
    found = distiller(recipe(alpha))(view()).total.mean().item()
    assert found == pytest.approx(AUTHORS[alpha], abs=1e-8)


def test_the_published_example_is_the_recipes_default_and_the_other_order_is_another_stage():
    plain = load(RECIPE)
    assert distiller(plain)(view()).total.mean().item() == pytest.approx(AUTHORS[0.99], abs=1e-8)
    other = plain.objectives("tgd-normalised")["similarity"]
    assert other["order"] == "normalise_then_merge"
    assert other["weights"] == plain.objectives("tgd")["similarity"]["weights"]


def test_the_learning_rate_falls_by_a_factor_of_five_at_40_80_120_160():
    schedule = load(RECIPE).train.learning_rate
    borders = [round(at * load(RECIPE).train.epochs) for at in schedule["at"]]
    assert borders == [40, 80, 120, 160]
    assert schedule["values"] == pytest.approx([0.1 * 0.2**i for i in range(5)])
