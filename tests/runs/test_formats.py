"""Every file of arrays comes back as it was written, and damage is told in one sentence."""

import subprocess
import sys

import numpy as np
import pytest

from tutelage.errors import UserError
from tutelage.runs.example import ExampleWindow
from tutelage.runs.explanations import ExplanationHeader, Explanations, StoredStream, StreamHeader
from tutelage.runs.inspection import Inspection
from tutelage.runs.predictions import Predictions, SampleTraces


def predictions():
    logits = np.array([[1.0, 0.5, -1.0], [0.25, 2.0, 0.0]], np.float32)
    return Predictions.of(np.array([4, 7]), np.array([0, 2]), logits, np.array(["S1", "S2"]))


def inspection():
    inputs = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    values = {"bind.read": np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)}
    return Inspection(np.array([4, 7]), np.array([0, 2]), np.array([1]), inputs, values)


def example():
    signal = np.arange(6, dtype=np.float32).reshape(2, 3)
    images = {"pi": np.zeros((2, 4, 4), np.uint8)}
    diagram = (np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    return ExampleWindow(signal, 50.0, ("x", "y"), "walking", "S1", images, diagram, 1)


def explanations():
    stream = StoredStream(
        names=("round", "long"), space=(1,), concepts=np.array([[1], [0]]),
        attention=np.ones((2, 1, 1), np.float32), contributions=np.ones((2, 1, 1, 2), np.float32),
        others=np.zeros((2, 2), np.float32), without=np.zeros((2, 1, 3), np.float32),
        use=np.array([0.5, 0.25], np.float32), speaking=np.zeros((3, 1), np.int64),
        by_class=np.zeros((3, 1), np.float32), shown=np.array([0]), gallery=np.array([[4, 7]]),
        gallery_labels=np.array([[0, 2]]), heat=None, annotated=None,
    )  # fmt: skip
    logits = np.array([[1.0, 0.5, -1.0], [0.25, 2.0, 0.0]], np.float32)
    classes = np.array([[0, 1], [1, 2]])
    inputs = {4: np.zeros((1, 8), np.float32), 7: np.ones((1, 8), np.float32)}
    rest = np.zeros((2, 2), np.float32)
    return Explanations(np.array([4, 7]), np.array([0, 2]), logits, classes, rest, {"text": stream},
                        inputs, 20, {"deletion": 0.5})  # fmt: skip


FILES = {
    "predictions-test.npz": (predictions, Predictions.load),
    "traces.npz": (lambda: SampleTraces(np.array([1, 2]), {"soft.weight.sig": np.array([0.5, 1.0])}),
                   SampleTraces.load),
    "inspection.npz": (inspection, lambda path: Inspection.load(path, 3, None)),
    "explanations.npz": (explanations, lambda path: Explanations.load(path, 3, None)),
    "example.npz": (example, ExampleWindow.read),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_is_read(tmp_path, name):
    made, read = FILES[name]
    made().save(tmp_path / name)
    same(vars(made()), vars(read(tmp_path / name)))
    assert [path.name for path in tmp_path.iterdir()] == [name]  # nothing unfinished is left


def same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            same(value, b[key])
        elif isinstance(value, StoredStream):
            same(vars(value), vars(b[key]))
        elif value is None or isinstance(value, str | float | int):
            assert value == b[key], key
        else:
            np.testing.assert_array_equal(np.asarray(value), np.asarray(b[key]), err_msg=key)


@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.99])
@pytest.mark.parametrize("name", FILES)
def test_an_empty_or_cut_file_is_one_sentence(tmp_path, name, part):
    made, read = FILES[name]
    path = tmp_path / name
    made().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(UserError, match=r"not a file of|not an example") as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"no archive", b"PK\x03\x04 and nothing", b"\x93NUMPY\x01\x00"]
)
def test_something_else_under_its_name_is_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a file of|not an example") as caught:
        FILES[name][1](path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_each_array_may_be_missing_or_text(tmp_path, name):
    made, read = FILES[name]
    path = tmp_path / name
    made().save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    optional = {"soft.weight.sig", "bind.read", "image-pi"}
    for key in arrays:
        np.savez(path, **{k: v for k, v in arrays.items() if k != key})
        if key not in optional:
            with pytest.raises(UserError, match=key.rpartition(".")[2]):
                read(path)
        np.savez(path, **arrays | {key: np.array(["text"])})
        if key not in ("subjects", "index", "channel_names", "class_name", "subject"):
            with pytest.raises(UserError):
                read(path)


ODD = {
    "one value": lambda a: np.array(3.0),
    "empty": lambda a: a[:0] if a.ndim else a,
    "flat": lambda a: a.ravel(),
    "another axis": lambda a: a[..., None],
    "negative": lambda a: np.full(a.shape, -5),
    "not finite": lambda a: np.full(a.shape, np.inf),
    "huge": lambda a: np.full(a.shape, 2**62),
    "complex": lambda a: np.full(a.shape, 1j),
    "bytes": lambda a: np.full(a.shape, b"\xff"),
    "time": lambda a: np.full(a.shape, np.datetime64("2020-01-01")),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that are cast
@pytest.mark.parametrize("name", FILES)
def test_an_odd_array_is_read_or_one_sentence(tmp_path, name):
    made, read = FILES[name]
    path, refused = tmp_path / name, 0
    made().save(path)
    with np.load(path) as stored:
        arrays = dict(stored)
    for key, values in arrays.items():
        for change in ODD.values():
            np.savez(path, **arrays | {key: change(values)})
            try:
                read(path)
            except UserError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
    assert refused


def test_a_header_says_which_streams_there_are(tmp_path):
    header = ExplanationHeader(
        {"text": StreamHeader(("round", "long"), (1,))}, 20, {"deletion": 0.5}
    )
    explanations().save(tmp_path / "explanations.npz")
    with np.load(tmp_path / "explanations.npz") as stored:
        arrays = dict(stored)
    again = Explanations.of(header, arrays)
    same(vars(again), vars(explanations()))


def test_predictions_whose_arrays_do_not_belong_together(tmp_path):
    path = tmp_path / "predictions-test.npz"
    Predictions.of(np.arange(3), np.zeros(2, int), np.zeros((3, 2)), None).save(path)
    with pytest.raises(UserError, match=r"labels is \(2,\), but there are 3 samples"):
        Predictions.load(path)


def test_reading_runs_back_needs_no_torch():
    code = (
        "import sys, tutelage.study.status, tutelage.study.contrasts, tutelage.study.comparison, "
        "tutelage.runs.ledger, tutelage.runs.traces, tutelage.runs.frames, tutelage.runs.search; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torch', 'torchvision', 'torchmetrics', 'lightning_fabric'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
