"""Every number of an augmentation has a range, which is checked before anything is trained."""

import math

import pytest
import torch

from tutelage.augment import CropFlip, Jitter, Missing, RandomResizedCrop, Rotation, Scaling, Shift
from tutelage.errors import UserError
from tutelage.recipe.instantiate import build

PROBABILITY = ([0.0, 1.0], [-0.1, 1.1])
RANGES = [
    (Jitter, "sigma", [0.0, 3.0], [-0.1]),
    (Scaling, "sigma", [0.0, 3.0], [-0.1]),
    (Shift, "fraction", [0.0, 0.5, 1.0], [-0.1, 1.1]),
    (Missing, "fraction", [0.0, 0.99], [-0.1, 1.0, 1.1]),
    (CropFlip, "flip", *PROBABILITY),
    (CropFlip, "padding", [0, 4], [-1]),
    (Rotation, "flip", *PROBABILITY),
    (Rotation, "degrees", [0.0, 180.0], [-1.0, 181.0]),
    (RandomResizedCrop, "flip", *PROBABILITY),
]
GIVEN = {RandomResizedCrop: {"size": 4}}
SIGNALS = (Jitter, Scaling, Shift, Missing)


@pytest.mark.parametrize(("cls", "name", "allowed", "refused"), RANGES)
def test_numbers_outside_their_range_are_one_sentence(cls, name, allowed, refused):
    x = torch.randn(3, 2, 8) if cls in SIGNALS else torch.randn(3, 2, 8, 8)
    for value in allowed:
        changed = cls(**GIVEN.get(cls, {}), **{name: value})(x, torch.Generator().manual_seed(0))
        assert torch.isfinite(changed).all()
    for value in [*refused, math.nan, math.inf, -math.inf]:
        with pytest.raises(UserError, match=rf"^{cls.__name__}.{name}: {value} must be ") as error:
            cls(**GIVEN.get(cls, {}), **{name: value})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("end", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["scale", "ratio"])
def test_areas_and_ratios_are_finite(name, end):
    with pytest.raises(UserError, match=f"RandomResizedCrop.{name}: found"):
        RandomResizedCrop(8, **{name: (0.5, end)})


def test_a_recipe_gets_the_same_sentence():
    described = {"type": "Jitter", "sigma": -1.0}
    with pytest.raises(UserError, match=r"Jitter.sigma: -1.0 must be >= 0"):
        build("tutelage.augment", described, "train.augment.signal")
