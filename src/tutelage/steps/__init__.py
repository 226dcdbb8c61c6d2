"""Steps: how parameters move; the only owners of optimizers."""

from tutelage.steps.base import Step, Stepper
from tutelage.steps.bilevel import BilevelStep
from tutelage.steps.gradient import GradientStep

__all__ = ["BilevelStep", "GradientStep", "Step", "Stepper"]
