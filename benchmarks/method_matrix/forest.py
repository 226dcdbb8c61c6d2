"""The baseline without a network: a random forest on summary and spectral features, on the same splits."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from tutelage.recipe.fold import Fold


def features(windows: np.ndarray) -> np.ndarray:
    """Return [N, F] from [N, channels, time]: moments, quantiles, steps and the magnitude spectrum per channel."""
    x = windows.astype(np.float64)
    parts = [x.mean(2), x.std(2), x.min(2), x.max(2), np.abs(np.diff(x, axis=2)).mean(2)]
    parts += [np.quantile(x, q, axis=2) for q in (0.1, 0.25, 0.5, 0.75, 0.9)]
    spectrum = np.abs(np.fft.rfft(x - x.mean(2, keepdims=True), axis=2))[:, :, 1:33]
    return np.concatenate([*parts, spectrum.reshape(len(x), -1)], axis=1)


def accuracy(data: Fold, seed: int) -> float:
    """Return the test accuracy of a forest trained on the training split alone."""
    x = features(np.asarray(data.dataset.inputs))
    split, labels = data.split, data.dataset.labels
    forest = RandomForestClassifier(300, n_jobs=-1, random_state=seed)
    forest.fit(x[split.train], labels[split.train])
    return float((forest.predict(x[split.test]) == labels[split.test]).mean())
