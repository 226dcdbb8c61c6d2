"""Teaching a dual encoder: the loss against a loop, captions, and two tasks that a small pair learns."""

import math

import pytest
import torch
from torch.nn import functional as F

from tests.vlm.small import SIGNALS, image_encoder, signal_encoder
from tutelage.augment import CropFlip
from tutelage.errors import UserError
from tutelage.vlm.captions import Captions
from tutelage.vlm.contrast import multi_positive
from tutelage.vlm.signal_text import SignalTextEncoder
from tutelage.vlm.training import Schooling, class_embeddings, embed, teach, zero_shot

open_clip = pytest.importorskip("open_clip")


def pairs(count=6, size=4):
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, size, generator=random, dtype=torch.float64)
    texts = torch.randn(count, size, generator=random, dtype=torch.float64)
    return inputs, texts, torch.tensor([0, 1, 0, 2, 2, 0])[:count]


def test_multi_positive_is_the_loop():
    inputs, texts, groups = pairs()
    scale = 7.0

    def cosine(a, b):
        return float(a @ b / (a.norm() * b.norm()))

    for i, found in enumerate(multi_positive(inputs, texts, groups, torch.tensor(scale))):
        total = 0.0
        for rows, columns in ((inputs, texts), (texts, inputs)):
            logits = [scale * cosine(rows[i], other) for other in columns]
            norm = math.log(sum(math.exp(value) for value in logits))
            friends = [j for j in range(6) if groups[j] == groups[i]]
            total += sum(norm - logits[j] for j in friends) / len(friends)
        assert float(found) == pytest.approx(total / 2, rel=1e-12)


def test_multi_positive_of_different_groups_is_the_loss_of_clip():
    inputs, texts, _ = pairs()
    ours = multi_positive(inputs, texts, torch.arange(6), torch.tensor(20.0)).mean()
    theirs = open_clip.ClipLoss()(
        F.normalize(inputs, dim=1), F.normalize(texts, dim=1), torch.tensor(20.0)
    )
    assert torch.allclose(ours, theirs)


def test_multi_positive_follows_permutations_and_gradients():
    inputs, texts, groups = pairs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    whole = multi_positive(inputs, texts, groups, scale)
    assert torch.allclose(
        multi_positive(inputs[order], texts[order], groups[order], scale), whole[order]
    )
    assert bool((whole >= 0).all())
    inputs.requires_grad_()
    texts.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *x: multi_positive(x[0], x[1], groups, x[2]), (inputs, texts, scale)
    )


def test_captions_are_templates_and_sentences_by_their_share():
    said = {"walking": ["steady steps", "the trunk sways"]}
    captions = Captions(("walking", "lying"), ("a person {}.",), said, share=0.5)
    labels = torch.tensor([0, 1]).repeat(500)
    drawn = captions.draw(labels, torch.Generator().manual_seed(0))
    assert drawn == captions.draw(labels, torch.Generator().manual_seed(0))
    assert set(drawn[1::2]) == {"a person lying."}
    assert set(drawn[::2]) == {"a person walking.", "steady steps", "the trunk sways"}
    assert 200 < drawn.count("a person walking.") < 300
    assert captions.named() == [["a person walking."], ["a person lying."]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"templates": ("a person",)}, "templates"),
        ({"templates": ()}, "templates"),
        ({"sentences": {"running": ["fast"]}}, "running"),
        ({"share": 1.5}, "share"),
    ],
)
def test_wrong_captions_are_refused(change, said):
    arguments = {"class_names": ("walking",), "templates": ("{}",), "sentences": {}} | change
    with pytest.raises(UserError, match=said):
        Captions(**arguments)


def images(count):
    """Bright and dark images."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    noise = torch.randint(0, 100, (count, 3, 16, 16), generator=random)
    return (noise + 120 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels


def learned(schooling):
    encoder = image_encoder().requires_grad_(True)
    losses = []
    captions = Captions(
        ("night", "day"), ("a {}", "{} time"), {"night": ["dark"], "day": ["light"]}
    )
    teach(encoder, *images(64), captions, schooling, lambda _, loss: losses.append(loss))
    return encoder, captions, losses


SCHOOLING = Schooling(epochs=6, batch_size=16, learning_rate=3e-3, augment=(CropFlip(padding=2),))


def test_images_and_captions_are_learned_and_the_same_again():
    encoder, captions, losses = learned(SCHOOLING)
    assert losses[-1] < losses[0] - 0.1
    inputs, labels = images(40)
    found = embed(encoder, inputs, size=7)
    assert torch.allclose(found, embed(encoder, inputs), atol=1e-5)
    classes = class_embeddings(encoder, captions)
    assert float((zero_shot(found, classes) == labels).float().mean()) > 0.9
    # A sentence, never a template, leads to the right images as well.
    with torch.no_grad():
        dark = F.normalize(encoder.encode_texts(["dark"]), dim=1) @ F.normalize(found, dim=1).mT
    assert float(dark[0, labels == 0].mean()) > float(dark[0, labels == 1].mean())
    again, _, _ = learned(SCHOOLING)
    for one, other in zip(encoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_logit_scale_stays_below_a_hundred():
    encoder = image_encoder().requires_grad_(True)
    encoder.model.logit_scale.data.fill_(9.0)
    teach(encoder, *images(16), Captions(("n", "d"), ("{}",), {}), Schooling(1, 16))
    assert float(encoder.logit_scale) <= 100.001
    assert not encoder.training


def test_signals_and_captions_are_learned():
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 2
    time = torch.arange(32) / 32
    waves = torch.sin(
        2 * math.pi * time * (1 + 3 * labels[:, None]) + torch.rand(64, 1, generator=random)
    )
    signals = torch.stack([waves, waves.roll(3, 1)], dim=1)
    torch.manual_seed(0)
    encoder = SignalTextEncoder(SIGNALS, [0.0, 0.0], [1.0, 1.0])
    captions = Captions(("slow", "fast"), ("{} motion", "moving {}"), {})
    teach(encoder, signals, labels, captions, Schooling(8, 16, 3e-3))
    found = zero_shot(embed(encoder, signals), class_embeddings(encoder, captions))
    assert float((found == labels).float().mean()) > 0.9


def test_too_few_samples_are_refused():
    with pytest.raises(UserError, match="batch_size"):
        teach(signal_encoder(), torch.zeros(3, 2, 32), torch.zeros(3).long(),
              Captions(("a",), ("{}",), {}), Schooling(1, 4))  # fmt: skip
