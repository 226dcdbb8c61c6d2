import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tutelage.data import SyntheticImages, SyntheticWearable
from tutelage.errors import UserError

SHAPES = {"hapt": (6, 128, 50.0, 6), "pamap2": (40, 100, 100 / 3, 12),
          "geneactiv": (3, 500, 100.0, 14)}  # fmt: skip


@pytest.mark.parametrize("like", SHAPES)
def test_twins_have_the_shape_of_the_real_set_and_say_what_they_are(like):
    found = SyntheticWearable(like, subjects=2, windows=3).load()
    channels, window, rate, classes = SHAPES[like]
    assert found.inputs.shape == (2 * 3 * classes, channels, window)
    assert (found.rate, len(found.class_names), found.window) == (rate, classes, window)
    assert found.synthetic
    assert "synthetic" in found.name
    assert all("synthetic" in name for name in found.class_names)
    assert "no measurement" in found.source


def test_equal_seeds_give_equal_data_and_others_do_not():
    one, same, other = (SyntheticWearable(windows=4, seed=seed).load() for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    a, b, c = (SyntheticImages(samples=4, seed=seed).load() for seed in (1, 1, 2))
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_a_subject_does_not_depend_on_how_many_there_are():
    few, many = (SyntheticWearable(subjects=n, windows=3).load() for n in (2, 4))
    np.testing.assert_array_equal(few.inputs, many.inputs[: len(few)])


def test_overlapping_windows_share_samples():
    found = SyntheticWearable(windows=5, stride=32, subjects=2, classes=2).load()
    for a in range(len(found) - 1):
        if found.recordings[a] == found.recordings[a + 1]:
            assert found.starts[a + 1] - found.starts[a] == 32
            np.testing.assert_array_equal(found.inputs[a, :, 32:], found.inputs[a + 1, :, :-32])
    pairs = set(zip(found.recordings, found.subjects, found.labels, strict=True))
    assert len(pairs) == len(set(found.recordings)) == 4


def spectra(inputs):
    return np.abs(np.fft.rfft(inputs, axis=2)).reshape(len(inputs), -1)[:, ::2]


def test_classes_can_be_learnt_for_new_subjects_but_not_without_error():
    found = SyntheticWearable(subjects=6, windows=10, noise=1.5).load()
    new = np.isin(found.subjects, ["S1", "S2"])
    model = LogisticRegression(max_iter=300)
    model.fit(spectra(found.inputs[~new]), found.labels[~new])
    assert model.score(spectra(found.inputs[new]), found.labels[new]) > 0.6


def test_subjects_differ():
    found = SyntheticWearable(subjects=2, windows=10).load()
    one, two = (found.inputs[(found.subjects == s) & (found.labels == 0)] for s in ("S1", "S2"))
    assert np.abs(one.std(axis=(0, 2)) - two.std(axis=(0, 2))).max() > 0.05


def test_noise_is_fresh_for_every_subject_and_class():
    found = SyntheticWearable(subjects=2, windows=2, noise=50.0).load()
    flat = found.inputs.reshape(len(found), -1)
    likeness = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(likeness).max() < 0.3


def test_own_sizes_and_images():
    found = SyntheticWearable(subjects=12, windows=2, window=20, channels=2, classes=3).load()
    assert found.inputs.shape == (72, 2, 20)
    assert found.subjects[0] == "S01"
    images = SyntheticImages(classes=3, samples=10, size=16, test=0.3).load()
    assert images.inputs.shape == (30, 3, 16, 16)
    assert np.bincount(images.labels[images.official_test]).tolist() == [3, 3, 3]
    assert images.synthetic
    means = [images.inputs[images.labels == k].std() for k in range(3)]
    assert min(means) > 10


@pytest.mark.parametrize("name", ["subjects", "windows", "stride", "window", "channels", "classes"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(UserError, match=f"SyntheticWearable.{name}: found 0"):
        SyntheticWearable(**{name: 0}).load()


def test_other_wrong_arguments_are_refused():
    with pytest.raises(UserError, match="found 'wisdm', allowed are hapt, pamap2, geneactiv"):
        SyntheticWearable("wisdm").load()
    with pytest.raises(UserError, match=r"SyntheticImages.size: found 0"):
        SyntheticImages(size=0).load()
    with pytest.raises(UserError, match=r"SyntheticImages.test: found 1"):
        SyntheticImages(test=1.0).load()
