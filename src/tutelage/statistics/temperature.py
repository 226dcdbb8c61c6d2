"""The temperature that makes probabilities of a network as sure as they are right."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["fitted_temperature", "softened"]

_LEAST, _MOST = 0.05, 20.0


def fitted_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature with the least negative log-likelihood, between 0.05 and 20; 1 without labels.

    Args:
        logits: [n, C], of samples that the network was not trained on.
        labels: [n]; samples below 0 have none and are left out.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    known = labels >= 0
    if not known.any():
        return 1.0
    scores, right = logits[known].astype(np.float64), labels[known]

    def loss(logarithm: float) -> float:
        probabilities = softened(scores, float(np.exp(logarithm)))
        chosen = probabilities[np.arange(len(right)), right]
        return float(-np.log(np.maximum(chosen, 1e-300)).mean())

    # The loss is convex in 1 / temperature, so it has one valley.
    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def softened(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities of scores at a temperature, [n, C]."""
    scaled = logits.astype(np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
