"""An array that was made elsewhere is known by what it holds, not by where it lies."""

import os

import numpy as np

from tutelage.modalities.stored import Stored


def test_other_values_under_the_same_path_are_other_values(tmp_path):
    path = tmp_path / "x.npy"
    contents = []
    for number in (0.0, 1.0):
        np.save(path, np.full((4, 3), number))
        os.utime(path, ns=(int(number), int(number)))
        contents.append(Stored(str(path)).content)
    np.save(tmp_path / "y.npy", np.full((4, 3), 1.0))
    (tmp_path / "y.npy").rename(path)
    assert contents[0] != contents[1] == Stored(str(path)).content


def test_a_file_that_is_not_there_has_no_content(tmp_path):
    assert Stored(str(tmp_path / "x.npy")).content == ""
