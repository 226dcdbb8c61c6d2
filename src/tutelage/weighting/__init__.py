"""Weightings: how much each teacher counts for each sample."""

from tutelage.weighting.accuracy_gap import AccuracyGap
from tutelage.weighting.base import Weighting
from tutelage.weighting.closeness import Closeness
from tutelage.weighting.confidence import Confidence
from tutelage.weighting.entropy import Entropy
from tutelage.weighting.fixed import Fixed
from tutelage.weighting.gradient_space import GradientSpace
from tutelage.weighting.meta import MetaFeatures, MetaLogits
from tutelage.weighting.uniform import Uniform

__all__ = [
    "AccuracyGap",
    "Closeness",
    "Confidence",
    "Entropy",
    "Fixed",
    "GradientSpace",
    "MetaFeatures",
    "MetaLogits",
    "Uniform",
    "Weighting",
]
