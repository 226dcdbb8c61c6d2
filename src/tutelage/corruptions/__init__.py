"""Damage to test inputs, in steps of one severity scale: what ``evaluate.corruptions`` of a recipe names.

``__all__`` names the corruptions of signals and of images. A class of one's own derives from
:class:`~tutelage.corruptions.base.Corruption` and is named by its dotted path.
"""

from tutelage.corruptions.base import Corruption as Corruption
from tutelage.corruptions.base import InputFacts as InputFacts
from tutelage.corruptions.both import Both
from tutelage.corruptions.image import (
    Brightness,
    DefocusBlur,
    Fog,
    GaussianBlur,
    GaussianNoise,
    ImpulseNoise,
    JpegCompression,
    LowContrast,
    Pixelation,
    Saturation,
    ShotNoise,
    SpeckleNoise,
)
from tutelage.corruptions.sensors import RotatedSensor
from tutelage.corruptions.signal import (
    Drift,
    GainError,
    LostChannels,
    LostSamples,
    LostStretch,
    LowerRate,
    Noise,
    TimeShift,
    TimeWarp,
)

__all__ = [
    "Noise",
    "LostSamples",
    "LostStretch",
    "LostChannels",
    "GainError",
    "Drift",
    "RotatedSensor",
    "TimeWarp",
    "LowerRate",
    "TimeShift",
    "GaussianNoise",
    "ShotNoise",
    "ImpulseNoise",
    "SpeckleNoise",
    "GaussianBlur",
    "DefocusBlur",
    "Fog",
    "Brightness",
    "LowContrast",
    "Saturation",
    "Pixelation",
    "JpegCompression",
    "Both",
]
