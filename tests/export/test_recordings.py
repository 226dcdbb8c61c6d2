import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.export.small import facts
from tests.export.test_stream import Loudest, Torch
from tutelage.errors import UserError
from tutelage.export.recordings import predictions_of, rows_of, write_predictions


def recording(
    path: Path, n: int = 300, columns: tuple[str, ...] = ("z", "t", "X [g]", "y")
) -> np.ndarray:
    signal = np.random.default_rng(0).normal(size=(3, n)).astype(np.float32)
    values = {"t": np.arange(n), "x": signal[0], "y": signal[1], "z": signal[2]}
    pd.DataFrame({name: values[name[0].lower()] for name in columns}).to_csv(path, index=False)
    return signal


def test_channels_are_found_by_name_whatever_their_order_and_unit(tmp_path: Path) -> None:
    signal = recording(tmp_path / "a.csv")
    blocks = list(rows_of(tmp_path / "a.csv", facts(), "a.csv"))
    assert np.allclose(np.concatenate(blocks, axis=1), signal, atol=1e-6)


def test_a_recording_is_predicted_in_seconds(tmp_path: Path) -> None:
    signal = recording(tmp_path / "a.csv")
    model = Torch()
    table = predictions_of(model, tmp_path / "a.csv")
    starts = np.arange(0, 300 - 63, 32)
    offline = model.predict(np.stack([signal[:, at : at + 64] for at in starts]))
    assert table["class"].tolist() == [p.name for p in offline]
    assert table["start"].tolist() == pytest.approx((starts / 50).tolist())
    assert table["end"].tolist() == pytest.approx(((starts + 64) / 50).tolist())


def test_a_recording_at_another_rate_is_refused(tmp_path: Path) -> None:
    recording(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"--rate: found 100 samples per second; allowed: about 50"):
        predictions_of(Loudest(), tmp_path / "a.csv", rate=100)
    assert len(predictions_of(Loudest(), tmp_path / "a.csv", rate=49)) == 8
    times = np.cumsum(np.random.default_rng(0).normal(0.02, 0.002, 300))  # a clock that trembles
    signal = {"t (s)": times} | dict.fromkeys("xyz", np.ones(300))
    pd.DataFrame(signal).to_csv(tmp_path / "b.csv", index=False)
    assert len(predictions_of(Loudest(), tmp_path / "b.csv")) == 8


def test_arrays_of_windows_and_of_a_recording(tmp_path: Path) -> None:
    windows = np.random.default_rng(0).normal(size=(5, 3, 64))
    np.save(tmp_path / "w.npy", windows)
    np.save(tmp_path / "r.npy", windows[0])
    assert len(predictions_of(Loudest(), tmp_path / "w.npy")) == 5
    assert len(predictions_of(Loudest(), tmp_path / "r.npy")) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x,y\n1,2\n", r"a\.csv:1: unknown channel 'z \(g\)'"),
        ("1,2\n3,4\n", r"a\.csv:1: found 2 columns without names; allowed: 3"),
        (
            "x,y,z\n1,2,3\n1,two,3\n",
            r"a\.csv:3: found '1,two,3'; allowed: a number for every channel",
        ),
        ("x,y,z\n1,2\n", r"a\.csv:2: found '1,2'"),
        ("x,y,z\n1,nan,3\n", r"a\.csv:2: holds NaN"),
        ("x,y,z\n1,2,3\n", r"1 samples; one window of the model is 64"),
        (
            "x,y (m/s2),z\n1,2,3\n",
            r"a\.csv:1: found 'y \(m/s2\)'; the model reads 'y \(g\)'",
        ),
        (
            "time [ms],x,y,z\n" + "".join(f"{10 * n},1,2,3\n" for n in range(80)),
            r"a\.csv:1: column 'time \[ms\]': found 100 samples per second; allowed: about 50 Hz",
        ),
    ],
)
def test_bad_recordings_are_told_with_their_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        predictions_of(Loudest(), path)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_bad_arrays_are_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        predictions_of(Loudest(), path)


def test_what_comes_in_is_read_line_by_line() -> None:
    blocks = rows_of(io.StringIO("1,2,3\n4,5,6\n"), facts(), "standard input")
    assert [block.tolist() for block in blocks] == [[[1], [2], [3]], [[4], [5], [6]]]


def test_tables_are_written_as_told(tmp_path: Path) -> None:
    table = pd.DataFrame({"start": [0.0], "end": [1.0], "class": ["sit"], "probability": [0.5]})
    write_predictions(table, tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv").equals(table)
    with pytest.raises(UserError, match=r"found '\.xlsx'; allowed: \.csv, \.parquet"):
        write_predictions(table, tmp_path / "a.xlsx")
