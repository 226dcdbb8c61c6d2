"""Phrases that say nothing one could look for, and phrases that say the same."""

import numpy as np
import pytest
import torch
import yaml

from tests.concepts.test_commands import invoke
from tests.vlm.small import image_folder
from tutelage.concepts import Concept, ConceptSet, Rules, clean, open_concepts, read, shipped, write
from tutelage.concepts.alike import without_alike
from tutelage.concepts.unclear import unclear
from tutelage.errors import UserError

# Judged by hand; those in quotes of LaBo's own files among them.
JUDGED = {
    "vague": ["body", "a very unique shape", "color can vary", "can be any color", "comes in a variety of colors",
              "different colors", "vary in size and shape", "known for its behavior", "typical appearance"],
    "negated": ["no visible tail", "bare skin without hair", "lacks a crest", "it doesn't have wings",
                "never rests",
                "gravity across the chest instead of along it", "not especially colourful"],
    "cut": ["long hind legs, webbed feet, and", "with a few small white spots near the", "dashboards are full of",
            "dark spots on its back, sides,", "white band around its", "rounded (or oval"],
    "": ["white color", "not only red but blue", "legs to stand on", "lights that are turned on",
         "vertical axis varies most",
         "deep breathing after a while", "one leg is different from the other legs", "patterned feathers"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "phrase"), [(k, p) for k, listed in JUDGED.items() for p in listed]
)
def test_a_phrase_is_as_unclear_as_a_reader_finds_it(kind, phrase):
    assert unclear(phrase, phrase.strip(" ,")) == kind


def test_what_is_left_out_is_told_by_kind():
    every = [phrase for listed in JUDGED.values() for phrase in listed]
    said = ConceptSet.join("x", ["cat"], [Concept(phrase, ("cat",)) for phrase in every])
    found = clean(said, Rules(unclear=("vague", "cut")))
    assert found.reasons == {kind: len(JUDGED[kind]) for kind in ("vague", "cut")}
    assert len(found.concepts) == len(JUDGED[""]) + len(JUDGED["negated"])
    assert clean(said).reasons == {}
    with pytest.raises(UserError, match="did you mean 'vague'"):
        Rules(unclear=("vaguee",))


def test_what_is_shipped_is_clear():
    assert [
        clean(open_concepts(name), Rules(unclear=("vague", "cut"))).reasons for name in shipped()
    ] == [{}] * 3


def vectors(texts):
    """Return an embedding for each text: that of its first letter, turned by a little for each further one."""
    angles = np.array([10 * ord(text[0]) + 0.05 * len(text) for text in texts])
    return torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_phrases_alike_leave_the_class_that_has_another_such():
    said = {"cat": ["a", "aaa", "b"], "dog": ["aaa", "cc"], "cow": ["b", "bb", "c"]}
    concepts = ConceptSet.join(
        "x", list(said), [Concept(t, (n,)) for n, ts in said.items() for t in ts]
    )
    found = without_alike(concepts, vectors, 0.95)
    assert {one.text: one.owners for one in found.concepts.concepts} == {
        "a": ("cat",), "aaa": ("dog",), "b": ("cat", "cow"), "cc": ("dog",), "c": ("cow",),
    }  # fmt: skip
    assert [(one.text, one.owners, one.word) for one in found.dropped] == [("bb", ("cow",), "b")]
    assert found.reasons == {"like another of its class": 1}
    assert found.names == {}
    assert without_alike(concepts, vectors, 1.0).concepts == concepts
    with pytest.raises(UserError, match="alike"):
        without_alike(concepts, vectors, 0.0)


def test_nothing_that_stays_is_alike_and_all_that_goes_was():
    texts = [f"{letter}{'x' * count}" for letter in "abcdef" for count in range(12)]
    concepts = ConceptSet.join("x", ["cat"], [Concept(text, ("cat",)) for text in texts])
    found = without_alike(concepts, vectors, 0.99)
    unit = vectors(found.concepts.texts)
    assert ((unit @ unit.T).triu(1) < 0.99).all()
    for gone in found.dropped:
        assert float(vectors([gone.text])[0] @ vectors([gone.word])[0]) >= 0.99
    assert len(found.concepts) + len(found.dropped) == len(texts)


def test_the_command_counts_and_names_them(tmp_path):
    pytest.importorskip("open_clip")
    said = ["green eyes", "Eyes, green", "no tail", "varying shades", "ears and the", "round ears"]
    write(
        ConceptSet.join("x", ["cat"], [Concept(text, ("cat",)) for text in said]),
        tmp_path / "in.json",
    )
    encoder = yaml.safe_dump(
        {"type": "OpenClip", "model": str(image_folder(tmp_path / "clip"))}, default_flow_style=True
    )
    common = (
        "clean",
        tmp_path / "in.json",
        tmp_path / "out.json",
        "--dropped",
        tmp_path / "gone.csv",
    )
    done = invoke(
        *common, "--leave-out", "vague,negated,cut", "--alike", "1e-6", "--encoder", encoder
    )
    assert done.exit_code == 0, done.output
    for kind in ("vague", "negated", "cut"):
        assert f"left out, {kind}: 1\n" in done.output
    stayed = len(read(tmp_path / "out.json"))
    assert f"left out, like another of its class: {3 - stayed}\n" in done.output and stayed < 3
    assert "like another of its class: green eyes" in (tmp_path / "gone.csv").read_text()
    assert "needed are both" in invoke(*common, "--alike", "0.9").output
