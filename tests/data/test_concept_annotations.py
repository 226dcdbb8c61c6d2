"""Annotated concepts on their way: data set, file, samples, batch, augmentation, buffer."""

import numpy as np
import pytest
import torch

from tutelage.augment import (
    Augment,
    CropFlip,
    Jitter,
    Missing,
    RandomResizedCrop,
    Rotation,
    Scaling,
    Shift,
    augmented,
)
from tutelage.batches import Samples
from tutelage.data.dataset import DataSet
from tutelage.data.store import open_saved, save
from tutelage.errors import UserError
from tutelage.steps.hard_buffer import HardBuffer
from tutelage.types import Batch, Needs

N = 6


def dataset(**parts):
    """Return a small set of images, with concepts of whole images and of 4 x 4 places."""
    random = np.random.default_rng(0)
    places = random.integers(0, 2, (N, 4, 4, 2)).astype(np.float16)
    places[:, 0] = np.nan
    whole = {
        "name": "tiny",
        "modality": "image",
        "inputs": random.integers(0, 256, (N, 3, 8, 8)).astype(np.uint8),
        "labels": np.arange(N) % 2,
        "subjects": None,
        "class_names": ("a", "b"),
        "channel_names": ("red", "green", "blue"),
        "concepts": {"global": np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]], "spatial": places},
        "concept_names": {"global": ("x", "y", "z"), "spatial": ("left", "right")},
    }
    return DataSet(**whole | parts)


def test_a_stored_set_keeps_its_annotations(tmp_path):
    made = dataset()
    save(made, tmp_path / "it")
    found = open_saved(tmp_path / "it")
    assert found.concept_names == made.concept_names
    for scope, values in made.concepts.items():
        np.testing.assert_array_equal(found.concepts[scope], values)
        assert found.concepts[scope].dtype == values.dtype
        assert isinstance(found.concepts[scope], np.memmap)
    assert found.fingerprint == made.fingerprint
    assert found.summary()["concepts"] == {"global": ["x", "y", "z"], "spatial": ["left", "right"]}
    plain = dataset(concepts={}, concept_names={})
    save(plain, tmp_path / "plain")
    assert open_saved(tmp_path / "plain").concepts == {}


def test_annotations_are_part_of_the_fingerprint():
    made = dataset()
    other = {k: v.copy() for k, v in made.concepts.items()}
    other["global"][0] = [0, 0, 1]
    renamed = made.concept_names | {"global": ("x", "y", "w")}
    prints = {
        made.fingerprint,
        dataset(concepts=other).fingerprint,
        dataset(concept_names=renamed).fingerprint,
        dataset(concepts={}, concept_names={}).fingerprint,
    }
    assert len(prints) == 4
    # A set without annotations has the fingerprint that it had before there were any.
    assert dataset(concepts={}, concept_names={}).fingerprint.startswith("8579533c8443b10b")


