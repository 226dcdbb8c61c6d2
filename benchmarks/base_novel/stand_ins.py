"""Two small dual encoders of CIFAR-10, teacher and student, because no CLIP weights can be had here.

python -m benchmarks.base_novel.stand_ins    -> stand-ins/cifar10 (teacher; also LaBo's), stand-ins/cifar10-student

As CLIP's, both have read the names of all ten classes, base and novel, and have seen other images than the
recipes use. The student is narrower and shallower and has a smaller space, so that a projector is needed, as
between ViT-B/16 and ViT-L/14.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.labo import stand_in
from benchmarks.labo.stand_in import CIFAR, CONFIG, PER_CLASS, captions_of, held_out, judge
from tutelage.augment import CropFlip
from tutelage.concepts.files import open_concepts
from tutelage.data import Cifar10
from tutelage.vlm.captions import IMAGE_TEMPLATES
from tutelage.vlm.open_clip import OpenClipEncoder, new_open_clip, save_open_clip
from tutelage.vlm.training import Schooling

STUDENT = {
    "embed_dim": 96,
    "vision_cfg": CONFIG["vision_cfg"] | {"width": 64, "layers": 2, "head_width": 32},  # type: ignore[operator]
    "text_cfg": CONFIG["text_cfg"] | {"width": 64, "heads": 2},  # type: ignore[operator]
}


def student(folder: Path, images: int, epochs: int, seed: int) -> dict[str, object]:
    """Train and save the smaller stand-in, on the same images and captions as the teacher."""
    concepts = open_concepts("cifar10")
    hidden = held_out(concepts, seed)
    captions = captions_of(concepts, hidden, IMAGE_TEMPLATES)
    inputs, labels = stand_in.other_images(images // 10)
    torch.manual_seed(seed)
    encoder: OpenClipEncoder = new_open_clip(STUDENT, CIFAR)
    schooling = Schooling(epochs, augment=(CropFlip(mode="reflect"),), seed=seed)
    seconds = stand_in.school(encoder, inputs, labels, captions, schooling)
    save_open_clip(folder, encoder, STUDENT)
    used = Cifar10(per_class=PER_CLASS).load()
    return {"samples": len(inputs), "seconds": seconds} | judge(
        encoder, captions, concepts, hidden, used
    )


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("stand-ins"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, make in (("cifar10", stand_in.cifar10), ("cifar10-student", student)):
        log = options.out / name / "stand_in.log"
        if not log.exists():
            found = make(log.parent, options.images, options.epochs, options.seed)
            about = {"arguments": vars(options) | {"out": name}, **found}
            log.write_text(json.dumps(about, indent=1) + "\n")
        print(log, log.read_text())


if __name__ == "__main__":
    main()
