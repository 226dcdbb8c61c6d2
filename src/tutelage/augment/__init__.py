"""Random changes of training inputs, as batched tensor operations."""

from tutelage.augment.base import Augment, Mix, StillAugment, augmented
from tutelage.augment.image import CropFlip, RandomResizedCrop, Rotation
from tutelage.augment.mix import CutMix, Mixup, of_mixtures
from tutelage.augment.signal import Jitter, Missing, Scaling, Shift

__all__ = [
    "Augment",
    "CropFlip",
    "CutMix",
    "Jitter",
    "Missing",
    "Mix",
    "Mixup",
    "RandomResizedCrop",
    "Rotation",
    "Scaling",
    "Shift",
    "StillAugment",
    "augmented",
    "of_mixtures",
]
