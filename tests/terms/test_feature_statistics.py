"""IFAlign against a loop, its shares, its invariants; and the two ways to normalise PromptKD's divergence."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.doubles.waves import wave
from tutelage import losses
from tutelage.terms import FeatureStatistics, SoftTargets
from tutelage.types import Batch, Clock, Facts, Output, View


def features(batch=4, channels=5, places=(), dtype=torch.float64):
    return [
        wave(batch, channels, *places, phase=p).to(dtype) * scale + shift
        for p, scale, shift in ((0.1, 1.0, 0.0), (0.8, 0.6, 0.3))
    ]


def oracle(student, teacher, axis="batch", reduction="sum"):
    """Return the paper's scalar, number by number."""
    rows = [
        x.flatten(2).tolist() if x.ndim > 2 else x.unsqueeze(2).tolist() for x in (student, teacher)
    ]

    def statistics(values):
        mean = sum(values) / len(values)
        return mean, sum((v - mean) ** 2 for v in values) / len(values)

    if axis == "channel":
        pairs = [
            [statistics([v for channel in own for v in channel]) for own in side] for side in rows
        ]
    else:
        pairs = [
            [statistics([v for own in side for v in own[c]]) for c in range(len(side[0]))]
            for side in rows
        ]
    total = sum(abs(s[k] - t[k]) for s, t in zip(*pairs, strict=True) for k in (0, 1))
    return total / (len(pairs[0]) if axis == "channel" or reduction == "mean" else 1)


@pytest.mark.parametrize("places", [(), (3,), (2, 3)])
@pytest.mark.parametrize(
    ("axis", "reduction"), [("batch", "sum"), ("batch", "mean"), ("channel", "sum")]
)
def test_the_batch_mean_is_the_papers_scalar(places, axis, reduction):
    s, t = features(places=places)
    found = losses.feature_statistics(s, t, axis=axis, reduction=reduction)
    assert found.shape == (4,)
    assert float(found.mean()) == pytest.approx(oracle(s, t, axis, reduction), rel=1e-12)


def test_positions_may_differ_in_number():
    s, t = features(places=(3,))[0], features(places=(2, 2))[1]
    assert float(losses.feature_statistics(s, t).mean()) == pytest.approx(oracle(s, t), rel=1e-12)


@pytest.mark.parametrize("axis", ["batch", "channel"])
def test_equal_features_are_apart_by_nothing(axis):
    s, _ = features()
    assert torch.equal(losses.feature_statistics(s, s, axis=axis), torch.zeros(4, dtype=s.dtype))


def test_the_order_of_the_samples_does_not_count():
    s, t = features()
    order = torch.tensor([2, 0, 3, 1])
    found = losses.feature_statistics(s, t)
    torch.testing.assert_close(losses.feature_statistics(s[order], t), found[order])
    torch.testing.assert_close(losses.feature_statistics(s, t[order]), found)


def test_of_one_sample_the_variance_is_zero():
    s, t = (x[:1].float().requires_grad_() for x in features())
    found = losses.feature_statistics(s, t)
    assert float(found.detach()) == pytest.approx(float((s - t).abs().sum().detach()), rel=1e-6)
    found.sum().backward()
    assert bool(s.grad.isfinite().all())
    assert t.grad is None


def test_a_shift_of_the_student_changes_the_means_alone():
    _, t = features()
    shift = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.25], dtype=t.dtype)
    found = losses.feature_statistics(t + shift, t).mean()
    assert float(found) == pytest.approx(float(shift.abs().sum()), rel=1e-12)


def test_gradients_are_those_of_the_scalar():
    s, t = features(batch=3, channels=2)
    for axis in ("batch", "channel"):
        assert torch.autograd.gradcheck(
            lambda x, axis=axis: losses.feature_statistics(x, t, axis=axis), s.requires_grad_()
        )
    # The mean of the shares has the gradient of the norm.
    (shared,) = torch.autograd.grad(losses.feature_statistics(s, t).mean(), s)
    mean, variance = (
        (s.mean(0) - t.mean(0)).abs(),
        (s.var(0, correction=0) - t.var(0, correction=0)).abs(),
    )
    (norm,) = torch.autograd.grad((mean + variance).sum(), s)
    torch.testing.assert_close(shared, norm)


def test_on_features_of_norm_1_means_over_channels_hardly_act():
    s, t = (F.normalize(x, dim=1) for x in features(batch=16, channels=128))
    total, mean = (
        float(losses.feature_statistics(s, t, reduction=r).mean()) for r in ("sum", "mean")
    )
    assert mean == pytest.approx(total / 128)
    assert mean < 0.1
    variances = losses.sample_statistics(s)[1]
    assert float(variances.sum()) <= 1.0


