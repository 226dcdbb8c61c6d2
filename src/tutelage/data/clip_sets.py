"""The sets that prompt learning for CLIP is measured on, arranged as CoOp arranged them all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from tutelage.data.image_loader import ImageLoader
from tutelage.data.loader import at_least
from tutelage.data.pictures import ImageLayout, central
from tutelage.data.sources import Folder, Source
from tutelage.data.store import sha256
from tutelage.errors import UserError

# Some files of SUN397 and of the pets are GIF or BMP by the name of .jpg.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
_PARTS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class About:
    """What has been published about one data set.

    Args:
        name: in records.
        place: folder of the data set, below the one of all data sets.
        tops: what is read in it; the first is a folder of images.
        classes: how many there are.
        counts: part -> number of images.
        citation: whom to cite.
        where: what to get from where, for a sentence.
        size: height and width in pixels that images are stored at.
    """

    name: str
    place: str
    tops: tuple[str, ...]
    classes: int
    counts: Mapping[str, int]
    citation: str
    where: str
    size: int = 256


def _about(
    name: str, place: str, tops: Sequence[str], classes: int, counts: Sequence[int], **words: Any
) -> About:
    """Return what is published of a set with three parts: to train on, to validate on, to test."""
    parts = dict(zip(_PARTS.values(), counts, strict=True))
    return About(name, place, tuple(tops), classes, parts, **words)


@dataclass(frozen=True)
class ClipSet(ImageLoader):
    """One data set of the protocols of prompt learning: images of several sizes, with named classes.

    The shorter side of each image is resized to ``stored`` pixels (bicubic, antialiased, as CLIP does it), and
    the central square is kept. Class numbers are the published ones, so the first half of the classes is the
    "base" half of the literature. Underscores in names of classes become spaces. ``folder`` is that of the data
    set, or the one around it.

    Args:
        stored: height and width of the stored images in pixels; None: 256, and 64 for EuroSAT.

    Source:
        The arrangement of files is that of Zhou et al. 2022, Learning to Prompt for Vision-Language Models,
        IJCV, arXiv:2109.01134; code KaiyangZhou/CoOp@ff61507 (``DATASETS.md``).
    """

    about: ClassVar[About]

    stored: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, stored=self.stored)

    @property
    def cache_name(self) -> str:
        """Name of the folder as CoOp has it."""
        return self.about.place

    def _source(self, cache: Path) -> Folder:
        root, about = self._root(cache), self.about
        for path in (root, root / about.place):
            if (path / about.tops[0]).is_dir():
                return Folder(path, about.tops)
        raise UserError(
            f"{self.kind}.folder: found no folder {about.tops[0]!r} in {root.absolute()}; get "
            f"{about.where} and put {', '.join(about.tops)} into {cache}, or name where they are: folder"
        )

    def _described(
        self,
        source: Source,
        files: Mapping[str, tuple[str, str]],
        classes: Mapping[str, str],
        note: str,
    ) -> ImageLayout:
        """Return the layout of listed files.

        Args:
            source: where they are.
            files: path -> part and token of the class, in the publisher's order.
            classes: token of each class -> readable name, by number.
            note: where the list is from.
        """
        about = self.about
        self._expect_classes(f"{about.name}: {source.path}", len(classes), about.classes)
        return ImageLayout(
            about.name, f"{about.citation}; {note}", classes,
            lambda path: files.get("/".join(path)),
            {part: (count, None) for part, count in about.counts.items()},
            self.stored or about.size, partial(central, interpolation="bicubic"), formats=_FORMATS,
            listed={path: place for place, path in enumerate(files)},
        )  # fmt: skip


class ListedSet(ClipSet):
    """A set whose parts are those of a ``split_zhou_*.json``, the last of its files."""

    def _layout(self, source: Source) -> ImageLayout:
        listed = _read_split(source, self.about.tops[-1])
        # Paths begin below the folder of images; where there are two (cars), at the folder of the set.
        head = f"{self.about.tops[0]}/" if len(self.about.tops) == 2 else ""
        files, names = {}, dict[int, str]()
        for part, rows in listed.items():
            for path, label, name in rows:
                files[head + path.lstrip("/")] = (part, name)
                if names.setdefault(label, name) != name:
                    raise self._refuse(
                        source, f"classes {names[label]!r} and {name!r} of number {label}"
                    )
        if sorted(names) != list(range(len(names))) or len(set(names.values())) < len(names):
            raise self._refuse(
                source, f"{len(names)} classes, numbered {min(names)} to {max(names)}"
            )
        classes = {names[number]: _spaced(names[number]) for number in sorted(names)}
        digest = sha256(source.path / self.about.tops[-1])
        return self._described(
            source, files, classes, f"parts of {self.about.tops[-1]}, SHA-256 {digest[:16]}"
        )

    def _refuse(self, source: Source, found: str) -> UserError:
        return UserError(
            f"{self.about.name}: {source.path}: {self.about.tops[-1]}: found {found}, allowed is one name for "
            "each number from 0"
        )


def _read_split(source: Source, name: str) -> dict[str, list[tuple[str, int, str]]]:
    """Return path, class number and class name of the images of each part.

    Raises:
        UserError: the file is no such list.
    """
    try:
        content = json.loads(source.text(name))
        return {
            part: [(str(path), int(label), str(kind)) for path, label, kind in content[key]]
            for key, part in _PARTS.items()
        }
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{source.path}: {name}: found no lists train, val and test of [path, number, name] ({error!r})"
        ) from error


def _spaced(name: str) -> str:
    """Return a name as it stands in a prompt."""
    return name.replace("_", " ")


class Caltech101(ListedSet):
    """Caltech-101: 4,128 images to train on, 1,649 to validate on and 2,465 to test, 100 classes."""

    about = _about(
        "caltech101", "caltech-101", ("101_ObjectCategories", "split_zhou_Caltech101.json"),
        100, (4_128, 1_649, 2_465),
        citation="Fei-Fei, Fergus, Perona (2004), Learning generative visual models from few training examples",
        where="caltech-101.zip from https://data.caltech.edu/records/mzrjq-6wc02",
    )  # fmt: skip


class OxfordPets(ListedSet):
    """Oxford-IIIT Pets: 2,944 images to train on, 736 to validate on and 3,669 to test, 37 breeds."""

    about = _about(
        "oxfordpets", "oxford_pets", ("images", "split_zhou_OxfordPets.json"), 37, (2_944, 736, 3_669),
        citation="Parkhi, Vedaldi, Zisserman, Jawahar (2012), Cats and Dogs, CVPR",
        where="images.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/pets",
    )  # fmt: skip


class StanfordCars(ListedSet):
    """Stanford Cars: 6,509 images to train on, 1,635 to validate on and 8,041 to test, 196 models."""

    about = _about(
        "stanfordcars", "stanford_cars", ("cars_train", "cars_test", "split_zhou_StanfordCars.json"),
        196, (6_509, 1_635, 8_041),
        citation="Krause, Stark, Deng, Fei-Fei (2013), 3D Object Representations for Fine-Grained Categorization",
        where="cars_train.tgz and cars_test.tgz from https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    )  # fmt: skip


class Flowers102(ListedSet):
    """Oxford Flowers 102: 4,093 images to train on, 1,633 to validate on and 2,463 to test, 102 species."""

    about = _about(
        "flowers102", "oxford_flowers", ("jpg", "split_zhou_OxfordFlowers.json"), 102, (4_093, 1_633, 2_463),
        citation="Nilsback, Zisserman (2008), Automated Flower Classification over a Large Number of Classes",
        where="102flowers.tgz from https://www.robots.ox.ac.uk/~vgg/data/flowers/102",
    )  # fmt: skip


class Food101(ListedSet):
    """Food-101: 50,500 images to train on, 20,200 to validate on and 30,300 to test, 101 dishes."""

    about = _about(
        "food101", "food-101", ("images", "split_zhou_Food101.json"), 101, (50_500, 20_200, 30_300),
        citation="Bossard, Guillaumin, Van Gool (2014), Food-101, Mining Discriminative Components, ECCV",
        where="food-101.tar.gz from https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
    )  # fmt: skip


class SUN397(ListedSet):
    """SUN397: 15,880 images to train on, 3,970 to validate on and 19,850 to test, 397 scenes."""

    about = _about(
        "sun397", "sun397", ("SUN397", "split_zhou_SUN397.json"), 397, (15_880, 3_970, 19_850),
        citation="Xiao, Hays, Ehinger, Oliva, Torralba (2010), SUN Database, CVPR",
        where="SUN397.tar.gz from https://vision.princeton.edu/projects/2010/SUN",
    )  # fmt: skip


class DTD(ListedSet):
    """Describable Textures: 2,820 images to train on, 1,128 to validate on and 1,692 to test, 47 textures."""

    about = _about(
        "dtd", "dtd", ("images", "split_zhou_DescribableTextures.json"), 47, (2_820, 1_128, 1_692),
        citation="Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi (2014), Describing Textures in the Wild, CVPR",
        where="dtd-r1.0.1.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/dtd",
    )  # fmt: skip


class EuroSAT(ListedSet):
    """EuroSAT (RGB): 13,500 images to train on, 5,400 to validate on and 8,100 to test, 64x64, 10 land uses."""

    about = _about(
        "eurosat", "eurosat", ("2750", "split_zhou_EuroSAT.json"), 10, (13_500, 5_400, 8_100),
        citation="Helber, Bischke, Dengel, Borth (2019), EuroSAT, IEEE JSTARS 12(7)",
        where="EuroSAT.zip from https://github.com/phelber/EuroSAT", size=64,
    )  # fmt: skip


class UCF101(ListedSet):
    """UCF101, a frame of each video: 7,639 to train on, 1,898 to validate on and 3,783 to test, 101 actions."""

    about = _about(
        "ucf101", "ucf101", ("UCF-101-midframes", "split_zhou_UCF101.json"), 101, (7_639, 1_898, 3_783),
        citation="Soomro, Zamir, Shah (2012), UCF101, arXiv:1212.0402",
        where="UCF-101-midframes.zip from the table of KaiyangZhou/CoOp's DATASETS.md",
    )  # fmt: skip


class FGVCAircraft(ClipSet):
    """FGVC-Aircraft: 3,334 images to train on, 3,333 to validate on and 3,333 to test, 100 variants."""

    about = _about(
        "fgvcaircraft", "fgvc_aircraft",
        ("images", "variants.txt", *(f"images_variant_{part}.txt" for part in _PARTS)),
        100, (3_334, 3_333, 3_333),
        citation="Maji, Rahtu, Kannala, Blaschko, Vedaldi (2013), Fine-Grained Visual Classification of Aircraft",
        where="fgvc-aircraft-2013b.tar.gz from https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft",
    )  # fmt: skip

    def _layout(self, source: Source) -> ImageLayout:
        names = [line.strip() for line in source.text("variants.txt").splitlines() if line.strip()]
        files = {}
        for part, side in _PARTS.items():
            for line in source.text(f"images_variant_{part}.txt").splitlines():
                number, _, name = line.strip().partition(" ")
                if number:
                    files[f"images/{number}.jpg"] = (side, name)
        classes = {name: _spaced(name) for name in names}
        return self._described(source, files, classes, "the publisher's parts")
