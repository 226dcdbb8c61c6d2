"""PromptSRC's regularisers against a loop; the authors' numbers are in tests/models/test_prompted_clip.py."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.objectives import SelfRegulation
from tutelage.types import Batch, Clock, Output, View


def view(batch=4, classes=3, channels=5, dtype=torch.float64):
    image, seen = (F.normalize(wave(batch, channels, phase=p).to(dtype), dim=1) for p in (0.1, 0.7))
    text, said = (
        F.normalize(wave(classes, channels, phase=p).to(dtype), dim=1) for p in (0.4, 1.9)
    )
    shape = (batch, -1, -1)
    features = {
        "image": image, "image_frozen": seen, "text": text.expand(shape), "text_frozen": said.expand(shape),
        "logits_frozen": 5 * seen @ said.mT,
    }  # fmt: skip
    labels = torch.zeros(batch, dtype=torch.int64)
    return View(Output(5 * image @ text.mT, features), {}, Batch({}, labels, labels), Clock())


def oracle(v):
    """The three regularisers of a batch, element by element."""
    f, logits, frozen = v.student.features, v.student.logits, v.student.features["logits_frozen"]
    batch, classes = logits.shape
    channels = f["image"].shape[1]
    text = image = divergence = 0.0
    for i in range(classes):
        for d in range(channels):
            text += abs(float(f["text"][0, i, d] - f["text_frozen"][0, i, d]))
    for b in range(batch):
        for d in range(channels):
            image += abs(float(f["image"][b, d] - f["image_frozen"][b, d]))
        p0 = [math.exp(float(s)) for s in frozen[b]]
        p = [math.exp(float(s)) for s in logits[b]]
        for i in range(classes):
            own, other = p0[i] / sum(p0), p[i] / sum(p)
            divergence += own * (math.log(own) - math.log(other))
    return {
        "text": text / (classes * channels),
        "image": image / (batch * channels),
        "logits": divergence / (batch * classes),
    }


def test_the_batch_mean_is_the_papers_scalar():
    v, wanted = view(), oracle(view())
    for name in wanted:
        weights = dict.fromkeys(wanted, 0.0) | {name: 1.0}
        found = SelfRegulation(**weights)(v)
        assert found.shape == (4,)
        assert float(found.mean()) == pytest.approx(wanted[name], rel=1e-12)
    total = 25 * wanted["text"] + 10 * wanted["image"] + wanted["logits"]
    judged = SelfRegulation().judge(v)
    assert float(judged.loss.mean()) == pytest.approx(total, rel=1e-12)
    traces = {name: float(values.mean()) for name, values in judged.traces.items()}
    assert traces == pytest.approx(wanted, rel=1e-12)


def test_prompts_that_change_nothing_cost_nothing():
    v = view()
    f = dict(v.student.features)
    f |= {"image": f["image_frozen"], "text": f["text_frozen"]}
    same = replace(v, student=Output(f["logits_frozen"], f))
    assert torch.equal(SelfRegulation()(same), torch.zeros(4, dtype=torch.float64))


def test_a_text_that_is_the_same_for_all_samples_is_compared_once():
    f = view().student.features
    shared = losses.mean_absolute(f["text"], f["text_frozen"])
    copied = losses.mean_absolute(f["text"].clone(), f["text_frozen"].clone())
    torch.testing.assert_close(shared, copied)
    gradients = []
    for copies in (False, True):
        text = f["text"][0].clone().requires_grad_()
        rows = text.expand(4, -1, -1)
        losses.mean_absolute(rows.clone() if copies else rows, f["text_frozen"]).mean().backward()
        gradients.append(text.grad)
    torch.testing.assert_close(*gradients)


def test_gradients_are_those_of_differences():
    v = view()
    names = ("image", "text")
    leaves = [v.student.features[name].clone().requires_grad_() for name in names]
    logits = v.student.logits.clone().requires_grad_()

    def value(*given):
        features = {**v.student.features, **dict(zip(names, given[:2], strict=True))}
        return SelfRegulation()(replace(v, student=Output(given[2], features)))

    assert torch.autograd.gradcheck(value, (*leaves, logits))


def test_the_frozen_side_gets_no_gradient():
    v = view()
    frozen = {
        name: values.clone().requires_grad_()
        for name, values in v.student.features.items()
        if name.endswith("frozen")
    }
    moved = {"image": v.student.features["image"].clone().requires_grad_()}
    student = Output(v.student.logits, {**v.student.features, **frozen, **moved})
    SelfRegulation()(replace(v, student=student)).sum().backward()
    assert moved["image"].grad is not None
    assert all(values.grad is None for values in frozen.values())


def test_a_student_without_frozen_features_is_told():
    v = view()
    features = {k: f for k, f in v.student.features.items() if k != "text_frozen"}
    with pytest.raises(
        ValueError, match=r"no feature 'text_frozen' \(allowed: PromptedClip with frozen"
    ):
        SelfRegulation()(replace(v, student=Output(v.student.logits, features)))
    with pytest.raises(ValueError, match=r"image: -1\.0 must be >= 0"):
        SelfRegulation(image=-1.0)
    with pytest.raises(ValueError, match="cannot differ"):
        losses.mean_absolute(torch.zeros(2, 3), torch.zeros(2, 4))
