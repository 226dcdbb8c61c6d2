"""Writers of small files in the very formats of the official archives."""

from pathlib import Path

import numpy as np

ACTIVITIES = [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17, 24, 9, 10, 11, 18, 19, 20, 8]


def write_pamap2(
    folder: Path, subjects: list[int], rows: int = 3000, activities: list[int] = ACTIVITIES
) -> None:
    """Write subject files of the Protocol form: 54 columns, 100 Hz, NaN where a sensor is silent."""
    folder.mkdir(parents=True, exist_ok=True)
    for subject in subjects:
        lines = [
            " ".join("NaN" if np.isnan(value) else f"{value:.6g}" for value in row)
            for row in _pamap2_rows(rows, subject, activities)
        ]
        (folder / f"subject{subject}.dat").write_text("\n".join(lines) + "\n")


def _pamap2_rows(rows: int, seed: int, activities: list[int]) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 40, (rows, 54))
    values[:, 0] = np.arange(rows) / 100
    edges = np.sort(rng.choice(rows, 14, replace=False))
    values[:, 1] = rng.choice(activities, 15)[np.searchsorted(edges, np.arange(rows), "right")]
    values[:, 2] = rng.integers(60, 230, rows)
    values[np.arange(rows) % 11 != 7, 2] = np.nan  # heart rate comes at about 9 Hz
    values[: rows // 9, 2] = np.nan
    values[:, 3:][rng.random((rows, 51)) < 0.05] = np.nan
    return values.tolist()
