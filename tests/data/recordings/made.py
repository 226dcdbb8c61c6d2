"""Small recordings: each channel is a known function of time, so that every window can be checked."""

from pathlib import Path

import numpy as np
import pandas as pd

from tutelage.data import Recordings


def table(seconds=4.0, rate=50.0, labels=("rest", "walk"), hz=2.0):
    """Return t, x (a sine), y (the number of the row) and activity (equal parts of the recording)."""
    rows = round(seconds * rate)
    time = np.arange(rows) / rate
    parts = np.repeat(labels, -(-rows // len(labels)))[:rows]
    return pd.DataFrame(
        {
            "t": time,
            "x": np.sin(2 * np.pi * hz * time),
            "y": np.arange(float(rows)),
            "activity": parts,
        }
    )


def put(frame, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, **options)
    return path


def recordings(files, **arguments):
    """Return the loader of such tables: windows of 20 samples, hop 10."""
    usual = {
        "files": str(files) if isinstance(files, Path) else files, "channels": ("x", "y"),
        "label": "activity", "time": "t", "window": 20, "hop": 10,
    }  # fmt: skip
    return Recordings(**{**usual, **arguments})
