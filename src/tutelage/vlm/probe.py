"""The linear probe that a bottleneck is compared with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage.errors import UserError

__all__ = ["Probe", "linear_probe"]

_COARSE = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)  # strengths tried first
_HALVINGS = 8


@dataclass(frozen=True)
class Probe:
    """Logistic regression on embeddings, with the regularisation that validation preferred.

    Args:
        model: scikit-learn's classifier.
        strength: C, the inverse of the penalty.
        validation: accuracy there.
        tried: how many strengths were fitted.
    """

    model: Any
    strength: float
    validation: float
    tried: int

    def predict(self, embeddings: Tensor) -> NDArray[np.int64]:
        """Return the class of each embedding, [N]."""
        found: NDArray[np.int64] = self.model.predict(embeddings.numpy())
        return found


def linear_probe(
    embeddings: Tensor, labels: Tensor, validation: Tensor, validation_labels: Tensor
) -> Probe:
    """Fit logistic regressions with L2 penalty and keep the one that is best on validation samples.

    Strengths from 1e6 down to 1e-6 in steps of 100; then both neighbours of the best one are tried, eight times,
    each time half as far away (in the logarithm). Where two are equally good, the smaller strength is kept.

    Args:
        embeddings: of the training samples, [n, D]; not normalised.
        labels: their classes, [n], at least two different ones.
        validation: embeddings, [m, D].
        validation_labels: their classes, [m].

    Raises:
        UserError: a single class.

    Source:
        Radford et al. 2021, CLIP, appendix A.3, and the baseline of LaBo (YueYANG1996/LaBo@83ed4b0
        ``linear_probe_sklearn_main``): lbfgs, 1000 iterations, the same coarse strengths. Their bisection starts
        between a tenth and ten times the best one and ends at its left end, even where the coarse one was better.
    """
    if len(torch.unique(labels)) < 2:
        raise UserError("linear_probe: found samples of one class, allowed: of two or more")
    known: dict[float, tuple[float, Any]] = {}

    def score(power: float) -> float:
        if power not in known:
            model = _fit(embeddings, labels, 10.0**power)
            found = float((model.predict(validation.numpy()) == validation_labels.numpy()).mean())
            known[power] = (found, model)
        return known[power][0]

    best = max((float(np.log10(c)) for c in _COARSE), key=lambda p: (score(p), -p))
    step = 1.0
    for _ in range(_HALVINGS):
        best = max((best, best - step, best + step), key=lambda p: (score(p), -p))
        step /= 2
    accuracy, model = known[best]
    return Probe(model, 10.0**best, accuracy, len(known))


def _fit(embeddings: Tensor, labels: Tensor, strength: float) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # The published protocol stops after 1000 iterations, converged or not; validation decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=1000).fit(embeddings.numpy(), labels.numpy())
