"""Gaps, missing values, uneven timestamps and other rates, each against what the samples must be."""

import numpy as np
import pytest

from tests.data.recordings.made import put, recordings, table
from tutelage.errors import UserError


def spans(found):
    """Return first and last row number of each window, from the channel that counts rows."""
    return found.inputs[:, 1, [0, -1]].astype(int).tolist()


def test_a_gap_cuts_and_no_window_goes_over_it(tmp_path):
    frame = table(labels=("rest",)).drop(range(55, 60)).reset_index(drop=True)
    found = recordings(frame).load(tmp_path)
    assert spans(found)[:4] == [[0, 19], [10, 29], [20, 39], [30, 49]]
    assert spans(found)[4] == [60, 79]
    assert (np.diff(found.inputs[:, 1], axis=1) == 1).all()
    assert found.starts[4] == 60
    assert "cut at 1 gaps, the longest 0.1 s (the frame: row 55)" in found.notes


def test_a_gap_up_to_a_length_is_filled(tmp_path):
    frame = table(labels=("rest",)).drop(range(55, 60)).drop(range(150, 157))
    found = recordings(frame, fill="0.1 s").load(tmp_path)
    assert [40, 59] in spans(found)
    assert [140, 159] not in spans(found)
    np.testing.assert_allclose(np.diff(found.inputs[:, 1], axis=1), 1, rtol=1e-5)
    assert "1 gaps were filled by interpolation" in found.notes


@pytest.mark.parametrize("seed", range(3))
def test_windows_of_rows_with_holes_are_made_of_rows_that_follow_each_other(tmp_path, seed):
    rng = np.random.default_rng(seed)
    frame = table(seconds=40.0, labels=("rest", "walk") * 4)
    frame.loc[rng.choice(len(frame), 25, replace=False), "x"] = np.nan
    frame = frame.drop(rng.choice(len(frame), 25, replace=False))
    found = recordings(frame, hop=1).load(tmp_path)
    whole = frame.dropna().set_index("y")["activity"]
    expected = 0
    for first in range(2000 - 19):
        rows = [row for row in range(first, first + 20) if row in whole.index]
        expected += len(rows) == 20 and len(set(whole[rows])) == 1
    assert len(found) == expected
    assert (np.diff(found.inputs[:, 1], axis=1) == 1).all()
    np.testing.assert_array_equal(found.starts, found.inputs[:, 1, 0].astype(int))


def test_a_slow_channel_among_fast_ones_is_filled_in_between(tmp_path):
    frame = table(labels=("rest",))
    frame.loc[frame.index % 5 != 0, "y"] = np.nan
    with pytest.raises(UserError, match="longest recording without a gap has 1 "):
        recordings(frame).load(tmp_path)
    found = recordings(frame, fill="0.1 s").load(tmp_path)
    np.testing.assert_allclose(found.inputs[0, 1], np.arange(20), atol=1e-5)


def test_missing_values_are_refused_where_that_is_asked(tmp_path):
    frame = table()
    frame.loc[7, "x"] = np.nan
    path = put(frame, tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a.csv: line 9: column 'x': found no value"):
        recordings(path, missing="refuse").load(tmp_path)


def test_uneven_timestamps_are_brought_to_even_steps(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(500) / 50 + rng.uniform(-0.35, 0.35, 500) / 50
    frame = table(seconds=10.0, labels=("rest",)).assign(t=time, x=np.sin(2 * np.pi * time), y=time)
    found = recordings(frame, rate=50).load(tmp_path)
    grid = time[0] + (found.starts[:, None] + np.arange(20)) / 50
    np.testing.assert_allclose(found.inputs[:, 1], grid, atol=1e-5)
    np.testing.assert_allclose(found.inputs[:, 0], np.sin(2 * np.pi * grid), atol=0.01)
    assert any("uneven timestamps" in note for note in found.notes)


def test_resampling_keeps_what_is_slow_and_filters_what_would_be_aliased(tmp_path):
    frame = table(seconds=20.0, rate=100.0, labels=("rest",))
    time = frame["t"].to_numpy()
    frame["x"] = np.sin(2 * np.pi * 3 * time) + np.sin(2 * np.pi * 33 * time)
    found = recordings(frame, resample=50, window=100, hop=100, rate=100).load(tmp_path)
    assert (found.rate, found.window, len(found)) == (50.0, 100, 10)
    inner = np.abs(np.fft.rfft(found.inputs[1:-1, 0], axis=1)) / 50  # bins of 0.5 Hz
    np.testing.assert_allclose(inner[:, 6], 1, atol=0.01)
    assert inner[:, 34].max() < 0.01  # 33 Hz would be seen at 17 Hz
    np.testing.assert_allclose(found.inputs[1:-1, 1, 0], np.arange(2, 18, 2) * 100, atol=0.5)


def test_recordings_of_two_rates_become_one(tmp_path):
    put(table(labels=("rest",)), tmp_path / "a.csv")
    put(table(rate=100.0, labels=("walk",)), tmp_path / "b.csv")
    with pytest.raises(
        UserError,
        match=r"a.csv: line 2: found a recording at 50 Hz, others are at 100; .*resample: 50",
    ):
        recordings(tmp_path / "?.csv").load(tmp_path)
    found = recordings(tmp_path / "?.csv", resample=25).load(tmp_path)
    assert np.bincount(found.labels).tolist() == [9, 9]
    assert "2 recordings were resampled to 25 Hz" in found.notes


def test_a_long_recording_is_read_in_parts_that_fit_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.data.recordings.pieces.BLOCK", 60)
    monkeypatch.setattr("tutelage.data.recordings.timing.BLOCK", 7)
    monkeypatch.setattr("tutelage.data.recordings.tables.ROWS", 13)
    found = recordings(table(labels=("rest",))).load(tmp_path)
    assert spans(found)[:7] == [[0, 19], [10, 29], [20, 39], [30, 49], [40, 59], [60, 79], [70, 89]]
    assert found.starts[5] == 60
    assert set(found.recordings.tolist()) == {0}
