"""Embeddings as a modality: what the encoder says, once, and again only for another encoder."""

import json
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tests.vlm.small import image_folder, signal_encoder, signal_folder
from tutelage.errors import UserError
from tutelage.modalities import Embedding, represent
from tutelage.modalities.cache import describe
from tutelage.vlm import OpenClip, SignalText
from tutelage.vlm.base import EncoderSource

pytest.importorskip("open_clip")


class Counted(EncoderSource):
    """One encoder, kept, so that the test can ask it how much it was asked."""

    def __init__(self, content="one"):
        self.content = content
        self.encoder = signal_encoder()

    @property
    def fingerprint(self):
        return self.content

    def load(self):
        return self.encoder


def signals(count=20):
    return np.random.default_rng(0).normal(size=(count, 2, 32)).astype(np.float32)


def test_it_is_what_the_encoder_says_of_each_sample():
    source = Counted()
    modality = Embedding(source)
    found = modality.fit_transform(signals())
    with torch.no_grad():
        x = torch.from_numpy(signals())
        alone = [source.encoder.encode_inputs(source.encoder.prepare(one[None])) for one in x]
    assert found.shape == (20, 16)
    assert found.dtype == np.float32
    assert np.allclose(found, torch.cat(alone).numpy(), atol=1e-5)
    assert modality.fitted() == {"size_": 16}
    assert np.array_equal(clone(modality).restore({"size_": 16}).transform(signals()), found)
    assert np.array_equal(pickle.loads(pickle.dumps(modality)).transform(signals()), found)
    assert "_network" not in modality.__getstate__()


def test_bytes_are_fractions_of_255(tmp_path):
    modality = Embedding(OpenClip(str(image_folder(tmp_path / "clip"))))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 20, 16), np.uint8)
    found = modality.fit_transform(pixels)
    assert np.allclose(found, modality.transform(pixels / 255), atol=1e-5)


def test_a_second_run_makes_no_encoder_calls(tmp_path):
    def run(source, train=None):
        return represent(
            Embedding(source), signals(), source="data", train=train, folder=tmp_path, chunk=8
        )

    first = Counted()
    made = run(first)
    assert first.encoder.encoded == {"inputs": 20, "texts": 0}
    assert made.shape == (20, 16)
    again = Counted()
    assert np.array_equal(run(again), made)
    assert run(again, np.arange(5)).filename == made.filename  # nothing is learned from a split
    assert again.encoder.encoded == {"inputs": 0, "texts": 0}
    other = Counted("two")
    assert run(other).filename != made.filename
    assert other.encoder.encoded["inputs"] >= 20
    about = dict(describe(made))
    assert about["parameters"] == {"encoder": {"class": "Counted", "fingerprint": "one"}}
    json.dumps(about)


def test_other_inputs_are_refused(tmp_path):
    signal = Embedding(SignalText(str(signal_folder(tmp_path / "pair"))))
    with pytest.raises(UserError, match="reads signals, but the input is a image"):
        signal.fit(np.zeros((2, 3, 8, 8), np.float32))
    with pytest.raises(UserError, match=r"\[2, 32\]"):
        signal.fit(np.zeros((2, 2, 30), np.float32))
    with pytest.raises(UserError, match="no samples"):
        signal.fit(np.zeros((0, 2, 32), np.float32))
    signal.fit(signals())
    broken = signals()
    broken[3, 0, 0] = np.nan
    with pytest.raises(UserError, match="NaN"):
        signal.transform(broken)
    with pytest.raises(UserError, match="real numbers"):
        signal.transform(np.full((2, 2, 32), "x"))


def test_an_encoder_set_after_fit_is_the_one_that_is_asked():
    first, second = Counted("one"), Counted("two")
    modality = Embedding(first).fit(signals())
    modality.transform(signals())
    modality.set_params(encoder=second)
    with pytest.raises(NotFittedError):
        modality.transform(signals())
    modality.fit(signals()).transform(signals())
    assert first.encoder.encoded["inputs"] == second.encoder.encoded["inputs"] == 20
