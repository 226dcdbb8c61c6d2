import numpy as np
import pytest

from tutelage.concepts import Concept, ConceptSet, Provenance
from tutelage.errors import UserError

CLASSES = ("cat", "dog", "frog")


def said(text, *owners):
    return Concept(
        text, owners, tuple(Provenance(owner, "model", prompt=owner) for owner in owners)
    )


def small():
    return ConceptSet.join(
        "animals",
        CLASSES,
        [said("four legs", "dog", "cat"), said("wet skin", "frog"), said("four legs", "frog")],
    )


def test_a_phrase_of_several_classes_stands_once_and_belongs_to_all_of_them():
    concepts = small()
    assert concepts.texts == ("four legs", "wet skin")
    assert concepts.concepts[0].owners == CLASSES  # in the order of the classes
    assert [one.class_name for one in concepts.concepts[0].origins] == ["dog", "cat", "frog"]
    np.testing.assert_array_equal(concepts.owners, [[1, 0], [1, 0], [1, 1]])
    assert concepts.of("frog") == [0, 1]


def test_a_second_saying_adds_owners_and_no_second_origin():
    concepts = small().add(said("wet skin", "dog")).add(said("wet skin", "dog"))
    assert concepts.concepts[1].owners == ("dog", "frog")
    assert len(concepts.concepts[1].origins) == 2
    assert len(small().add(said("green eyes", "cat"))) == 3


def test_removing_and_taking_keep_the_order_that_was_asked_for():
    assert small().remove("four legs").texts == ("wet skin",)
    assert small().take([1, 0]).texts == ("wet skin", "four legs")


def test_classes_may_be_fewer_and_in_another_order():
    concepts = small().for_classes(["frog", "cat"])
    assert concepts.classes == ("frog", "cat")
    assert concepts.concepts[0].owners == ("frog", "cat")
    assert {one.class_name for one in concepts.concepts[0].origins} == {"frog", "cat"}
    np.testing.assert_array_equal(concepts.owners, [[1, 1], [1, 0]])
    assert len(small().for_classes(["cat"])) == 1


def test_renaming_reaches_owners_and_origins():
    concepts = small().renamed({"cat": "kitten"})
    assert concepts.classes[0] == "kitten"
    assert concepts.of("kitten") == [0]
    assert "cat" not in {one.class_name for one in concepts.concepts[0].origins}


def test_the_fingerprint_follows_owners_and_phrases_and_nothing_else():
    plain = small()
    assert plain.fingerprint == small().fingerprint
    others = [
        plain.add(said("wet skin", "dog")),
        plain.take([1, 0]),
        plain.renamed({"cat": "lynx"}),
    ]
    assert len({plain.fingerprint, *(one.fingerprint for one in others)}) == 4
    told = ConceptSet(plain.name, plain.classes, plain.concepts, about="elsewhere")
    assert told.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Concept(" two  spaces", ("cat",)), "one line"),
        (lambda: Concept("", ("cat",)), "one line"),
        (lambda: Concept("paws", ()), "different classes"),
        (lambda: Concept("paws", ("cat", "cat")), "different classes"),
        (lambda: Concept("paws", ("cat",), (Provenance("dog", "x"),)), "unknown class 'dog'"),
        (lambda: ConceptSet("x", CLASSES, (said("paws", "cow"),)), "unknown class 'cow'"),
        (lambda: ConceptSet("x", CLASSES, (said("paws", "cat"),) * 2), "stands twice"),
        (lambda: ConceptSet("x", ("cat", "cat"), ()), "stands twice"),
        (lambda: small().of("dgo"), "did you mean 'dog'"),
        (lambda: small().remove("four leg"), "did you mean 'four legs'"),
        (lambda: small().take([1]).for_classes(["cat"]), "owns no concept"),
        (lambda: small().add(said("paws", "cow")), "unknown class 'cow'"),
        (lambda: small().renamed({"cow": "ox"}), "unknown class 'cow'"),
        (lambda: small().renamed({"cat": "dog"}), "different classes"),
    ],
)
def test_one_sentence_for_each_mistake(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
