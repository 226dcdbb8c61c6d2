"""Sets that only test what was learned on ImageNet: other photographs, drawings, hard cases, renditions."""

from pathlib import PurePosixPath

from tutelage.data.clip_sets import About, ClipSet
from tutelage.data.pictures import ImageLayout
from tutelage.data.sources import Source
from tutelage.data.synsets import readable, synonyms
from tutelage.errors import UserError

_NAMES = "classnames.txt"


class _Shifted(ClipSet):
    """Images to test a network on that was trained on ImageNet; a folder for each class."""

    def _layout(self, source: Source) -> ImageLayout:
        words = synonyms(source.text(_NAMES))
        # Names are settled over all classes of the file: here and in ImageNet they are the same.
        names = readable(sorted(words), words, f"{source.path}: {_NAMES}")
        tokens = list(names)
        top = self.about.tops[0]
        files, found = {}, set[str]()
        for name in source.names:
            path = PurePosixPath(name)
            if path.parts[0] != top or len(path.parts) != 3:
                continue
            kind = path.parts[1]
            if kind.isdecimal() and int(kind) < len(tokens):
                kind = tokens[int(kind)]
            files[name] = ("test", kind)
            found.add(kind)
        unknown = sorted(found - set(tokens))
        if unknown:
            raise UserError(
                f"{self.about.name}: {source.path}: found class {unknown[0]!r}, allowed are the {len(tokens)} "
                f"of {_NAMES}"
            )
        classes = {token: names[token] for token in tokens if token in found}
        return self._described(source, files, classes, "all of it to test")


_TAKE = f"and {_NAMES} from the table of KaiyangZhou/CoOp's DATASETS.md"


class ImageNetV2(_Shifted):
    """ImageNetV2, matched frequency: 10,000 new photographs of the 1000 classes of ImageNet; all to test."""

    about = About(
        "imagenetv2", "imagenetv2", ("imagenetv2-matched-frequency-format-val", _NAMES), 1000, {"test": 10_000},
        "Recht, Roelofs, Schmidt, Shankar (2019), Do ImageNet Classifiers Generalize to ImageNet?, ICML",
        f"imagenetv2-matched-frequency.tar.gz from https://imagenetv2.org {_TAKE}",
    )  # fmt: skip


class ImageNetSketch(_Shifted):
    """ImageNet-Sketch: 50,889 drawings of the 1000 classes of ImageNet; all to test."""

    about = About(
        "imagenet-sketch", "imagenet-sketch", ("images", _NAMES), 1000, {"test": 50_889},
        "Wang, Ge, Lipton, Xing (2019), Learning Robust Global Representations, NeurIPS",
        f"the images from https://github.com/HaohanWang/ImageNet-Sketch {_TAKE}",
    )  # fmt: skip


class ImageNetA(_Shifted):
    """ImageNet-A: 7,500 photographs that ResNet-50 gets wrong, 200 classes of ImageNet; all to test."""

    about = About(
        "imagenet-a", "imagenet-adversarial", ("imagenet-a", _NAMES), 200, {"test": 7_500},
        "Hendrycks, Zhao, Basart, Steinhardt, Song (2021), Natural Adversarial Examples, CVPR",
        f"imagenet-a.tar from https://github.com/hendrycks/natural-adv-examples {_TAKE}",
    )  # fmt: skip


class ImageNetR(_Shifted):
    """ImageNet-R: 30,000 renditions (art, toys, games, ...), 200 classes of ImageNet; all to test."""

    about = About(
        "imagenet-r", "imagenet-rendition", ("imagenet-r", _NAMES), 200, {"test": 30_000},
        "Hendrycks et al. (2021), The Many Faces of Robustness, ICCV",
        f"imagenet-r.tar from https://github.com/hendrycks/imagenet-r {_TAKE}",
    )  # fmt: skip
