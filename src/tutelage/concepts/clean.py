"""Phrases in order: one spelling, no class names, no residue of prompts, each once with all its classes."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tutelage.concepts.concept import Concept, ConceptSet, Provenance
from tutelage.concepts.names import Names
from tutelage.concepts.unclear import Unclear, unclear
from tutelage.errors import UserError, unknown

_RESIDUE = re.compile(
    r"extract concepts?\b|\bfrom sentence\b|\b\d+ (?:short )?(?:sentences|phrases)\b"
    r"|^(?:sure|certainly)\s*(?:[,.!:;]|$)|^(?:sure |certainly )?here (?:are|is)\b"
    r"|^use \d+\b|\bas an ai\b|\blanguage model\b|\bi (?:cannot|can't|am unable|hope)\b|\bthe following\b"
)
_OVERLAP = 5  # words in a row that a phrase may not share with the prompt it answers
_LOOSE = re.compile(
    r"(?:(?:^|\s+)(?:a|an|the|its|their|of|in|on|with|and|or|for|to|by|is|are|has|have))+$"
)
_OPENING = re.compile(
    r"^(?:(?:a(?! (?:little|few|lot|bit)\b)|an|the|its|their|and|or|of|with)\s+)+"
)


@dataclass(frozen=True)
class Rules:
    """Which phrases stay.

    Args:
        class_names: what happens to a phrase with the name of a class (of any class, for a name tells which
            class it is not, too): it is rejected, the name is removed, or replaced by ``superclass``.
        superclass: the word for all classes, such as ``animal``; needed for ``replace``.
        also: other words that tell a class as its name does, such as ``plane``.
        refuse: words that no phrase may have, such as ``loyal``, which cannot be seen.
        shortest: least number of words.
        longest: largest number of words; 19 is the longest phrase of the released files.
        unclear: what else is left out: ``vague`` ("distinctive look", "color can vary"), ``negated`` ("no tail"; a
            text encoder takes it for a tail) and ``cut`` ("long legs and the") phrases.

    Raises:
        UserError: ``replace`` without a superclass, no length is allowed, or there is no such kind.
    """

    class_names: Literal["reject", "remove", "replace"] = "reject"
    superclass: str = ""
    also: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    shortest: int = 1
    longest: int = 19
    unclear: tuple[Unclear, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.unclear:
            if kind not in get_args(Unclear):
                raise unknown("unclear", "kind", kind, get_args(Unclear))
        if self.class_names not in ("reject", "remove", "replace"):
            raise UserError(
                f"class_names: found {self.class_names!r}, allowed are reject, remove, replace"
            )
        if self.class_names == "replace" and not self.superclass.strip():
            raise UserError("superclass: found none, 'replace' needs a word such as 'animal'")
        if not 1 <= self.shortest <= self.longest:
            raise UserError(
                f"shortest, longest: found {self.shortest} and {self.longest} words, "
                "allowed is 1 <= shortest <= longest"
            )


@dataclass(frozen=True)
class Dropped:
    """A phrase that did not stay, and why; ``word`` is the class name in it, or the phrase that it is like."""

    text: str
    owners: tuple[str, ...]
    reason: str
    word: str = ""


@dataclass(frozen=True)
class Cleaned:
    """What stayed and what did not.

    Args:
        concepts: phrases that stayed; those that differ in case, punctuation or article only are one, which
            belongs to the classes of all of them.
        dropped: the others.
        joined: how many phrases became part of an earlier one.
    """

    concepts: ConceptSet
    dropped: tuple[Dropped, ...]
    joined: int

    @property
    def reasons(self) -> dict[str, int]:
        """How many phrases were dropped for each reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.dropped).most_common())

    @property
    def names(self) -> dict[str, int]:
        """How many phrases were dropped for each class name in them, the most frequent first."""
        named = (one.word.lower() for one in self.dropped if one.reason == "class name")
        return dict(Counter(named).most_common())


def clean(concepts: ConceptSet, rules: Rules | None = None) -> Cleaned:
    """Return the phrases that follow the rules, spelled alike; no class loses a phrase to another one.

    Args:
        concepts: phrases as they came.
        rules: default :class:`Rules`.
    """
    sieve = Sieve(concepts.classes, rules)
    for concept in concepts.concepts:
        sieve.take(concept)
    return sieve.cleaned(concepts.name, about=concepts.about, licence=concepts.licence)


