"""Encoders small enough for seconds, and concepts of four classes."""

import torch

from tutelage.concepts import Concept, ConceptSet, write
from tutelage.vlm.open_clip import new_open_clip, save_open_clip
from tutelage.vlm.pictures import Preparation
from tutelage.vlm.signal_text import SignalTextEncoder, Sizes, save_signal_text

IMAGES = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SIGNALS = Sizes(
    channels=2, length=32, patch=8, width=16, layers=1, heads=2,
    text_width=16, text_layers=1, text_heads=2, context=12, embed_dim=16,
)  # fmt: skip
SAID = {
    "a": ["round and red", "small", "moves fast"],
    "b": ["long and blue", "small", "moves slowly"],
    "c": ["flat and green", "large", "lies still"],
    "d": ["bright", "striped", "large"],
}


def image_encoder(seed=0):
    torch.manual_seed(seed)
    return new_open_clip(IMAGES, Preparation((16, 16))).eval().requires_grad_(False)


def image_folder(folder, seed=0):
    save_open_clip(folder, image_encoder(seed), IMAGES)
    return folder


def signal_encoder(seed=0):
    torch.manual_seed(seed)
    return SignalTextEncoder(SIGNALS, [0.5, -1.0], [2.0, 0.5]).eval().requires_grad_(False)


def signal_folder(folder, seed=0):
    save_signal_text(folder, signal_encoder(seed), "an untrained one, for tests")
    return folder


def concept_file(path, classes, said=SAID):
    """Write a few concepts of these classes, two of them shared."""
    rows = zip(classes, said.values(), strict=False)
    concepts = [Concept(text, (name,)) for name, texts in rows for text in texts]
    write(ConceptSet.join("few", classes, concepts), path)
    return path
