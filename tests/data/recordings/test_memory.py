"""Memory holds a part of a recording, however long it is."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tests.data.recordings.made import put, recordings, table


def peak(path, home):
    loader = recordings(path, window=50, hop=50)
    tracemalloc.start()
    try:
        dataset = loader.load(home)
        return tracemalloc.get_traced_memory()[1], dataset
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_four_times_the_rows_take_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.data.recordings.tables.ROWS", 5_000)
    monkeypatch.setattr("tutelage.data.recordings.pieces.BLOCK", 10_000)
    monkeypatch.setattr("tutelage.data.recordings.timing.BLOCK", 10_000)
    monkeypatch.setattr("tutelage.data.dataset._CHUNK", 1 << 18)
    frame = table(seconds=1000.0)
    short = put(frame, tmp_path / "short.csv")
    long = pd.concat([frame.assign(t=frame["t"] + 1000 * n, x=frame["x"] + n) for n in range(4)])
    long = put(long, tmp_path / "long.csv")
    peak(short, tmp_path / "first")  # what is imported once is no part of the measure
    small, _ = peak(short, tmp_path / "home")
    large, dataset = peak(long, tmp_path / "home")
    assert long.stat().st_size > 6e6
    assert large < 1.3 * small < long.stat().st_size
    assert len(dataset) == 4 * 1000
    np.testing.assert_allclose(
        dataset.inputs[-1, 0], frame["x"].to_numpy()[-50:] + 3, rtol=1e-5, atol=1e-5
    )