class Sieve:
    """Takes phrases one by one, so that those that do not stay need not be in memory together.

    Args:
        classes: class names, in the order of the data set.
        rules: default :class:`Rules`.
    """

    def __init__(self, classes: Sequence[str], rules: Rules | None = None) -> None:
        self._classes = tuple(classes)
        self._tidy = _Tidy(self._classes, rules or Rules())
        self._first: dict[str, str] = {}
        self._kept: dict[str, tuple[dict[str, None], dict[Provenance, None]]] = {}
        self._texts: set[str] = set()
        self._dropped: dict[str, Dropped] = {}

    def take(self, concept: Concept) -> None:
        """Keep a phrase, spelled as the first one like it, or note why it does not stay; equal ones count once."""
        text, reason, word = self._tidy(concept)
        if reason:
            before = self._dropped.get(concept.text)
            owners = concept.owners if before is None else (*before.owners, *concept.owners)
            owners = tuple(dict.fromkeys(owners))
            self._dropped[concept.text] = Dropped(concept.text, owners, reason, word)
        else:
            self._texts.add(concept.text)
            first = self._first.setdefault(key(text), text)
            owned, said = self._kept.setdefault(first, ({}, {}))
            owned.update(dict.fromkeys(concept.owners))
            said.update(dict.fromkeys(concept.origins))

    def cleaned(self, name: str, *, about: str = "", licence: str = "") -> Cleaned:
        """Return what stayed and what did not."""
        kept = (
            Concept(text, tuple(owned), tuple(said)) for text, (owned, said) in self._kept.items()
        )
        found = ConceptSet.join(name, self._classes, kept, about=about, licence=licence)
        return Cleaned(found, tuple(self._dropped.values()), len(self._texts) - len(found))


def key(text: str) -> str:
    """Return what equal phrases have in common: words without case, punctuation and opening article.

    Examples:
        >>> key("A V-shaped tail.") == key("v shaped  tail")
        True
    """
    words = re.sub(r"[^\w%°]+", " ", text.lower().replace("'", "").replace("’", "")).strip()
    return _OPENING.sub("", words)


class _Tidy:
    """Spells a phrase and says what is wrong with it."""

    def __init__(self, classes: Sequence[str], rules: Rules) -> None:
        self._rules = rules
        self._names = Names(classes, rules.also)
        self._refused = Names((), rules.refuse)
        self._prompts: dict[str, str] = {}

    def __call__(self, concept: Concept) -> tuple[str, str, str]:
        """Return the phrase, the reason to drop it, empty if it stays, and the class name that is the reason."""
        residue = _RESIDUE.search(concept.text.lower()) is not None
        if residue or any(self._echo(concept.text, one.prompt) for one in concept.origins):
            return "", "residue of a prompt", ""
        text = _spell(concept.text)
        name = self._names.found(text)
        if name is not None and self._rules.class_names == "reject":
            return "", "class name", name
        if name is not None:
            word = self._rules.superclass if self._rules.class_names == "replace" else ""
            # "Ears of the cat" would leave "ears of the".
            text = _LOOSE.sub("", _spell(self._names.replaced(text, word.strip().lower())))
        return text, self._length(text) or self._word(text) or self._unclear(concept.text, text), ""

    def _length(self, text: str) -> str:
        if not _LOOSE.sub("", key(text)):
            return "empty"
        count = len(text.split())
        if count < self._rules.shortest:
            return f"fewer than {self._rules.shortest} words"
        return f"more than {self._rules.longest} words" if count > self._rules.longest else ""

    def _echo(self, text: str, prompt: str) -> bool:
        """Whether a phrase repeats the prompt."""
        if not prompt:
            return False
        if prompt not in self._prompts:
            self._prompts[prompt] = f" {key(prompt)} "
        asked = self._prompts[prompt]
        words = key(text).split()
        runs = range(len(words) - _OVERLAP + 1)
        return any(f" {' '.join(words[i : i + _OVERLAP])} " in asked for i in runs)

    def _unclear(self, said: str, text: str) -> str:
        kind = unclear(said, text)
        return kind if kind in self._rules.unclear else ""

    def _word(self, text: str) -> str:
        word = self._refused.found(text)
        return f"refused word {word!r}" if word else ""


def _spell(text: str) -> str:
    """Return one spelling: lower case, single spaces, no article before, no punctuation around."""
    spelled = " ".join(text.lower().replace("’", "'").split()).strip(" .,;:!?\"'*-–—=+@")
    return _OPENING.sub("", spelled).strip(" ,;:-")