def view(student, teacher):
    labels = torch.zeros(len(student), dtype=torch.int64)
    logits = torch.zeros(len(student), 3)
    one, other = (Output(logits, {"image": x}) for x in (student, teacher))
    return View(one, {"t": other}, Batch({}, labels, labels), Clock())


def value(term, student, teacher):
    v = view(student, teacher)
    return float(term(v.student, v.teachers["t"], v).mean())


def ones(channels):
    return torch.ones(2, channels)


def prepared(term, teacher):
    term.prepare(Facts(view(teacher, teacher), torch.ones(3)))
    return term


def test_the_term_compares_directions_unless_told_otherwise():
    s, t = features()
    unit = [F.normalize(x, dim=1) for x in (s, t)]
    assert value(FeatureStatistics(), s, t) == pytest.approx(oracle(*unit))
    assert value(FeatureStatistics(), 3 * s, t) == pytest.approx(oracle(*unit))
    assert value(FeatureStatistics(normalise=False), s, t) == pytest.approx(oracle(s, t))


def test_a_running_average_smooths_the_teacher():
    batches = [features(batch=4)[1].float() + k for k in range(4)]
    s = features()[0].float()
    term = prepared(FeatureStatistics(stats="ema", momentum=0.6, normalise=False), batches[0])
    assert value(term.eval(), s, batches[0]) == pytest.approx(oracle(s, batches[0]), rel=1e-5)
    term.train()
    means = torch.stack([t.mean(0) for t in batches])
    kept = means[0]
    for k, t in enumerate(batches):
        weight = min(k / (k + 1), 0.6)  # the plain mean at first
        kept = weight * kept + (1 - weight) * means[k]
        found = value(term, s, t)
        variances = (s.var(0, correction=0) - t.var(0, correction=0)).abs().sum()
        wanted = float((s.mean(0) - kept).abs().sum() + variances)
        assert found == pytest.approx(wanted, rel=1e-4)
    before = term.seen.clone()
    value(term.eval(), s, batches[0])
    assert torch.equal(term.seen, before)
    again = prepared(FeatureStatistics(stats="ema", momentum=0.6, normalise=False), batches[0])
    again.load_state_dict(term.state_dict())  # it is part of what is resumed
    assert value(again.eval(), s, batches[0]) == value(term, s, batches[0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: FeatureStatistics(momentum=1.0), "momentum: 1.0"),
        (lambda: FeatureStatistics(stats="ema", axis="channel"), "statistics are of one sample"),
        (lambda: value(FeatureStatistics(), ones(3), ones(4)), "has 3 channels, the teacher's 4"),
        (lambda: value(FeatureStatistics(student_tap="stage3"), ones(3), ones(3)), "no feature 'stage3'"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
    mixed = value(FeatureStatistics(axis="channel"), ones(3), ones(4))
    assert mixed > 0  # of a sample, numbers of channels may differ


def test_promptkds_weight_is_one_of_the_batch_mean():
    # Their loss is KD_WEIGHT times a sum over B N scores, ours a mean over B: KD_WEIGHT / N of it is the same.
    s, t = wave(6, 10, phase=0.2).requires_grad_(), wave(6, 10, phase=1.1) * 3
    summed = F.kl_div(s.log_softmax(1), t.softmax(1), reduction="sum") / s.numel()
    ours = losses.soft_targets(s, t, temperature=1.0)
    assert float(1000 * summed.detach()) == pytest.approx(
        float(1000 / 10 * ours.mean().detach()), rel=1e-5
    )
    assert bool((ours >= 0).all())
    (gradient,) = torch.autograd.grad(ours.mean(), s)
    torch.testing.assert_close(gradient, (s.softmax(1) - t.softmax(1)).detach() / 6)
    assert math.isclose(float(losses.soft_targets(t, t, temperature=1.0).sum()), 0.0, abs_tol=1e-6)
    for temperature in (0.5, 2.0):
        output = [Output(x.detach().requires_grad_()) for x in (s, t)]
        term = SoftTargets(temperature)(*output, view(s, t))
        (gradient,) = torch.autograd.grad(term.mean(), output[0].logits)
        wanted = ((s / temperature).softmax(1) - (t / temperature).softmax(1)) * temperature / 6
        torch.testing.assert_close(gradient, wanted.detach())
