import numpy as np
import pytest
import torch
from PIL import Image

from tests.interpret.doubles import Asking, inputs
from tutelage.interpret import concept_scores, gallery, heat_maps, overlay, spotlight
from tutelage.types import ConceptStream


def stream(space, concepts=3, count=4, seed=0):
    places = int(np.prod(space))
    attention = inputs(count, places, concepts, seed=seed).mul(2).softmax(dim=2)
    names = tuple(f"c{m}" for m in range(concepts))
    return ConceptStream(names, space, attention, torch.zeros(count, places, concepts, 2))


def test_scores_are_summed_attention_whatever_the_batches():
    network, x = Asking(3, (2, 4), 5), inputs(10, 3, 2, 4)
    network.train()
    whole = concept_scores(network, [x])["spatial"]
    parts = concept_scores(network, x.split(3))["spatial"]
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(whole, network.attention(x).sum(dim=1).detach())
    assert network.training


def test_galleries_by_the_slow_way():
    scores = inputs(20, 4)
    scores[7] = scores[3]  # a tie: the earlier first
    found = gallery(scores, 5)
    for m in range(4):
        order = sorted(range(20), key=lambda n: (-scores[n, m].item(), n))
        assert found[m].tolist() == order[:5]
    assert gallery(scores, 99).shape == (4, 20)


def test_heat_maps_are_those_of_an_image_library():
    shown = stream((4, 5))
    found = heat_maps(shown, (16, 20))
    assert found.shape == (4, 3, 16, 20)
    for b in range(4):
        a = shown.attention[b].numpy()
        scaled = (a - a.min()) / (a.max() - a.min())
        kept = np.where(scaled > 0.5, scaled, 0).astype(np.float32)
        for m in range(3):
            image = Image.fromarray(kept[:, m].reshape(4, 5)).resize(
                (20, 16), Image.Resampling.BILINEAR
            )
            np.testing.assert_allclose(found[b, m].numpy(), np.asarray(image), atol=1e-5)
    whole = heat_maps(shown, (4, 5), floor=0.0)
    assert whole.flatten(1).amax(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert whole.flatten(1).amin(dim=1).tolist() == pytest.approx([0.0] * 4)


def test_heat_maps_over_time():
    shown = stream((8,))
    found = heat_maps(shown, (8,), floor=0.0)
    a = shown.attention
    low, high = a.amin(dim=(1, 2), keepdim=True), a.amax(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(found, ((a - low) / (high - low)).transpose(1, 2))
    longer = heat_maps(shown, (64,), floor=0.0)
    assert longer.shape == (4, 3, 64)
    # linear between the centres of places: exact there
    middle = (longer[:, :, 3::8] + longer[:, :, 4::8]) / 2
    torch.testing.assert_close(
        middle[:, :, 0], found[:, :, 0] + (found[:, :, 1] - found[:, :, 0]) / 32
    )
    flat = ConceptStream(("a",), (4,), torch.full((1, 4, 1), 0.5), torch.zeros(1, 4, 1, 2))
    assert heat_maps(flat, (8,)).abs().max() == 0


def test_the_spotlight_dims_what_is_about_nothing():
    shown = stream((2, 3))
    found = spotlight(shown, (2, 3), active=0.6, dim=0.4)
    for b in range(4):
        for p in range(6):
            lit = shown.attention[b, p].max() > 0.6
            assert found[b].flatten()[p].item() == pytest.approx(1.0 if lit else 0.4)
    assert (found == 1).any()
    assert (found < 1).any()
    assert spotlight(shown, (8, 12)).shape == (4, 8, 12)


def test_an_overlay_is_a_mix_with_the_colours_of_the_map():
    import matplotlib

    image = np.random.default_rng(0).integers(0, 256, (3, 6, 7), dtype=np.uint8)
    heat = np.linspace(0, 1, 42).reshape(6, 7)
    found = overlay(image, heat, colours="jet", opacity=0.4)
    for row in range(6):
        for column in range(7):
            colour = np.array(matplotlib.colormaps["jet"](heat[row, column])[:3])
            wanted = np.rint(0.6 * image[:, row, column] + 0.4 * 255 * colour)
            assert found[:, row, column].tolist() == wanted.tolist()
    assert np.array_equal(overlay(image, heat, opacity=0.0), image)
    with pytest.raises(ValueError, match=r"image of \[6, 7\] and heat map of \[7, 6\] pixels"):
        overlay(image, heat.T)
