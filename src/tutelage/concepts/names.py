"""Class names in running text: the forms a name takes, and phrases without them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+")
_GAP = re.compile(r"[\s_\-'’.]+")  # between the words of one name: "St. Bernard", "jack-o'-lantern"
_TAIL = re.compile(r"['’]s?(?!\w)|(?:-\w+)+")  # "cat's", "cats’", "cat-like"
_IRREGULAR = {
    "man": ("men",), "woman": ("women",), "person": ("people",), "child": ("children",),
    "mouse": ("mice",), "goose": ("geese",), "foot": ("feet",), "tooth": ("teeth",), "ox": ("oxen",),
    "sit": ("sat",), "stand": ("stood",), "run": ("ran",), "lie": ("lay", "lain"), "write": ("wrote", "written"),
    "ride": ("rode", "ridden"), "rise": ("rose", "risen"), "drive": ("drove", "driven"),
    "sleep": ("slept",), "sweep": ("swept",), "swim": ("swam", "swum"), "eat": ("ate", "eaten"),
}  # fmt: skip
# Verbs whose bare form is more often a noun of another meaning: "a row of teeth" is not rowing.
_NOUNS = frozenset({"bowl", "box", "fence", "row", "type"})
# Nouns that are more often a verb before another one: "can be opened" is no can.
_AUXILIARIES = frozenset({"can", "may", "must", "will"})
# Other names that are a verb as well: "legs that bear weight" is no bear, "ducks its head" no duck.
_ALSO_VERBS = frozenset(
    """badger bark bat bear bolt bowl box bridge brush bug can coach comb cook crab crane crow dock dog
    drill duck fan fence ferret fish fly fox gnat hammer harp hawk hook hound iron lock match monkey
    nail parrot park pen perch pig pipe plane plant plug point press prune quail ram rat ray ring rock
    roll row rule sail saw school screw seal ship shower skate skirt ski skunk slide snake snipe spoon
    spring squirrel stamp stool swallow swift swing switch table tank tap tie train tram trap truck
    trumpet tub type vault wallow watch weasel whale whip whistle wolf worm wrench yak""".split()
)
_BEFORE_VERB = frozenset(
    "to can could may might must will would shall should do does did not never often usually always sometimes "
    "rarely it they he she you we i that which who".split()
)
_OBJECTS = frozenset(
    "a an the its their his her itself themselves up down away off around along back".split()
)
_DETERMINERS = frozenset(
    "a an the this each every one another any no its his her their your my two three four many several".split()
)
_SUBJECTS = frozenset("it they he she you we i that which who and or".split())
_AFTER_NOUN = frozenset("of with without in on for from and or to at by under that is has".split())


def forms(name: str) -> tuple[str, ...]:
    """Return a class name and the plural, or the other forms of a verb, in lower case.

    Only the last word changes; of names that open with a verb in -ing ("walking upstairs"), also the
    first. Irregular words: a short list.

    Examples:
        >>> forms("Sky Fox")
        ('sky fox', 'sky foxes')
        >>> forms("lying")
        ('lying', 'lie', 'lies', 'lay', 'lain', 'lied', 'lier', 'liers', 'lyings')
    """
    words = _words(name)
    if not words:
        return ()
    found = [words]
    found += [[*words[:-1], form] for form in _of_word(words[-1], nouns=True)]
    if len(words) > 1 and words[0].endswith("ing"):
        found += [[form, *words[1:]] for form in _of_word(words[0], nouns=False)]
    return tuple(dict.fromkeys(" ".join(one) for one in found))


class Names:
    """Finds class names in phrases by whole words: "cat's whiskers" and "cat-like" have one, "delicate" has none.

    A name that is a verb as well is found as a noun ("a can", "tin can with a lid", "row of teeth"), not as a verb
    ("can be opened", "legs that bear weight", "rows the boat"): by the words around it.

    Time does not grow with the number of names: they are looked up by their first word.

    Args:
        class_names: the names.
        also: other words for them that tell a class just as well, such as ``plane``.
    """

    def __init__(self, class_names: Iterable[str], also: Iterable[str] = ()) -> None:
        every = {tuple(_words(form)) for name in (*class_names, *also) for form in forms(name)}
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        # A longer name is tried first: "tree frog" is found whole, not as "frog".
        for words in sorted(every, key=lambda words: (-len(words), words)):
            self._by_first.setdefault(words[0], []).append(words)

    def found(self, text: str) -> str | None:
        """Return the first name in a phrase, as it stands there; None if there is none."""
        span = next(self._spans(text), None)
        return None if span is None else text[slice(*span)]

    def replaced(self, text: str, word: str = "") -> str:
        """Return the phrase with ``word`` for every name; a possessive name gives a possessive word."""
        parts, last = [], 0
        for start, end in self._spans(text):
            owns = word and re.search(r"['’]s?$", text[start:end])
            parts += [text[last:start], word + ("'s" if owns else "")]
            last = end
        return " ".join("".join([*parts, text[last:]]).split()) if parts else text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        words = list(_WORD.finditer(text))
        last = 0
        for number, word in enumerate(words):
            inside = word.start() < last or _is_verb(text, words, number)
            count = 0 if inside else self._length(text, words[number:])
            if count:
                end = words[number + count - 1].end()
                tail = _TAIL.match(text, end)
                last = end if tail is None else tail.end()
                yield word.start(), last

    def _length(self, text: str, words: Sequence[re.Match[str]]) -> int:
        """Return how many words a name has that starts with the first one, 0 if none does."""
        for name in self._by_first.get(words[0][0].lower(), ()):
            here = words[: len(name)]
            gaps = (text[a.end() : b.start()] for a, b in pairwise(here))
            if tuple(one[0].lower() for one in here) == name and all(map(_GAP.fullmatch, gaps)):
                return len(name)
        return 0


def _is_verb(text: str, words: Sequence[re.Match[str]], number: int) -> bool:
    """Return whether a word that may be a verb is one: by the words around it."""
    word = words[number]
    if word[0].lower() not in _VERB_FORMS or _TAIL.match(text, word.end()):
        return False
    before = words[number - 1][0].lower() if number else ""
    after = words[number + 1][0].lower() if number + 1 < len(words) else ""
    if before in _DETERMINERS:
        return False
    if word[0].lower() in _AUXILIARIES:
        noun = not after or (before and after in _AFTER_NOUN)
        return before in _SUBJECTS or not noun
    # "branches bear fruit": a plural before the bare form, and what is borne behind it.
    agrees = word[0].lower() in _ALSO_VERBS and re.search(r"[^suio]s$", before) is not None
    borne = bool(after) and after not in _AFTER_NOUN
    return before in _BEFORE_VERB or after in _OBJECTS or (agrees and borne)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _of_word(word: str, *, nouns: bool) -> list[str]:
    if word.endswith("ing") and len(word) > 4:
        return [*_of_verb(word), word + "s"]
    return [*_IRREGULAR.get(word, ()), _plural(word), *_other_plural(word)] if nouns else []


def _plural(word: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _other_plural(word: str) -> list[str]:
    """Return leaves for leaf and potatoes for potato: some such words take it, some do not."""
    if re.search(r"(?<!f)fe?$", word):
        return [re.sub(r"fe?$", "ves", word)]
    return [word + "es"] if re.search(r"[^aeiou]o$", word) else []


def _of_verb(word: str) -> list[str]:
    """Return what a word in -ing may come from, and its other forms; that some are no words harms nothing."""
    stem = word[:-3]
    if len(stem) <= 3 and stem.endswith("y"):  # lying, tying
        bases = [stem[:-1] + "ie"]
    elif stem[-1:] == stem[-2:-1]:  # running, falling
        bases = [stem[:-1], stem]
    else:  # walking, writing
        bases = [stem, stem + "e"]
    found: list[str] = []
    for base in bases:
        core = base.removesuffix("e")
        found += [] if base in _NOUNS else [base, _plural(base)]
        found += _IRREGULAR.get(base, ())
        found += [core + "ed", core + "er", core + "ers"]
    return found


_VERB_FORMS = _AUXILIARIES | _ALSO_VERBS | {_plural(verb) for verb in _ALSO_VERBS}
