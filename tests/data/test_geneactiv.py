import numpy as np
import pytest
from scipy.io import savemat

from tutelage.data import GeneActiv
from tutelage.errors import UserError


def fill(folder, window=500, subjects=("3", "12"), classes=("1", "2", "10"), turned=False):
    rng = np.random.default_rng(0)
    wanted = {}
    for subject in subjects:
        for kind in classes:
            for number in (1, 2, 11):
                values = rng.normal(size=(3, window))
                path = folder / f"S{subject}" / f"ID-{subject}_CLASS-{kind}_Window-{number}.mat"
                path.parent.mkdir(parents=True, exist_ok=True)
                savemat(path, {"xw": values if turned else values.T, "other": 1})
                wanted[subject, kind, number] = values.astype(np.float32)
    return wanted


@pytest.mark.parametrize("window", [500, 1000])
@pytest.mark.parametrize("turned", [False, True])
def test_reads_every_window_in_natural_order(tmp_path, window, turned):
    wanted = fill(tmp_path / "raw", window, turned=turned)
    found = GeneActiv(str(tmp_path / "raw"), window).load(tmp_path)
    keys = sorted(wanted, key=lambda key: (int(key[0]), int(key[1]), key[2]))
    assert found.subjects.tolist() == [key[0] for key in keys]
    assert found.class_names == ("class 1", "class 2", "class 10")
    assert [found.class_names[label] for label in found.labels] == [f"class {k[1]}" for k in keys]
    np.testing.assert_array_equal(found.inputs, np.stack([wanted[key] for key in keys]))
    assert (found.rate, found.window, found.channel_names[2]) == (100.0, window, "acc-z")
    assert found.units == ("g",) * 3


def test_another_stored_length_is_refused_and_names_both(tmp_path):
    fill(tmp_path / "raw", 500)
    with pytest.raises(UserError, match="asked are 1000 samples, but the stored windows have 500"):
        GeneActiv(str(tmp_path / "raw"), 1000).load(tmp_path)
    odd = tmp_path / "raw" / "S3" / "ID-3_CLASS-1_Window-2.mat"
    savemat(odd, {"xw": np.zeros((499, 3))})
    with pytest.raises(UserError, match=r"have 499 \(ID-3_CLASS-1_Window-2"):
        GeneActiv(str(tmp_path / "raw"), 500).load(tmp_path)


@pytest.mark.parametrize("shape", [(500, 4), (500,), (3, 3), (2, 500, 3)])
def test_other_shapes_are_refused(tmp_path, shape):
    savemat(tmp_path / "ID-1_CLASS-1_Window-1.mat", {"xw": np.zeros(shape)})
    with pytest.raises(UserError, match="found xw of shape"):
        GeneActiv(str(tmp_path)).load(tmp_path / "cache")


def test_wrong_files_are_refused(tmp_path):
    loader = GeneActiv(str(tmp_path / "raw"))
    with pytest.raises(UserError, match="found no folder"):
        loader.load(tmp_path)
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match=r"found no .mat files"):
        loader.load(tmp_path)
    path = tmp_path / "raw" / "ID-1_CLASS-1_Window-1.mat"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no readable MATLAB"):
        loader.load(tmp_path)
    savemat(path, {"x": np.zeros((500, 3))})
    with pytest.raises(UserError, match="no key 'xw'"):
        loader.load(tmp_path)
    savemat(path, {"xw": np.zeros((500, 3))})
    assert len(loader.load(tmp_path)) == 1
    (tmp_path / "raw" / "b").mkdir()
    savemat(tmp_path / "raw" / "b" / path.name, {"xw": np.zeros((500, 3))})
    with pytest.raises(UserError, match="two sub-folders"):
        loader.load(tmp_path)
    savemat(tmp_path / "raw" / "notes.mat", {"xw": np.zeros((500, 3))})
    with pytest.raises(UserError, match=r"notes\.mat: found another name"):
        loader.load(tmp_path)


def test_class_names_and_window_are_checked(tmp_path):
    fill(tmp_path / "raw")
    folder = str(tmp_path / "raw")
    names = ("lying", "walking", "stairs")
    assert GeneActiv(folder, class_names=names).load(tmp_path).class_names == names
    with pytest.raises(UserError, match="found 2 names, allowed are 3"):
        GeneActiv(folder, class_names=names[:2]).load(tmp_path)
    with pytest.raises(UserError, match=r"GeneActiv.window: found 750"):
        GeneActiv(folder, 750).load(tmp_path)


def test_broken_values_are_refused(tmp_path):
    savemat(tmp_path / "ID-1_CLASS-1_Window-1.mat", {"xw": np.full((500, 3), np.nan)})
    with pytest.raises(UserError, match="NaN"):
        GeneActiv(str(tmp_path)).load(tmp_path / "cache")
