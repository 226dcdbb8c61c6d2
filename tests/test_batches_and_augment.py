import pytest
import torch

from tutelage.augment import CropFlip, Jitter, Missing, RandomResizedCrop, Scaling, Shift, augmented
from tutelage.batches import Samples, again, batches, class_aware, order
from tutelage.errors import UserError
from tutelage.models import On
from tutelage.recipe.networks import load_network, make_network, save_network
from tutelage.seeds import derive, generator
from tutelage.teachers import state_hash
from tutelage.types import Batch, Output


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


def test_few_samples_come_again_in_another_order_until_the_epoch_is_full():
    ids = again(torch.arange(10), 25, generator(0, "order", 0)).tolist()
    assert len(ids) == 25
    assert sorted(ids[:10]) == sorted(ids[10:20]) == list(range(10))
    assert ids[:10] != ids[10:20]
    labels = torch.tensor([0] * 8 + [1] * 2)
    balanced = class_aware(torch.arange(10), labels, generator(0, "order", 0), count=40)
    assert labels[balanced].bincount().tolist() == [20, 20]


def test_samples_without_a_label_are_of_no_class():
    few = Samples({}, torch.tensor([0, -1, 2, 2, -1]), ("a", "b", "c"))
    assert few.class_counts(torch.arange(5)).tolist() == [1, 0, 2]


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


def random(seed=0):
    return torch.Generator().manual_seed(seed)


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


def mirrored(at, size):
    """Where a pixel outside comes from: the border itself is not repeated."""
    while not 0 <= at < size:
        at = -at if at < 0 else 2 * (size - 1) - at
    return at


def crop_flip_loop(x, padding, flip, generator, mode="zero"):
    """The same crops, one image and one pixel at a time."""
    n, _, h, w = x.shape
    reach = 2 * padding + 1
    top = torch.randint(0, reach, (n, 1), generator=generator)
    left = torch.randint(0, reach, (n, 1), generator=generator)
    turned = torch.rand(n, 1, generator=generator) < flip
    found = torch.zeros_like(x)
    for i in range(n):
        for row in range(h):
            for column in range(w):
                a = row + int(top[i]) - padding
                b = (w - 1 - column if turned[i] else column) + int(left[i]) - padding
                if mode == "reflect":
                    found[i, :, row, column] = x[i, :, mirrored(a, h), mirrored(b, w)]
                elif 0 <= a < h and 0 <= b < w:
                    found[i, :, row, column] = x[i, :, a, b]
    return found


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("padding", [0, 2, 6])
def test_crop_flip_equals_a_loop(mode, padding):
    x = torch.randint(1, 255, (16, 3, 7, 8), generator=random(), dtype=torch.uint8)
    before = x.clone()
    found = CropFlip(padding, mode=mode)(x, random())
    assert torch.equal(found, crop_flip_loop(x, padding, 0.5, random(), mode))
    assert found.dtype == torch.uint8
    assert torch.equal(x, before)
    assert (found == 0).any() == (mode == "zero" and padding > 0)


def test_a_reflection_wider_than_the_picture_is_refused():
    with pytest.raises(UserError, match="padding: found 7, allowed for reflect are 0 to 6"):
        CropFlip(7, mode="reflect")(torch.zeros(2, 3, 7, 8), random())


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float16, torch.int16])
@pytest.mark.parametrize("shape", [(3, 40, 30), (3, 16, 50), (1, 33, 33), (6, 20, 20)])
def test_random_resized_crop_equals_torchvision(kind, shape):
    from torchvision.transforms.v2 import functional

    x = torch.randint(0, 256, (12, *shape), generator=random()).to(kind)
    before, crop = x.clone(), RandomResizedCrop(24)
    found = crop(x, random(3))
    assert (found.shape, found.dtype) == ((12, shape[0], 24, 24), kind)
    assert torch.equal(x, before)
    stream = random(3)
    boxes = torch.stack(crop.boxes(12, *shape[1:], stream), dim=1).tolist()
    turned = torch.rand(12, generator=stream) < 0.5
    assert turned.any()
    assert not turned.all()
    for i, box in enumerate(boxes):
        # floating-point arithmetic for all types; torchvision's own bytes are off by at most one
        wanted = functional.resized_crop(x[i].float(), *box, [24, 24], antialias=True)
        wanted = wanted.flip(-1) if turned[i] else wanted
        exact = kind == torch.float32
        torch.testing.assert_close(
            found[i].float(), wanted, rtol=0 if exact else 1e-3, atol=1e-4 if exact else 1.001
        )
        if kind == torch.uint8:
            same = functional.resized_crop(x[i], *box, [24, 24], antialias=True)
            assert torch.equal(found[i], same.flip(-1) if turned[i] else same)


