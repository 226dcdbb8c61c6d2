"""Weightings: how much each teacher counts for each sample."""

from tutelage.weighting.base import Weighting
from tutelage.weighting.fixed import Fixed
from tutelage.weighting.uniform import Uniform

__all__ = ["Fixed", "Uniform", "Weighting"]
