import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.concepts import Concept, ConceptSet, Provenance, Rules, clean
from tutelage.concepts.clean import key
from tutelage.errors import UserError

CLASSES = ("cat", "dog")


def raw(*phrases, prompt=""):
    return ConceptSet.join(
        "x",
        CLASSES,
        [
            Concept(text, (owner,), (Provenance(owner, "model", prompt=prompt),))
            for text, owner in phrases
        ],
    )


def test_equal_phrases_become_one_and_no_class_loses_it():
    found = clean(
        raw(
            ("A Long tail.", "cat"),
            ("long  tail".replace("  ", " "), "dog"),
            ("the long tail!", "dog"),
        )
    )
    (one,) = found.concepts.concepts
    assert (one.text, one.owners) == ("long tail", CLASSES)
    assert (
        len(one.origins) == 2
    )  # two classes said it; the second saying for dogs is the same origin
    assert found.joined == 2
    assert not found.dropped


def test_owners_without_a_known_origin_are_kept():
    plain = ConceptSet("x", CLASSES, (Concept("Tail.", ("dog",)), Concept("tail", ("cat",))))
    assert clean(plain).concepts.concepts == (Concept("tail", CLASSES),)


def test_class_names_are_found_by_whole_words_only():
    found = clean(raw(("delicate", "cat"), ("cat's whiskers", "cat"), ("dogged look", "dog")))
    assert found.concepts.texts == ("delicate", "dogged look")
    assert found.reasons == {"class name": 1}


def test_the_name_of_another_class_is_a_leak_too():
    assert clean(raw(("smaller than a dog", "cat"))).reasons == {"class name": 1}


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (Rules(class_names="remove"), "whiskers"),
        (Rules(class_names="replace", superclass="Animal"), "animal's whiskers"),
    ],
)
def test_names_may_be_removed_or_replaced(rules, text):
    assert clean(raw(("The cat's whiskers", "cat")), rules).concepts.texts == (text,)


def test_nothing_loose_is_left_where_a_name_was_removed():
    found = clean(raw(("pointed ears of the cat", "cat"), ("the cat", "cat")), Rules("remove"))
    assert found.concepts.texts == ("pointed ears",)
    assert found.reasons == {"empty": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("extract concepts from sentence: long tail", "residue of a prompt"),
        ("use 10 sentences to describe how it looks", "residue of a prompt"),
        ("Here are some phrases", "residue of a prompt"),
        ("As an AI, I see none", "residue of a prompt"),
        ("...", "empty"),
        ("the", "empty"),
        (" ".join(["very"] * 20), "more than 19 words"),
        ("kitten face", "class name"),
        ("loyal and friendly", "refused word 'loyal'"),
    ],
)
def test_what_is_left_out_and_why(text, reason):
    rules = Rules(also=("kitten",), refuse=("loyal",))
    assert clean(raw((text, "cat")), rules).reasons == {reason: 1}


def test_phrases_that_repeat_their_prompt_are_residue():
    prompt = "List 10 short phrases that name visible parts of a cat."
    found = clean(
        raw(
            ("short phrases that name visible things", "cat"),
            ("visible parts", "cat"),
            prompt=prompt,
        )
    )
    assert found.concepts.texts == ("visible parts",)


def test_a_little_is_not_an_article():
    assert clean(raw(("A little fur", "cat"))).concepts.texts == ("a little fur",)


def test_a_particle_at_the_end_belongs_to_the_phrase():
    assert clean(raw(("Lights are on", "cat"))).concepts.texts == ("lights are on",)


def test_nineteen_words_are_allowed():
    assert len(clean(raw((" ".join(["very"] * 19), "cat"))).concepts) == 1


@given(
    st.lists(
        st.tuples(st.text("aAcC dotgs.,'-", min_size=1, max_size=14), st.sampled_from(CLASSES)),
        max_size=8,
    )
)
def test_every_pair_of_phrase_and_class_stays_or_is_reported(pairs):
    pairs = [(" ".join(text.split()), owner) for text, owner in pairs if text.strip()]
    found = clean(raw(*pairs))
    kept = {(key(one.text), owner) for one in found.concepts.concepts for owner in one.owners}
    dropped = {(one.text, owner) for one in found.dropped for owner in one.owners}
    for text, owner in pairs:
        assert (text, owner) in dropped or (key(text), owner) in kept
    again = clean(found.concepts)
    assert again.concepts == found.concepts  # clean phrases are left alone
    assert not again.dropped
    assert again.joined == 0


@pytest.mark.parametrize(
    "wrong",
    [
        dict(class_names="keep"),
        dict(class_names="replace"),
        dict(shortest=0),
        dict(shortest=3, longest=2),
    ],
)
def test_rules_that_cannot_be(wrong):
    with pytest.raises(UserError, match=r"allowed|needs"):
        Rules(**wrong)


def test_phrases_that_only_look_like_a_name_or_a_prompt_stay():
    said = {
        "can": [
            "can be opened with a ring",
            "can hold liquids",
            "a tin can",
            "cylinder",
            "cans of food",
        ],
        "goat": [
            "sure-footed",
            "sure feet on rock",
            "can climb steep cliffs",
            "Sure, here are phrases",
            "Sure!",
        ],
    }
    pairs = [
        Concept(text, (owner,), (Provenance(owner, "file"),))
        for owner in said
        for text in said[owner]
    ]
    found = clean(ConceptSet.join("x", tuple(said), pairs))
    assert {concept.text for concept in found.concepts.concepts} == {
        "can be opened with a ring", "can hold liquids", "cylinder", "sure-footed", "sure feet on rock",
        "can climb steep cliffs",
    }  # fmt: skip
    assert found.reasons == {"class name": 2, "residue of a prompt": 2}
    assert found.names == {"can": 1, "cans": 1}
