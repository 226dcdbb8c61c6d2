import numpy as np
import pytest
import torch

from tutelage.augment import CutMix, Mix, Mixup, of_mixtures
from tutelage.errors import UserError
from tutelage.objectives import Labels, PerTeacher
from tutelage.recipe.instantiate import build
from tutelage.terms import ClassRelations, DecoupledTargets, SoftTargets, Standardised
from tutelage.types import Batch, Clock, Output, View
from tutelage.weighting import Confidence


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=12, size=(8, 10), kind=torch.float32, **more):
    x = torch.randint(0, 256, (count, 3, *size), generator=random(1)).to(kind)
    inputs = {"image": x, **{name: make(count) for name, make in more.items()}}
    return Batch(inputs, torch.arange(count) % 5, torch.arange(100, 100 + count))


def partners_of(count, seed=0):
    """The permutation that both classes draw first."""
    return torch.randperm(count, generator=random(seed)).tolist()


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64, torch.int64])
def test_mixup_equals_a_loop(per_sample, kind):
    given = batch(kind=kind, signal=lambda n: torch.randn(n, 2, 30, generator=random(2)))
    found = Mixup(0.7, per_sample)(given, random())
    for i, other in enumerate(partners_of(12)):
        assert found.partner[i] == given.labels[other]
        share = float(found.share[i])
        for name, x in given.inputs.items():
            own, mixed_in = x[i].double().numpy(), x[other].double().numpy()
            wanted = np.empty_like(own)
            for place in np.ndindex(own.shape):
                wanted[place] = share * own[place] + (1 - share) * mixed_in[place]
            np.testing.assert_allclose(
                found.inputs[name][i].double().numpy(), wanted, rtol=2e-5, atol=1e-4
            )
    assert found.inputs["image"].dtype == (
        torch.float64 if kind == torch.float64 else torch.float32
    )
    assert len(set(found.share.tolist())) == (12 if per_sample else 1)


