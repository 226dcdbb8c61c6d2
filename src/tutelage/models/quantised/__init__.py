"""Networks trained as a device computes them: int8 weights and activations, simulated."""

from tutelage.models.quantised.network import Quantised

__all__ = ["Quantised"]