WHOLE = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
NAMES = {"global": ("x", "y", "z")}
REFUSED = {
    "names missing": (
        ({"global": WHOLE}, {}),
        r"concept_names: found \[\], allowed is \['global'\]",
    ),
    "another scope": (({"local": WHOLE}, {"local": ("x",)}), "concepts: found 'local'"),
    "few rows": (({"global": WHOLE[:5]}, NAMES), r"found \[5, 3\], allowed is \[N, M\] with N = 6"),
    "few names": (({"global": WHOLE}, {"global": ("x", "y")}), "M = 2 names"),
    "a name twice": (
        ({"global": WHOLE}, {"global": ("x", "y", "x")}),
        "a different name for every",
    ),
    "flat places": (
        ({"spatial": np.zeros((6, 16, 3), np.float32)}, {"spatial": ("x", "y", "z")}),
        r"found \[6, 16, 3\], allowed is \[N, rows, columns, M\]",
    ),
    "whole numbers": (({"global": WHOLE.astype(int)}, NAMES), "type int64, allowed is float32 or"),
    "negative": (({"global": -WHOLE}, NAMES), "a negative or infinite value"),
    "infinite": (({"global": np.full_like(WHOLE, np.inf)}, NAMES), "a negative or infinite value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_annotations_that_do_not_fit(case):
    (concepts, names), sentence = REFUSED[case]
    with pytest.raises(UserError, match=sentence) as caught:
        dataset(concepts=concepts, concept_names=names)
    assert "\n" not in str(caught.value)


def test_batches_carry_annotations_in_single_precision():
    made = dataset()
    samples = Samples(
        {"image": torch.from_numpy(made.inputs)},
        torch.from_numpy(made.labels),
        made.class_names,
        concepts={k: torch.from_numpy(v) for k, v in made.concepts.items()},
        concept_names=made.concept_names,
    )
    ids = torch.tensor([4, 1])
    batch = samples.only({"image"}).take(ids)
    assert batch.concepts["global"].tolist() == [[0, 1, 0], [0, 1, 0]]
    assert batch.concepts["spatial"].dtype == torch.float32
    wanted = made.concepts["spatial"][[4, 1]].astype(np.float32)
    np.testing.assert_array_equal(batch.concepts["spatial"].numpy(), wanted)
    plain = Samples({"image": torch.zeros(2, 1)}, torch.zeros(2), ("a",))
    assert plain.take(torch.tensor([0])).concepts == {}


def test_the_buffer_of_hard_samples_keeps_annotations():
    buffer = HardBuffer(3)
    concepts = {"global": torch.eye(3), "spatial": torch.rand(3, 4, 2)}
    labels = torch.tensor([0, 1, 2])
    buffer.add(Batch({"x": torch.rand(3, 2)}, labels, labels, concepts), {}, labels > 0)
    again = HardBuffer(3)
    again.restore(buffer.rows, torch.device("cpu"))
    batch, _ = again.draw(3)
    assert torch.equal(batch.concepts["global"].argmax(1), batch.labels)
    assert torch.equal(batch.concepts["spatial"], concepts["spatial"][batch.labels])


def test_needs_of_concepts_add_up():
    assert not (Needs() | Needs()).concepts
    assert (Needs(frozenset({"a"})) | Needs(concepts=True)) == Needs(
        frozenset({"a"}), concepts=True
    )


def picture(size=16, grid=4, count=40):
    """Images that show at every pixel the number of its place, and annotations that say the same."""
    cell = size // grid
    numbers = torch.arange(1.0, grid * grid + 1).view(grid, grid)
    pixels = numbers.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    images = pixels.expand(count, 1, size, size).clone()
    concepts = numbers.view(1, grid, grid, 1).repeat(count, 1, 1, 2)
    concepts[..., 1] *= 10
    labels = torch.zeros(count, dtype=torch.long)
    return Batch({"image": images}, labels, torch.arange(count), {"spatial": concepts})


@pytest.mark.parametrize(
    "augment",
    [
        CropFlip(padding=3),
        CropFlip(padding=0, flip=1.0),
        CropFlip(padding=3, mode="reflect"),
        RandomResizedCrop(16, scale=(0.1, 1.0)),
        RandomResizedCrop(24),
        Rotation(30.0),
    ],
)
def test_places_of_a_picture_follow_it(augment):
    """The annotation of each place is what the picture shows at the middle of it."""
    random = torch.Generator().manual_seed(0)
    found = augmented(picture(), {"image": augment}, random)
    image, marks = found.inputs["image"][:, 0], found.concepts["spatial"]
    middle = (torch.arange(4) * image.shape[1] / 4 + image.shape[1] / 8).long()
    shown = image[:, middle][:, :, middle]
    exact = (shown == shown.round()) & (shown > 0)  # not between two places, nor at the border
    assert exact.float().mean() > 0.6
    agree = (marks[..., 0] == shown)[exact].float().mean()
    assert agree > (0.97 if isinstance(augment, CropFlip) else 0.9)
    nothing = shown == 0
    assert (
        marks[nothing].isnan().float().mean() > (0.99 if nothing.any() else -1) or not nothing.any()
    )
    known = ~marks[..., 0].isnan()
    assert torch.equal(marks[known][:, 1], 10 * marks[known][:, 0])
    assert not torch.equal(marks.nan_to_num(), picture().concepts["spatial"])
    # The same change of the picture as without annotations.
    again = augmented(
        Batch({"image": picture().inputs["image"]}, found.labels, found.index),
        {"image": augment},
        torch.Generator().manual_seed(0),
    )
    assert torch.equal(again.inputs["image"], found.inputs["image"])


def test_places_of_a_signal_follow_it():
    count, places = 20, 8
    signal = torch.arange(1.0, places + 1).repeat_interleave(4).expand(count, 3, 32).clone()
    concepts = {
        "global": torch.ones(count, 1),
        "spatial": torch.arange(1.0, places + 1).view(1, places, 1).repeat(count, 1, 1),
    }
    batch = Batch({"signal": signal}, torch.zeros(count), torch.arange(count), concepts)
    random = torch.Generator().manual_seed(1)
    found = augmented(batch, {"signal": Shift(0.5)}, random)
    middle = torch.arange(places) * 4 + 2
    assert torch.equal(found.concepts["spatial"][:, :, 0], found.inputs["signal"][:, 0, middle])
    assert not torch.equal(found.concepts["spatial"], concepts["spatial"])
    assert found.concepts["global"] is concepts["global"]
    for still in (Jitter(), Scaling(), Missing()):
        same = augmented(batch, {"signal": still}, random)
        assert torch.equal(same.concepts["spatial"], concepts["spatial"])


def test_a_change_of_another_modality_moves_no_places():
    batch = picture()
    batch = Batch(
        {"image": batch.inputs["image"], "pi": torch.rand(40, 1, 8, 8)},
        batch.labels,
        batch.index,
        batch.concepts,
    )
    found = augmented(batch, {"pi": CropFlip(2)}, torch.Generator().manual_seed(0))
    assert torch.equal(found.concepts["spatial"], batch.concepts["spatial"])


class Unknown(Augment):
    def __call__(self, x, generator):
        return x.flip(-1)


def test_a_change_that_does_not_say_how_it_moves_places_is_refused():
    random = torch.Generator().manual_seed(0)
    with pytest.raises(
        UserError, match="annotated at places, and Unknown does not say how it moves"
    ):
        augmented(picture(), {"image": Unknown()}, random)
    batch = picture()
    whole = Batch(batch.inputs, batch.labels, batch.index, {"global": torch.ones(40, 1)})
    augmented(whole, {"image": Unknown()}, random)


def test_a_rotation_turns_about_the_centre():
    random = torch.Generator().manual_seed(0)
    image = torch.zeros(8, 1, 9, 15)
    image[:, :, 4, 7] = 1.0  # the middle stays
    turned = Rotation(30.0, flip=0.5)(image, random)
    assert (turned[:, 0, 4, 7] > 0.6).all()
    image = picture().inputs["image"]
    torch.testing.assert_close(Rotation(0.0, 1.0)(image, random), image.flip(-1))
    line = torch.zeros(1, 1, 31, 61)
    line[:, :, 15, 25:36] = 1.0  # as long after a turn, in a picture that is not square
    turned = Rotation(90.0, 0.0)._turned
    angles = []
    for seed in range(20):
        found = turned(line, torch.Generator().manual_seed(seed), "bilinear")[0, 0]
        rows, columns = (found > 0.5).nonzero().float().T
        length = float(torch.hypot(rows.max() - rows.min(), columns.max() - columns.min()))
        angles.append(float(torch.atan2(rows.max() - rows.min(), columns.max() - columns.min())))
        assert length == pytest.approx(10, abs=2)
    assert max(angles) > 1.2
    whole = (picture().inputs["image"] * 10).to(torch.uint8)
    assert Rotation()(whole, random).dtype == torch.uint8
