"""The linear probe against plain scikit-learn, and texts that are encoded once."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.vlm.small import SIGNALS, signal_encoder, signal_folder
from tutelage.errors import UserError
from tutelage.vlm import SignalText
from tutelage.vlm.base import EncoderSource
from tutelage.vlm.probe import linear_probe
from tutelage.vlm.texts import Remembering


def samples(count, seed):
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
    return centres[labels] + 1.5 * torch.randn(count, 5, generator=random), labels


def test_no_coarse_strength_is_better_on_validation():
    train, validation = samples(60, 0), samples(90, 1)
    probe = linear_probe(*train, *validation)
    scores = []
    for strength in 10.0 ** np.arange(-6, 7, 2):
        model = LogisticRegression(C=strength, max_iter=1000).fit(*(x.numpy() for x in train))
        scores.append(model.score(*(x.numpy() for x in validation)))
    assert probe.validation >= max(scores)
    assert (probe.predict(validation[0]) == validation[1].numpy()).mean() == probe.validation
    assert 7 < probe.tried <= 7 + 16
    refit = LogisticRegression(C=probe.strength, max_iter=1000).fit(*(x.numpy() for x in train))
    assert np.allclose(refit.coef_, probe.model.coef_)


def test_one_class_is_refused():
    inputs, _ = samples(4, 0)
    with pytest.raises(UserError, match="one class"):
        linear_probe(inputs, torch.zeros(4).long(), inputs, torch.zeros(4).long())


class Counted(EncoderSource):
    """A source that tells how often it was loaded."""

    def __init__(self):
        self.loads = 0

    fingerprint = "counted"

    def load(self):
        self.loads += 1
        return signal_encoder()


def test_texts_are_encoded_once(tmp_path):
    source = Counted()
    kept = Remembering(source, tmp_path / "texts")
    first = kept.embed_texts(["x", "y"])
    assert torch.equal(kept.embed_texts(["x", "y"]), first)
    assert source.loads == 1
    assert torch.equal(kept.embed_texts(["y", "x"]), first.flip(0))
    assert source.loads == 2
    other = Remembering(
        SignalText(str(signal_folder(tmp_path / "pair", seed=1))), tmp_path / "texts"
    )
    assert not torch.equal(other.embed_texts(["x", "y"]), first)
    for file in (tmp_path / "texts").iterdir():
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(kept.embed_texts(["x", "y"]), first)
    assert kept.load().embed_dim == SIGNALS.embed_dim
    assert kept.fingerprint == "counted"