def test_parts_are_drawn_as_torchvision_draws_them():
    from torchvision.transforms import RandomResizedCrop as Theirs

    torch.manual_seed(0)
    picture, count = torch.zeros(3, 60, 90), 3000
    theirs = torch.tensor(
        [Theirs.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    )
    top, left, tall, wide = RandomResizedCrop(8).boxes(count, 60, 90, random())
    ours = torch.stack([top, left, tall, wide], dim=1)
    assert (tall > 0).all() and (wide > 0).all() and (top >= 0).all() and (left >= 0).all()
    assert (top + tall <= 60).all() and (left + wide <= 90).all()
    torch.testing.assert_close(ours.float().mean(0), theirs.float().mean(0), rtol=0.06, atol=0.5)
    torch.testing.assert_close(ours.float().std(0), theirs.float().std(0), rtol=0.06, atol=0.5)


@pytest.mark.parametrize(("height", "width"), [(10, 100), (100, 10), (50, 50)])
def test_parts_that_never_fit_become_the_largest_central_one(height, width):
    from torchvision.transforms import RandomResizedCrop as Theirs

    # the whole area at these ratios fits in none of the pictures
    crop = RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(1.9, 2.1))
    wanted = Theirs.get_params(torch.zeros(3, height, width), [1.0, 1.0], [1.9, 2.1])
    for box in zip(*crop.boxes(5, height, width, random()), strict=True):
        assert [int(part) for part in box] == list(wanted)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 0}, "size: found 0"),
        ({"size": 8, "scale": (0.0, 1.0)}, r"scale: found \[0.0, 1.0\]"),
        ({"size": 8, "scale": (0.5, 0.2)}, "scale: found"),
        ({"size": 8, "ratio": (2.0, 1.0)}, "ratio: found"),
    ],
)
def test_random_resized_crop_refuses_impossible_settings(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        RandomResizedCrop(**arguments)


def test_only_the_named_modality_changes():
    batch = samples().take(torch.arange(4))
    found = augmented(batch, {"signal": Jitter(1.0)}, random())
    assert not torch.equal(found.inputs["signal"], batch.inputs["signal"])
    assert found.inputs["pi"] is batch.inputs["pi"]
    with pytest.raises(UserError, match="unknown modality 'sound'"):
        augmented(batch, {"sound": Jitter()}, random())


class Echo(torch.nn.Module):
    """A network that says what it was shown."""

    def forward(self, x):
        return Output(x)


@pytest.mark.parametrize(
    "shape", [(3, 9, 12), (3, 8, 8), (3, 5, 20), (3, 5, 7), (1, 11, 13), (3, 256, 256)]
)
@pytest.mark.parametrize("crop", [8, 7])
def test_a_network_crops_the_centre_as_torchvision_does(shape, crop):
    from torchvision.transforms.v2 import functional

    x = torch.randint(0, 256, (4, *shape), generator=random()).to(torch.uint8)
    channels, height, width = shape
    size = [min(height, crop), min(width, crop)]
    on = On("image", Echo(), [0.0] * channels, [1.0] * channels, crop)
    found = on(Batch({"image": x}, torch.zeros(4), torch.arange(4))).logits
    assert torch.equal(found, functional.center_crop(x, size).float())
    assert on.seen(shape) == [channels, *size]
    plain = On("image", Echo(), [0.0] * channels, [1.0] * channels)
    assert torch.equal(plain.on_tensor(x).logits, x.float())
    assert plain.seen(shape) == list(shape)


def test_a_crop_cuts_signals_in_time():
    on = On("signal", Echo(), [0.0] * 3, [1.0] * 3, 10)
    assert torch.equal(on.on_tensor(X).logits, X[:, :, 15:25])


def test_a_crop_of_nothing_is_refused():
    with pytest.raises(ValueError, match="crop: 0 must be at least 1"):
        On("image", Echo(), [0.0], [1.0], 0)


def test_the_crop_travels_with_the_checkpoint(tmp_path):
    described = {"type": "WideResNet", "depth": 10, "width": 1}
    about = {"modality": "image", "input_shape": [3, 12, 12], "class_names": ["a", "b"]}
    statistics = (torch.zeros(3), torch.ones(3))
    made = {
        crop: make_network(
            described, place="x", statistics=statistics, seed=0, crop=crop, **about
        ).eval()
        for crop in (None, 8, 9)
    }
    x = torch.randn(4, 3, 12, 12, generator=random())
    for crop, network in made.items():
        spec = {"network": described, **about} | ({} if crop is None else {"crop": crop})
        save_network(tmp_path / f"{crop}.safetensors", network, spec)
        back, _ = load_network(tmp_path / f"{crop}.safetensors")
        assert back.crop == crop
        assert torch.equal(back.on_tensor(x).logits, network.on_tensor(x).logits)
    # the weights are equal, the crops are not: nothing cached of one may be taken for another
    assert len({state_hash(network) for network in made.values()}) == 3
    save_network(tmp_path / "old.safetensors", made[8], {"network": described, **about})
    with pytest.raises(UserError, match="do not fit the network"):
        load_network(tmp_path / "old.safetensors")


def test_a_random_crop_in_training_is_what_the_network_takes():
    on = On("image", Echo(), [0.0] * 3, [1.0] * 3, 8)
    x = torch.rand(4, 3, 12, 12, generator=random())
    cut = RandomResizedCrop(8)(x, random())
    assert torch.equal(on.on_tensor(cut).logits, cut)
    assert on.on_tensor(x).logits.shape == cut.shape