def intervals(share, size):
    """Side of the box along each axis, by the paper's formula."""
    return [int(length * (1 - share) ** (1 / len(size))) for length in size]


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("size", [(8, 10), (40,), (3, 4, 5)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_cutmix_equals_a_loop(per_sample, size, kind):
    given = batch(size=size, kind=kind)
    found = CutMix(1.0, per_sample)(given, random())
    # the same draws, in the same order, one sample at a time
    stream = random()
    partners = torch.randperm(12, generator=stream).tolist()
    seed = int(torch.randint(2**62, (), generator=stream))
    wanted_share = np.random.default_rng(seed).beta(1.0, 1.0, 12 if per_sample else 1)
    middles = [torch.randint(0, n, (12 if per_sample else 1,), generator=stream) for n in size]
    for i in range(12):
        draw = i if per_sample else 0
        sides = intervals(float(np.float32(wanted_share[draw])), size)
        expected = given.inputs["image"][i].clone()
        pixels = 0
        for place in np.ndindex(size):
            starts = [int(m[draw]) - side // 2 for m, side in zip(middles, sides, strict=True)]
            stops = [int(m[draw]) + side // 2 for m, side in zip(middles, sides, strict=True)]
            if all(a <= at < b for a, at, b in zip(starts, place, stops, strict=True)):
                expected[(slice(None), *place)] = given.inputs["image"][
                    (partners[i], slice(None), *place)
                ]
                pixels += 1
        assert torch.equal(found.inputs["image"][i], expected)
        assert found.share[i] == pytest.approx(1 - pixels / np.prod(size), abs=1e-6)
        assert found.partner[i] == given.labels[partners[i]]
    assert found.inputs["image"].dtype == kind


def test_cutmix_shares_its_box_over_modalities_of_one_size():
    numbers = torch.arange(6.0).view(6, 1, 1, 1)
    inputs = {"a": numbers.expand(6, 2, 9, 9), "b": numbers.expand(6, 5, 9, 9)}
    zeros = Batch(inputs, torch.arange(6), torch.arange(6))
    found = CutMix(per_sample=True)(zeros, random())
    assert torch.equal(found.inputs["a"][:, 0], found.inputs["b"][:, 0])
    own = (found.inputs["a"][:, 0] == torch.arange(6.0).view(6, 1, 1)).flatten(1).float().mean(1)
    moved = found.partner != zeros.labels
    torch.testing.assert_close(own[moved], found.share[moved])


@pytest.mark.parametrize("mix", [Mixup(0.4), CutMix(4.0), Mixup(0.4, True), CutMix(1.0, True)])
def test_mixes_follow_their_generator_and_write_to_nothing(mix):
    given = batch()
    before = {name: x.clone() for name, x in given.inputs.items()}
    labels, stream = given.labels.clone(), random(5)
    found, again, other = mix(given, random(3)), mix(given, random(3)), mix(given, stream)
    assert torch.equal(found.inputs["image"], again.inputs["image"])
    assert torch.equal(found.share, again.share)
    assert torch.equal(found.partner, again.partner)
    assert not torch.equal(found.inputs["image"], other.inputs["image"])
    assert not torch.equal(other.inputs["image"], mix(given, stream).inputs["image"])
    assert torch.equal(given.inputs["image"], before["image"])
    assert torch.equal(given.labels, labels)
    assert given.share is given.partner is None
    assert found.labels is given.labels
    assert found.index is given.index
    assert found.share.dtype == torch.float32
    assert found.partner.dtype == torch.int64
    torch.manual_seed(0)
    untouched = torch.rand(3)
    torch.manual_seed(0)
    mix(given, random())
    assert torch.equal(torch.rand(3), untouched)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_the_beta_distribution(alpha):
    many = Batch(
        {"image": torch.zeros(4000, 1, 1, 1)}, torch.zeros(4000).long(), torch.arange(4000)
    )
    each = Mixup(alpha, per_sample=True)(many, random()).share
    few = Batch({"image": torch.zeros(2, 1, 1, 1)}, torch.zeros(2).long(), torch.arange(2))
    stream = random(1)
    one = torch.stack([Mixup(alpha)(few, stream).share[0] for _ in range(1500)])
    for found in (each, one):
        assert float(found.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(found.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
        assert 0 <= float(found.min()) and float(found.max()) <= 1


def test_every_sample_is_mixed_in_exactly_once():
    given = Batch({"x": torch.arange(50.0)[:, None]}, torch.arange(50), torch.arange(50))
    assert sorted(Mixup()(given, random()).partner.tolist()) == list(range(50))


def test_cutmix_cuts_at_the_border():
    # with a uniform share, E[area] of an unclipped box is 1/2; clipping makes it smaller
    given = Batch({"x": torch.zeros(4000, 1, 32, 32)}, torch.zeros(4000).long(), torch.arange(4000))
    share = CutMix(1.0, per_sample=True)(given, random()).share
    assert 0.6 < float(share.mean()) < 0.75
    assert float(share.max()) <= 1


def test_modalities_of_two_sizes_are_refused_by_cutmix_only():
    given = batch(signal=lambda n: torch.zeros(n, 2, 30))
    with pytest.raises(
        UserError, match=r"CutMix: found 'signal' of size \[30\] and 'image' of \[8, 10\]"
    ):
        CutMix()(given, random())
    assert Mixup()(given, random()).inputs["signal"].shape == (12, 2, 30)
    flat = Batch({"x": torch.zeros(3, 4)}, torch.zeros(3).long(), torch.arange(3))
    with pytest.raises(UserError, match=r"CutMix: found 'x' of size \[\]"):
        CutMix()(flat, random())


@pytest.mark.parametrize("cls", [Mixup, CutMix])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_alpha_must_be_positive(cls, alpha):
    with pytest.raises(
        UserError, match=rf"{cls.__name__}.alpha: found {alpha}, allowed are numbers above 0"
    ):
        cls(alpha)


def test_mixes_are_built_from_a_recipe():
    assert build(
        "tutelage.augment", {"type": "Mixup", "alpha": 0.2}, "train.mix", base=Mix
    ) == Mixup(0.2)
    with pytest.raises(UserError, match="unknown augmentation 'Jitter'"):
        build("tutelage.augment", {"type": "Jitter"}, "train.mix", base=Mix)


def answered(share=0.59, kind=torch.float32):
    """Three samples, each mixed with the next one, and what a teacher said of the unmixed ones."""
    given = Batch({}, torch.tensor([0, 1, 2]), torch.tensor([7, 3, 5]))
    partners = torch.tensor([1, 2, 0])
    mixed = Batch(
        {},
        given.labels,
        given.index,
        {},
        given.labels[partners],
        torch.full((3,), share),
        given.index[partners],
    )
    logits = torch.tensor([[4.0, 0.0, 1.0], [0.0, 3.0, -1.0], [1.0, 0.5, 2.0]]).to(kind)
    return given, mixed, Output(logits)


def test_answers_of_teachers_are_mixed_by_share():
    given, mixed, teacher = answered()
    found = of_mixtures({"t": teacher}, given, mixed)["t"].logits.softmax(dim=1)
    p = teacher.logits.softmax(dim=1)
    for i in range(3):
        torch.testing.assert_close(found[i], 0.59 * p[i] + 0.41 * p[(i + 1) % 3])
    # Nothing is mixed in, or nothing of the own sample is left: one answer alone, not a NaN.
    for share, own in ((1.0, [0, 1, 2]), (0.0, [1, 2, 0])):
        given, mixed, teacher = answered(share)
        found = of_mixtures({"t": teacher}, given, mixed)["t"].logits
        torch.testing.assert_close(found, teacher.logits.log_softmax(dim=1)[own])


@pytest.mark.parametrize(
    "term",
    [
        SoftTargets(1.0),
        SoftTargets(4.0),
        DecoupledTargets(),
        ClassRelations(),
        Standardised(SoftTargets(2.0)),
    ],
)
def test_a_student_that_is_right_about_a_mixture_is_not_punished(term):
    given, mixed, teacher = answered()
    p = teacher.logits.softmax(dim=1)
    right = Output((0.59 * p + 0.41 * p[[1, 2, 0]]).log().requires_grad_())
    outputs = of_mixtures({"t": teacher}, given, mixed)
    loss = PerTeacher(term)(View(right, outputs, mixed, Clock()))
    assert loss.abs().max() < 1e-4
    unmixed = PerTeacher(term)(View(right, {"t": teacher}, mixed, Clock()))
    assert unmixed.max() > 0.1
    loss.sum().backward()
    assert right.logits.grad.abs().max() < 1e-2


def test_the_sample_mixed_in_is_found_by_its_id_even_if_a_sampler_drew_it_twice():
    given, _, teacher = answered()
    twice = Batch({}, given.labels[[0, 1, 1]], given.index[[0, 1, 1]])
    other = Batch(
        {},
        twice.labels,
        twice.index,
        {},
        twice.labels,
        torch.full((3,), 0.5),
        twice.index[[2, 0, 0]],
    )
    logits = teacher.logits[[0, 1, 1]]
    found = of_mixtures({"t": Output(logits)}, twice, other)["t"].logits.softmax(dim=1)
    p = logits.softmax(dim=1)
    torch.testing.assert_close(found, (p + p[[1, 0, 0]]) / 2)


@pytest.mark.parametrize("mix", [Mixup(), CutMix()])
def test_a_mix_says_whom_it_mixed_in(mix):
    given = batch()
    found = mix(given, random())
    assert found.partner_index.tolist() == given.index[partners_of(12)].tolist()
    assert torch.equal(found.partner, given.labels[found.partner_index - 100])


def test_a_teacher_of_a_mixture_is_judged_by_both_classes():
    _, mixed, teacher = answered()
    other = Output(teacher.logits.flip(0))
    view = View(Output(torch.zeros(3, 3)), {"a": teacher, "b": other}, mixed, Clock())
    surprise = torch.stack([Labels()(View(one, {}, mixed, Clock())) for one in (teacher, other)])
    found = Confidence()(torch.zeros(2, 3), view)
    torch.testing.assert_close(found, 1 - surprise.softmax(dim=0))
