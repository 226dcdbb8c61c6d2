"""Deep prompts: against a loop over blocks written by hand, on both libraries, and gone afterwards."""

import copy
import pickle
from operator import methodcaller

import pytest
import torch
from torch import nn

from tests.vlm.small import image_encoder, signal_encoder
from tutelage.errors import UserError
from tutelage.vlm import HuggingFace
from tutelage.vlm.hugging_face import export_hugging_face
from tutelage.vlm.open_clip import new_open_clip
from tutelage.vlm.pictures import Preparation
from tutelage.vlm.prompts import Prompts
from tutelage.vlm.towers import Tower

pytest.importorskip("open_clip")
pytest.importorskip("transformers")

DEEP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 3},
}
image_tower, text_tower = methodcaller("image_tower"), methodcaller("text_tower")
TEXTS = ["a photo of a cat.", "a photo of a large aeroplane."]
PATCHES, TOKENS = 4, 3


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    torch.manual_seed(0)
    ours = new_open_clip(DEEP, Preparation((16, 16))).eval().requires_grad_(False)
    folder = tmp_path_factory.mktemp("hugging_face")
    export_hugging_face(folder, ours, DEEP)
    return {"open_clip": ours, "hugging_face": HuggingFace(str(folder)).load()}


def pictures():
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def made(tower, depth, tokens=TOKENS, seed=0):
    torch.manual_seed(seed)
    prompts = Prompts(tower, depth, tokens)
    prompts.tokens.data.mul_(20)  # so that they matter
    return prompts


def said(encoder, prompts=None):
    """Return what the image tower says of two images."""
    if prompts is None:
        return encoder.encode_inputs(pictures())
    with prompts.within(image_tower(encoder)):
        return encoder.encode_inputs(pictures())


def spoken(encoder, prompts=None):
    if prompts is None:
        return encoder.encode_texts(TEXTS)
    with prompts.within(text_tower(encoder)):
        return encoder.encode_texts(TEXTS)


def image_oracle(model, prompts):
    """The image tower of open_clip step by step, with prompts at the end of the sequence before ``ln_pre``."""
    visual = model.visual
    x = visual.conv1(pictures()).flatten(2).mT
    x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], dim=1) + visual.positional_embedding
    x = torch.cat([x, prompts.tokens[0].expand(2, -1, -1)], dim=1)
    x = visual.ln_pre(x)
    for i, block in enumerate(visual.transformer.resblocks):
        if 0 < i < len(prompts.tokens):
            kept = x[:, : 1 + PATCHES]
            x = torch.cat([kept, prompts.tokens[i].expand(2, -1, -1)], dim=1)
        x = block(x)
    return visual.ln_post(x[:, 0]) @ visual.proj


