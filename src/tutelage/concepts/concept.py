"""What a concept is: a short phrase, the classes it belongs to, and where it came from."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from tutelage.errors import UserError, near, unknown


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a concept came from; a concept that was said for two classes has two origins.

    Args:
        class_name: the class it was said for.
        source: how it came here, such as ``written``, ``model`` or the name of an imported file.
        model: the language model that said it.
        prompt: what the model was asked, as it was sent.
        sentence: the line of the answer that the concept was taken from; empty where it was the phrase itself.
        when: day or second it was said, ISO 8601.
    """

    class_name: str
    source: str
    model: str = ""
    prompt: str = ""
    sentence: str = ""
    when: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """A short phrase that can be seen to hold or not to hold of a sample.

    Args:
        text: the phrase, one line.
        owners: the classes it belongs to, at least one.
        origins: where it came from; empty where that is not known.

    Raises:
        UserError: no phrase, no owner, an owner named twice, or an origin of a class that is no owner.
    """

    text: str
    owners: tuple[str, ...]
    origins: tuple[Provenance, ...] = ()

    def __post_init__(self) -> None:
        if not self.text or self.text != " ".join(self.text.split()):
            raise UserError(
                f"concept: found {self.text!r}, allowed is one line without outer or double spaces"
            )
        if not self.owners or len(set(self.owners)) != len(self.owners):
            raise UserError(
                f"concept {self.text!r}: found owners {list(self.owners)}, allowed are different classes"
            )
        for origin in self.origins:
            if origin.class_name not in self.owners:
                raise unknown(
                    f"concept {self.text!r}.origins", "class", origin.class_name, self.owners
                )


