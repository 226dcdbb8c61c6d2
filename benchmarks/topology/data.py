"""Inputs of the benchmark: distinct signals and pictures shaped like those of the publications."""

import numpy as np
from sklearn.datasets import load_sample_images


def pamap2_like(count: int, seed: int = 0) -> np.ndarray:
    """Return windows of 100 samples at 33 Hz, scaled to [0, 1], [count, 1, 100], float32.

    Half of them are quiet channels (temperature, heart rate: small steps), half move like a limb.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(100) / 33.3
    out = np.empty((count, 100))
    for n in range(count):
        amplitude = rng.uniform(0.01, 0.2, 4) * (1 if n % 8 else 0.05)
        waves = [
            a * np.sin(2 * np.pi * f * time + p)
            for a, f, p in zip(
                amplitude, rng.uniform(0.3, 6, 4), rng.uniform(0, 6.3, 4), strict=True
            )
        ]
        noise = rng.uniform(0.002, 0.02) * rng.normal(size=100)
        out[n] = rng.uniform(0.3, 0.7) + np.sum(waves, axis=0) + noise
    return np.clip(out, 0, 1)[:, None].astype(np.float32)


def geneactiv_like(count: int, seed: int = 1) -> np.ndarray:
    """Return windows of 500 samples at 100 Hz, z-normalised, [count, 1, 500], float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(500) / 100
    out = np.empty((count, 500))
    for n in range(count):
        waves = [
            a * np.sin(2 * np.pi * f * time + p)
            for a, f, p in zip(
                rng.uniform(0.1, 1, 5), rng.uniform(0.5, 12, 5), rng.uniform(0, 6.3, 5), strict=True
            )
        ]
        out[n] = np.sum(waves, axis=0) + rng.uniform(0.05, 0.3) * rng.normal(size=500)
    out = (out - out.mean(1, keepdims=True)) / out.std(1, keepdims=True)
    return out[:, None].astype(np.float32)


def photo_patches(count: int, side: int = 32, seed: int = 2) -> np.ndarray:
    """Return patches of the two photographs that come with scikit-learn, [count, 1, side, side]."""
    rng = np.random.default_rng(seed)
    photos = load_sample_images().images
    out = np.empty((count, 1, side, side), np.float32)
    for n in range(count):
        photo = photos[rng.integers(2)]
        i, j = (rng.integers(s - side) for s in photo.shape[:2])
        out[n, 0] = photo[i : i + side, j : j + side, rng.integers(3)] / 255
    return out


def uniform_noise(count: int, side: int = 32, seed: int = 3) -> np.ndarray:
    """Return pictures without any structure, [count, 1, side, side], float32."""
    return np.random.default_rng(seed).random((count, 1, side, side), np.float32)
