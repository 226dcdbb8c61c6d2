import pytest

from tutelage.concepts.names import Names, forms


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cat", {"cat", "cats"}),
        ("sky_fox", {"sky fox", "sky foxes"}),
        ("butterfly", {"butterfly", "butterflies"}),
        ("wolf", {"wolf", "wolves"}),
        ("tomato", {"tomato", "tomatoes"}),
        ("mouse", {"mouse", "mice"}),
        ("running", {"running", "run", "runs", "ran", "runner"}),
        ("writing", {"writing", "write", "writes", "wrote", "written", "writer"}),
        ("lying", {"lying", "lie", "lies", "lay", "lain"}),
        ("sitting", {"sitting", "sit", "sits", "sat"}),
        ("standing", {"standing", "stand", "stands", "stood"}),
        ("walking upstairs", {"walking upstairs", "walks upstairs", "walked upstairs"}),
        ("vacuum cleaning", {"vacuum cleaning", "vacuum cleaner", "vacuum cleans"}),
        ("stand to sit", {"stand to sit"}),
    ],
)
def test_forms_of_nouns_and_verbs(name, wanted):
    assert wanted <= set(forms(name))


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("delicate", None),  # substring search would take it for a cat
        ("scattered spots on the cattle's back", None),
        ("cat's whiskers", "cat's"),
        ("two Cats’ ears", "Cats’"),
        ("a cat-like face", "cat-like"),
        ("the cat, asleep", "cat"),
        ("tree frogs on leaves", "tree frogs"),
        ("a tree  frog", "tree  frog"),
        ("frog-green leaf", "frog-green"),
        ("treefrog", None),
        ("no tree, but frog legs", "frog"),
        ("tree-frogs", "tree-frogs"),
    ],
)
def test_names_are_found_by_whole_words_longest_first(phrase, name):
    assert Names(["cat", "frog", "tree frog"]).found(phrase) == name


@pytest.mark.parametrize("name", ["St. Bernard", "jack-o'-lantern", "doctor's gown"])
def test_names_with_marks_in_them_are_found(name):
    assert Names([name]).found(f"the {name.lower()} here") == name.lower()


def test_a_thousand_names_take_no_longer_than_one():
    many = Names([f"kind {n}" for n in range(500)] + [f"class{n}" for n in range(500)])
    assert many.found("this is class7 here") == "class7"
    assert many.found("a kind 499 thing") == "kind 499"
    assert len(many._by_first["class7"]) == 1  # what is tried at this word


def test_names_are_replaced_with_their_possessive():
    names = Names(["cat"], also=["kitten"])
    assert (
        names.replaced("the cat's ears and a kitten", "animal") == "the animal's ears and a animal"
    )
    assert names.replaced("the cat's ears") == "the ears"
    assert names.replaced("delicate") == "delicate"


def test_without_names_nothing_is_found_or_replaced():
    assert Names([]).found("cat") is None
    assert Names(["  "]).replaced("cat") == "cat"


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("can be found in trees", None),
        ("can fly up to 40 miles an hour", None),
        ("birds that can swim", None),
        ("wings can be folded", None),
        ("as fast as it can", None),
        ("a can of soda", "can"),
        ("a tin can", "can"),
        ("two tin cans in a row", "cans"),
        ("soda can with a tab", "can"),
        ("each can opener", "can"),
        ("the can's lid", "can's"),
        ("can-shaped body", "can-shaped"),
        ("can", "can"),
    ],
)
def test_a_verb_is_no_name_that_is_spelled_like_it(phrase, name):
    assert Names(["can"]).found(phrase) == name


@pytest.mark.parametrize(
    ("name", "verbs", "nouns"),
    [
        ("can", ["to can fruit"], ["a can of soda"]),
        ("duck", ["ducks its head", "it ducks when hit"], ["a duck on a pond", "two ducks", "duck-like bill"]),
        ("bear", ["legs that bear weight", "branches bear fruit", "bears a load"], ["brown bear fur", "a bear"]),
        ("fly", ["wings that fly fast", "can fly", "flies around lamps"], ["eyes of a fly", "flies on a wall"]),
        ("row", ["they row the boat", "oars to row with", "rows the boat"], ["row of teeth", "rows of seats"]),
        ("type", ["used to type letters", "they type fast"], ["a type of bird", "type of wood"]),
        ("ship", ["used to ship goods"], ["ship's hull", "a ship"]),
        ("saw", ["used to saw wood", "what they saw"], ["saw blade", "a saw"]),
        ("train", ["they train dogs"], ["train wheels", "train tracks and a train"]),
        ("cat", [], ["it cats", "legs that cat", "to cat"]),  # no verb is spelled so
    ],
)  # fmt: skip
def test_a_name_that_is_a_verb_too_is_found_as_a_noun_alone(name, verbs, nouns):
    names = Names([name])
    assert [phrase for phrase in verbs if names.found(phrase)] == []
    assert [phrase for phrase in nouns if not names.found(phrase)] == []


def test_a_noun_is_no_form_of_a_verb_that_is_spelled_like_it():
    names = Names(["rowing", "typing"])
    for phrase in ("a row of teeth", "rows of windows", "one type of leaf", "two in a row"):
        assert names.found(phrase) is None
    for phrase in ("a rower", "two people rowing", "typed letters", "rowed across"):
        assert names.found(phrase)
