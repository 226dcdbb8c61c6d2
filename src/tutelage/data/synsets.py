"""Readable names of the classes of ImageNet, from any of the files that come with it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tutelage.errors import UserError

_WNID = re.compile(r"(n\d{8})[\s,]+(\S.*)")


def synonyms(text: str) -> dict[str, str]:
    """Return the synonyms of each wnid.

    Args:
        text: lines of a wnid and its synonyms, as in ``words.txt``, ``synset_words.txt`` and
            ``LOC_synset_mapping.txt``; other lines are left out.

    Examples:
        >>> synonyms("n01440764 tench, Tinca tinca")
        {'n01440764': 'tench, Tinca tinca'}
    """
    found = (_WNID.match(line.strip()) for line in text.splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def readable(tokens: Sequence[str], words: Mapping[str, str], place: str) -> dict[str, str]:
    """Return a name for each wnid, all different.

    The first synonym is taken; classes that share it take all synonyms, and if these are equal as well (the
    bird and the machine are both a crane), the wnid is added.

    Args:
        tokens: wnids, in the order of the classes.
        words: synonyms by wnid.
        place: where the words came from, for the sentence.

    Raises:
        UserError: a wnid has no words.

    Examples:
        >>> readable(["n1", "n2"], {"n1": "crane", "n2": "crane"}, "words.txt")
        {'n1': 'crane (n1)', 'n2': 'crane (n2)'}
    """
    missing = next((token for token in tokens if token not in words), None)
    if missing is not None:
        raise UserError(
            f"{place}: found no words for class {missing}, allowed is a name for every class"
        )
    names = {token: words[token].split(",")[0].strip() for token in tokens}
    for longer in (words, {token: f"{words[token]} ({token})" for token in tokens}):
        counts = Counter(names.values())
        names = {
            token: longer[token] if counts[name] > 1 else name for token, name in names.items()
        }
    return names