@dataclass(frozen=True)
class ConceptSet:
    """The concepts of a task. A concept may belong to several classes, and stands here once.

    Args:
        name: what they are of, such as ``cifar10``.
        classes: N class names, in the order of the data set.
        concepts: M concepts, in a fixed order: number i is column i of every score matrix.
        about: how they were made, for the reader.
        licence: terms they may be passed on under; empty where nobody stated any.

    Raises:
        UserError: a class or a phrase stands twice, or an owner is no class.
    """

    name: str
    classes: tuple[str, ...]
    concepts: tuple[Concept, ...]
    about: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        _once(f"concepts {self.name!r}: class", self.classes)
        _once(f"concepts {self.name!r}: concept", self.texts)
        known = set(self.classes)
        for concept in self.concepts:
            for owner in concept.owners:
                if owner not in known:
                    raise unknown(
                        f"concepts {self.name!r}: {concept.text!r}", "class", owner, self.classes
                    )

    @classmethod
    def join(
        cls,
        name: str,
        classes: Sequence[str],
        concepts: Iterable[Concept],
        *,
        about: str = "",
        licence: str = "",
    ) -> Self:
        """Build a set from concepts; those of equal phrase become one with the owners and origins of all.

        Args:
            name: what they are of.
            classes: class names; owners are put in their order.
            concepts: the first of equal phrases gives the place.
            about: how they were made.
            licence: terms they may be passed on under.
        """
        groups: dict[str, list[Concept]] = {}
        for concept in concepts:
            groups.setdefault(concept.text, []).append(concept)
        order = {owner: number for number, owner in enumerate(classes)}
        joined = tuple(
            Concept(
                text,
                _ordered((owner for one in group for owner in one.owners), order),
                tuple(dict.fromkeys(origin for one in group for origin in one.origins)),
            )
            for text, group in groups.items()
        )
        return cls(name, tuple(classes), joined, about, licence)

    def __len__(self) -> int:
        return len(self.concepts)

    @property
    def texts(self) -> tuple[str, ...]:
        """M phrases."""
        return tuple(concept.text for concept in self.concepts)

    @property
    def owners(self) -> npt.NDArray[np.bool_]:
        """Which class owns which concept, [N, M]; the language prior of a bottleneck is this matrix."""
        row = {name: number for number, name in enumerate(self.classes)}
        found = np.zeros((len(self.classes), len(self.concepts)), bool)
        for column, concept in enumerate(self.concepts):
            found[[row[owner] for owner in concept.owners], column] = True
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of classes, phrases and owners: what a cache of embeddings or a selection depends on."""
        content = [self.classes, [(one.text, one.owners) for one in self.concepts]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def of(self, class_name: str) -> list[int]:
        """Return the numbers of the concepts that belong to a class.

        Raises:
            UserError: there is no such class.
        """
        self._known(class_name)
        return [i for i, concept in enumerate(self.concepts) if class_name in concept.owners]

    def number(self, text: str) -> int:
        """Return the number of a concept.

        Raises:
            UserError: there is no such concept.
        """
        try:
            return self.texts.index(text)
        except ValueError:
            raise UserError(
                f"concepts {self.name!r}: unknown concept {text!r}{near(text, self.texts)}"
            ) from None

    def take(self, numbers: Sequence[int]) -> "ConceptSet":
        """Return the set of these concepts, in this order."""
        return replace(self, concepts=tuple(self.concepts[number] for number in numbers))

    def add(self, concept: Concept) -> "ConceptSet":
        """Return the set with one more concept at its end; one that is there gains owners and origins."""
        return self.join(
            self.name,
            self.classes,
            (*self.concepts, concept),
            about=self.about,
            licence=self.licence,
        )

    def remove(self, text: str) -> "ConceptSet":
        """Return the set without a concept."""
        place = self.number(text)
        return self.take([number for number in range(len(self)) if number != place])

    def for_classes(self, class_names: Sequence[str]) -> "ConceptSet":
        """Return the concepts of these classes, in the order of ``class_names``; others are left out.

        Raises:
            UserError: a class has no concepts here.
        """
        for name in class_names:
            if not self.of(name):
                raise UserError(f"concepts {self.name!r}: class {name!r} owns no concept")
        order = {name: number for number, name in enumerate(class_names)}
        kept = []
        for concept in self.concepts:
            owners = _ordered((one for one in concept.owners if one in order), order)
            if owners:
                origins = tuple(one for one in concept.origins if one.class_name in order)
                kept.append(Concept(concept.text, owners, origins))
        return replace(self, classes=tuple(class_names), concepts=tuple(kept))

    def first_owned(self) -> "ConceptSet":
        """Return the set as LaBo's released code has it: phrases sorted, each with the first class that lists it.

        The first is that of the order of ``classes``, which for an imported file is the file's own.

        Source:
            YueYANG1996/LaBo@83ed4b0 (``main.py``, ``data.py``): ``np.unique`` of the phrases in the file's order.
        """
        kept = []
        for one in sorted(self.concepts, key=lambda one: one.text):
            origins = tuple(origin for origin in one.origins if origin.class_name == one.owners[0])
            kept.append(Concept(one.text, one.owners[:1], origins))
        return replace(self, concepts=tuple(kept))

    def renamed(self, names: Mapping[str, str]) -> "ConceptSet":
        """Return the set with other class names.

        Args:
            names: old name -> new name; classes that are not in it keep theirs.
        """
        for old in names:
            self._known(old)

        def new(name: str) -> str:
            return names.get(name, name)

        concepts = tuple(
            Concept(
                one.text,
                tuple(new(owner) for owner in one.owners),
                tuple(replace(origin, class_name=new(origin.class_name)) for origin in one.origins),
            )
            for one in self.concepts
        )
        return replace(self, classes=tuple(new(name) for name in self.classes), concepts=concepts)

    def _known(self, class_name: str) -> None:
        if class_name not in self.classes:
            raise unknown(f"concepts {self.name!r}", "class", class_name, self.classes)


def _ordered(owners: Iterable[str], order: Mapping[str, int]) -> tuple[str, ...]:
    # A name that is no class goes last here, and is refused where the set is made.
    return tuple(sorted(set(owners), key=lambda owner: (order.get(owner, len(order)), owner)))


def _once(what: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UserError(f"{what} {name!r} stands twice, allowed is once")
        seen.add(name)
