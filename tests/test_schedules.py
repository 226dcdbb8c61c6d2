import math

import pytest

from tutelage.recipe.instantiate import convert
from tutelage.schedules import Constant, Cosine, EpochCosine, Linear, Piecewise, Schedule, value_at
from tutelage.types import Clock


def at(step, epochs=10, per_epoch=5):
    return Clock(step // per_epoch, step, epochs, per_epoch)


def test_linear_runs_from_start_to_end_and_holds():
    schedule = Linear(1.0, 0.2, until=0.5)
    assert schedule(at(0)) == 1.0
    assert schedule(at(25)) == pytest.approx(0.2)
    assert schedule(at(49)) == pytest.approx(0.2)
    assert schedule(at(10)) == pytest.approx(1 - 0.8 * 10 / 25)


def test_cosine_follows_its_formula_after_the_warmup():
    schedule = Cosine(0.1, 0.01, warmup=0.2)
    assert 0 < schedule(at(0)) < schedule(at(5)) < schedule(at(10)) == pytest.approx(0.1)
    done = (30 / 50 - 0.2) / 0.8
    assert schedule(at(30)) == pytest.approx(0.01 + 0.09 * (1 + math.cos(math.pi * done)) / 2)


def test_epoch_cosine_is_that_of_prompt_learning():
    # zhengli97/PromptKD@ec244f783c8b9b2503ad5a838a3fd97365686ddb, dassl/optim/lr_scheduler.py: cosine, 5 epochs,
    # lr 0.005, one constant epoch of 1e-5, WARMUP_RECOUNT; and four of 20 epochs at 0.0025.
    published = [1e-5, 0.005, 0.0045225424859, 0.0032725424859, 0.0017274575140]
    schedule = EpochCosine(0.005)
    assert [schedule(Clock(e, 3 * e, 5, 3)) for e in range(5)] == pytest.approx(published)
    longer = [1e-5, 0.0025, 0.00125, 6.117935463105809e-05]
    schedule = EpochCosine(0.0025)
    assert [schedule(Clock(e, e, 20, 1)) for e in (0, 1, 11, 19)] == pytest.approx(longer)
    with pytest.raises(ValueError, match="warmup: -1"):
        EpochCosine(1.0, warmup=-1)


def test_piecewise_reproduces_the_published_borders():
    # TPKD: 200 epochs, borders at floor(200/18) = 11, floor(200/3) = 66, floor(400/3) = 133.
    schedule = Piecewise([0.05, 0.01, 0.001, 0.0001], [1 / 18, 1 / 3, 2 / 3])
    values = [schedule(Clock(e, e, 200, 1)) for e in (0, 10, 11, 65, 66, 132, 133, 199)]
    assert values == [0.05, 0.05, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001]


def test_numbers_and_schedules_are_read_alike():
    assert value_at(0.3, at(7)) == 0.3
    assert value_at(Constant(0.3), at(7)) == 0.3


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(1, 0, until=0),
        lambda: Cosine(1, 0, warmup=1),
        lambda: Piecewise([1.0, 2.0], [0.5, 0.6]),
        lambda: Piecewise([1.0, 2.0, 3.0], [0.6, 0.5]),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(ValueError, match=r"until|warmup|values|at:"):
        make()


@pytest.mark.parametrize("epochs", [18, 54, 89, 90, 91, 200, 240, 300])
def test_fractions_fall_on_the_published_epochs(epochs):
    # TDA-KD's code: whole parts of E/18, E/3 and 2E/3.
    schedule = Piecewise([0.05, 0.01, 0.001, 0.0001], ["1/18", "1/3", "2/3"])
    borders = [epochs // 18, epochs // 3, 2 * epochs // 3]
    for epoch in range(epochs):
        wanted = [0.05, 0.01, 0.001, 0.0001][sum(epoch >= border for border in borders)]
        assert schedule(Clock(epoch=epoch, epochs=epochs)) == wanted
    rounded = Piecewise([1.0, 2.0], [0.3333])
    assert [rounded(Clock(epoch=e, epochs=90)) for e in (28, 29, 30)] == [1.0, 2.0, 2.0]


def test_fractions_in_a_recipe_and_what_is_none():
    described = {"type": "Piecewise", "values": [1, 2, 3], "at": ["1/3", 0.5]}
    schedule = convert(described, float | Schedule, "train.learning_rate")
    assert [schedule(Clock(epoch=e, epochs=9)) for e in (2, 3, 4)] == [1, 2, 3]
    for wrong in ("1/0", "third", "4/3", "-1/3"):
        with pytest.raises(ValueError, match="at: "):
            Piecewise([1.0, 2.0], [wrong])
