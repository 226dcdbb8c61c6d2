import numpy as np
import pytest
import torch

from tutelage.augment import CutMix, Mix, Mixup
from tutelage.errors import UserError
from tutelage.recipe.instantiate import build
from tutelage.types import Batch


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
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
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