def text_oracle(encoder, prompts):
    """The text tower of open_clip step by step, with prompts at positions 1 to n of the embedded words."""
    model, words = encoder.model, encoder.tokenise(TEXTS)
    x = model.token_embedding(words)
    for i, block in enumerate(model.transformer.resblocks):
        if i < len(prompts.tokens):
            own = prompts.tokens[i].expand(2, -1, -1)
            x = torch.cat([x[:, :1], own, x[:, 1 + TOKENS :]], dim=1)
        if i == 0:
            x = x + model.positional_embedding
        x = block(x, attn_mask=model.attn_mask)
    end = words.argmax(dim=1)
    return model.ln_final(x)[torch.arange(2), end] @ model.text_projection


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_both_towers_equal_a_loop_written_by_hand(encoders, depth):
    encoder = encoders["open_clip"]
    prompts = made(image_tower(encoder), depth)
    torch.testing.assert_close(said(encoder, prompts), image_oracle(encoder.model, prompts))
    prompts = made(text_tower(encoder), depth)
    torch.testing.assert_close(spoken(encoder, prompts), text_oracle(encoder, prompts))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_both_libraries_agree_on_the_same_weights(encoders, depth):
    ours, theirs = encoders.values()
    for tower, answer in ((image_tower, said), (text_tower, spoken)):
        prompts = made(tower(ours), depth)
        plain, found = answer(ours), answer(ours, prompts)
        assert (found - plain).abs().max() > 0.01
        torch.testing.assert_close(answer(theirs, prompts), found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("library", ["open_clip", "hugging_face"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_block_sees_the_prompts_and_none_without(encoders, library, depth):
    encoder, lengths = encoders[library], []
    handles = [
        block.register_forward_hook(lambda _, __, output: lengths.append(output.shape[1]))
        for tower in (image_tower(encoder), text_tower(encoder))
        for block in tower.blocks
    ]

    def seen(answer, *prompts):
        lengths.clear()
        answer(encoder, *prompts)
        return lengths

    try:
        assert seen(said) == [1 + PATCHES] * 3
        assert seen(said, made(image_tower(encoder), depth)) == [1 + PATCHES + TOKENS] * 3
        # In the place of words: no longer than without.
        assert seen(spoken, made(text_tower(encoder), depth)) == seen(spoken) == [12] * 3
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("library", ["open_clip", "hugging_face"])
def test_afterwards_the_encoder_is_bit_for_bit_what_it_was(encoders, library):
    encoder = encoders[library]
    before = said(encoder), spoken(encoder)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    for tower, answer in ((image_tower, said), (text_tower, spoken)):
        answer(encoder, made(tower(encoder), 2))
        with (
            pytest.raises(RuntimeError, match="stop"),
            made(tower(encoder), 2).within(tower(encoder)),
        ):
            raise RuntimeError("stop")
    assert torch.equal(before[0], said(encoder))
    assert torch.equal(before[1], spoken(encoder))
    assert all(torch.equal(state[name], value) for name, value in encoder.state_dict().items())
    hooks = [m for m in encoder.modules() if m._forward_pre_hooks or m._forward_hooks]
    assert hooks == []


@pytest.mark.parametrize("library", ["open_clip", "hugging_face"])
def test_gradients_reach_every_prompt_and_nothing_else(encoders, library):
    encoder = encoders[library]
    for tower, answer in ((image_tower, said), (text_tower, spoken)):
        prompts = made(tower(encoder), 3)
        answer(encoder, prompts).square().sum().backward()
        assert bool(prompts.tokens.grad.abs().sum(dim=2).gt(0).all())
    assert all(p.grad is None for p in encoder.parameters())


def test_words_as_prompts_change_nothing(encoders):
    for encoder in encoders.values():
        tower = text_tower(encoder)
        words = encoder.tokenise(TEXTS)[0, 1 : 1 + TOKENS]
        first = tower.words(words)
        assert torch.equal(spoken(encoder, Prompts(tower, 1, TOKENS, first)), spoken(encoder))


def test_a_signal_tower_takes_prompts_too():
    encoder = signal_encoder()
    x = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0))
    plain = encoder.encode_inputs(x)
    prompts = made(image_tower(encoder), 1)
    with prompts.within(image_tower(encoder)):
        assert not torch.allclose(encoder.encode_inputs(x), plain, atol=1e-3)
    assert torch.equal(encoder.encode_inputs(x), plain)
    with made(text_tower(encoder), 1).within(text_tower(encoder)):
        assert encoder.encode_texts(["walking"]).isfinite().all()


def test_published_sizes():
    def of(width, blocks):
        return Tower(nn.ModuleList([nn.LayerNorm(width) for _ in range(blocks)]), width)

    # 4 tokens, depth 9 of ViT-B/16.
    assert Prompts(of(768, 12), 9, 4).tokens.numel() == 27_648
    assert Prompts(of(512, 12), 9, 4).tokens.numel() == 18_432
    values = Prompts(of(768, 12), 9, 4).tokens
    assert abs(float(values.detach().std()) - 0.02) < 5e-4


def test_prompts_are_copied_and_pickled():
    encoder = image_encoder()
    prompts = made(image_tower(encoder), 2)
    for other in (copy.deepcopy(prompts), pickle.loads(pickle.dumps(prompts))):
        assert torch.equal(said(encoder, other), said(encoder, prompts))


def test_what_cannot_be_prompted_is_refused():
    encoder = image_encoder()
    tower = image_tower(encoder)
    for depth in (0, 3):
        with pytest.raises(ValueError, match=f"depth: {depth}; allowed: 1 to the 2 blocks"):
            Prompts(tower, depth, 4)
    with pytest.raises(ValueError, match="tokens: 0"):
        Prompts(tower, 1, 0)
    pooled = image_encoder()
    pooled.model.visual.pool_type = "avg"
    with pytest.raises(UserError, match="pools all tokens"):
        image_tower(pooled)
    other = image_encoder()
    other.model = nn.Linear(2, 2)
    for find, what in ((image_tower, "inputs"), (text_tower, "texts")):
        with pytest.raises(UserError, match=f"no transformer for {what}"):
            find(other)


def test_an_encoder_may_say_itself_where_its_blocks_are():
    encoder = image_encoder()
    found = image_tower(encoder), text_tower(encoder)
    other = image_encoder()
    other.model = nn.Identity()
    other.image_tower, other.text_tower = lambda: found[0], lambda: found[1]
    assert (image_tower(other), text_tower(other)) == found
