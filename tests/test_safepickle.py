import io
import os
import pickle

import numpy as np
import pytest

from tutelage import safepickle
from tutelage.errors import UserError


class Attack:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def old(thing, protocol=2):
    """Pickle as an old NumPy did."""
    return io.BytesIO(pickle.dumps(thing, protocol=protocol).replace(b"numpy._core", b"numpy.core"))


@pytest.mark.parametrize("pandas", [False, True])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "attack",
    [
        Attack(os.system, "touch never"),
        Attack(eval, "1"),
        Attack(getattr, "a", "upper"),
        Attack(io.open, "never", "w"),
        Attack(np.load, "never"),
    ],
)
def test_functions_are_never_called(attack, pandas, protocol, tmp_path):
    data = io.BytesIO(pickle.dumps({"a": attack}, protocol=protocol))
    with pytest.raises(UserError, match="not allowed; nothing was executed"):
        safepickle.read(data, pandas=pandas)


def test_pandas_names_need_to_be_asked_for():
    text = b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR."
    with pytest.raises(UserError, match="copy_reg"):
        safepickle.read(io.BytesIO(text))
    with pytest.raises(UserError, match="no pandas frame"):
        safepickle.read(io.BytesIO(text), pandas=True)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f8", "<i8", "|u1", "|b1", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(kind, protocol, order):
    array = np.asarray(np.arange(12).reshape(3, 4), dtype=kind, order=order)
    found = np.asarray(safepickle.read(old([array], protocol))[0])
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_object_arrays_hold_admitted_things_only():
    names = np.array(["acc-x", None, 3], dtype=object)
    assert np.asarray(safepickle.read(old(names))).tolist() == ["acc-x", None, 3]
    bad = np.array([Attack(os.system, "true")], dtype=object)
    with pytest.raises(UserError, match="not allowed"):
        safepickle.read(old(bad))


@pytest.mark.parametrize("kind", ["V8", "f4,i4", "O,O", "M8[s]", "U3"])
def test_other_array_types_are_refused(kind):
    with pytest.raises(UserError, match="allowed are plain numbers"):
        safepickle.read(old(np.zeros(2, kind)))


def test_byte_strings_of_python_2():
    assert safepickle.read(old({"k": b"\x00\xff"})) == {"k": b"\x00\xff"}
    text = b"c_codecs\nencode\n(Vabc\nVutf-7\ntR."
    with pytest.raises(UserError, match="'utf-7'"):
        safepickle.read(io.BytesIO(text))


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x02", pickle.dumps([1])[:-2]])
def test_broken_files_give_one_sentence(data):
    with pytest.raises(UserError, match="cannot be read"):
        safepickle.read(io.BytesIO(data))


@pytest.mark.parametrize("thing", [None, {"_data": 1}, [1, 2]])
def test_only_frames_are_frames(thing):
    with pytest.raises(UserError, match="no pandas frame"):
        safepickle.frame(thing)
