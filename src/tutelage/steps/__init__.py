"""Steps: how parameters move; the only owners of optimizers."""

from tutelage.steps.base import Step, Stepper
from tutelage.steps.gradient import GradientStep

__all__ = ["GradientStep", "Step", "Stepper"]
