import pytest
import torch

from tutelage.augment import CropFlip, Jitter, Missing, Scaling, Shift, augmented
from tutelage.batches import Samples, batches, order
from tutelage.errors import UserError
from tutelage.seeds import derive, generator


def samples(n=20):
    return Samples(
        {"signal": torch.arange(n * 6.0).reshape(n, 2, 3), "pi": torch.zeros(n, 1, 2, 2)},
        torch.arange(n) % 3,
        ("a", "b", "c"),
    )


def test_batches_keep_modalities_labels_and_ids_together():
    ids = order(torch.arange(20), generator(0, "order", 0))
    assert sorted(ids.tolist()) == list(range(20))
    seen = list(batches(samples(), ids, 6, drop_last=True))
    assert [len(b.labels) for b in seen] == [6, 6, 6]
    for batch in seen:
        torch.testing.assert_close(batch.inputs["signal"][:, 0, 0], batch.index * 6.0)
        assert torch.equal(batch.labels, batch.index % 3)
    assert [len(b.labels) for b in batches(samples(), ids, 6)] == [6, 6, 6, 2]


def test_orders_depend_on_seed_and_epoch_alone():
    ids = torch.arange(50)
    assert torch.equal(order(ids, generator(1, "order", 2)), order(ids, generator(1, "order", 2)))
    assert not torch.equal(
        order(ids, generator(1, "order", 2)), order(ids, generator(1, "order", 3))
    )
    assert derive(1, "init") != derive(2, "init") != derive(2, "order")


def test_unequal_modalities_are_refused():
    with pytest.raises(
        UserError, match=r"modalities\.pi: 19 samples, but the data set has 20 labels"
    ):
        Samples({"pi": torch.zeros(19, 1)}, torch.zeros(20), ("a",))


def test_class_counts():
    assert samples().class_counts(torch.tensor([0, 1, 3, 4])).tolist() == [2, 2, 0]


def random():
    return torch.Generator().manual_seed(0)


X = torch.randn(8, 3, 40, generator=random())


def test_jitter_scales_with_the_signal():
    noise = Jitter(0.1)(X * 100, random()) - X * 100
    ratio = noise.std() / (X * 100).std(dim=-1).mean()
    assert ratio == pytest.approx(0.1, rel=0.2)


def test_scaling_is_one_gain_per_channel():
    gain = Scaling(0.2)(X, random()) / X
    assert (gain.std(dim=-1) < 1e-4).all()
    assert gain[:, :, 0].std() > 0.05


def test_shift_is_circular_and_within_reach():
    found = Shift(0.1)(X, random())
    for before, after in zip(X, found, strict=True):
        offsets = [k for k in range(-4, 5) if torch.equal(torch.roll(before, k, -1), after)]
        assert offsets
    assert torch.equal(found.sort(-1).values, X.sort(-1).values)


def test_missing_is_one_gap_of_the_given_length():
    found = Missing(0.25)(X, random())
    for before, after in zip(X, found, strict=True):
        gone = (after == 0).all(0).nonzero().flatten()
        assert len(gone) == 10
        assert gone[-1] - gone[0] == 9
        kept = (after != 0).any(0)
        assert torch.equal(before[:, kept], after[:, kept])


def crop_flip_loop(x, padding, flip, generator):
    """The same crops, one image at a time."""
    n, _, h, w = x.shape
    reach = 2 * padding + 1
    top = torch.randint(0, reach, (n, 1), generator=generator)
    left = torch.randint(0, reach, (n, 1), generator=generator)
    mirrored = torch.rand(n, 1, generator=generator) < flip
    found = []
    for i in range(n):
        padded = torch.zeros(x.shape[1], h + 2 * padding, w + 2 * padding, dtype=x.dtype)
        padded[:, padding : padding + h, padding : padding + w] = x[i]
        crop = padded[:, top[i] : top[i] + h, left[i] : left[i] + w]
        found.append(crop.flip(-1) if mirrored[i] else crop)
    return torch.stack(found)


def test_crop_flip_equals_a_loop():
    x = torch.randint(0, 255, (16, 3, 8, 8), generator=random(), dtype=torch.uint8)
    found = CropFlip(2)(x, random())
    assert torch.equal(found, crop_flip_loop(x, 2, 0.5, random()))
    assert found.dtype == torch.uint8


def test_only_the_named_modality_changes():
    batch = samples().take(torch.arange(4))
    found = augmented(batch, {"signal": Jitter(1.0)}, random())
    assert not torch.equal(found.inputs["signal"], batch.inputs["signal"])
    assert found.inputs["pi"] is batch.inputs["pi"]
    with pytest.raises(UserError, match="unknown modality 'sound'"):
        augmented(batch, {"sound": Jitter()}, random())
