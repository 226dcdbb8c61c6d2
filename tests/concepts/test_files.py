import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.concepts import (
    Concept,
    ConceptSet,
    Provenance,
    clean,
    open_concepts,
    read,
    read_any,
    shipped,
    write,
)
from tutelage.concepts.files import dumps, parse
from tutelage.data import Hapt, Pamap2, cifar, hapt, pamap2
from tutelage.errors import UserError

TEXT = st.text(max_size=12)
PHRASE = TEXT.map(lambda text: " ".join(text.split())).filter(bool)
CLASSES = ("cat", "dog")


@st.composite
def concept_sets(draw):
    concepts = []
    for text in draw(st.lists(PHRASE, unique=True, max_size=4)):
        owners = tuple(draw(st.lists(st.sampled_from(CLASSES), min_size=1, unique=True)))
        origin = st.builds(
            Provenance,
            st.sampled_from(owners),
            TEXT,
            model=TEXT,
            prompt=TEXT,
            sentence=TEXT,
            when=TEXT,
        )
        concepts.append(Concept(text, owners, tuple(draw(st.lists(origin, max_size=2)))))
    return ConceptSet(draw(TEXT), CLASSES, tuple(concepts), draw(TEXT), draw(TEXT))


@given(concept_sets())
def test_a_file_gives_back_what_was_written(concepts):
    assert parse(dumps(concepts), "here") == concepts


def test_files_are_the_same_bytes_and_have_a_line_for_each_concept(tmp_path):
    concepts = open_concepts("cifar10")
    write(concepts, tmp_path / "deep" / "a.json")
    text = (tmp_path / "deep" / "a.json").read_text()
    shipped_file = resources.files("tutelage.concepts") / "shipped" / "cifar10.json"
    assert text == shipped_file.read_text()
    assert sum("water surface all around" in line for line in text.splitlines()) == 1
    assert read(tmp_path / "deep" / "a.json") == concepts


@pytest.mark.parametrize("name", ["cifar10", "hapt", "pamap2"])
def test_what_is_shipped(name):
    concepts = open_concepts(name)
    assert name in shipped()
    wanted = {
        "cifar10": cifar.CLASSES,
        "hapt": hapt.ACTIVITIES + hapt.TRANSITIONS,
        "pamap2": pamap2.CLASSES,
    }
    assert concepts.classes == wanted[name]
    for owner in concepts.classes:
        assert 30 <= len(concepts.of(owner)) <= 60, owner
        own = [n for n in concepts.of(owner) if len(concepts.concepts[n].owners) == 1]
        assert len(own) >= 12, owner
    # It follows its own rules: no class names, one spelling, nothing twice.
    cleaned = clean(concepts)
    assert cleaned.concepts == concepts
    assert not cleaned.dropped
    for one in concepts.concepts:
        assert {origin.class_name for origin in one.origins} == set(one.owners)
        assert len(one.text.split()) <= 12
    assert concepts.licence
    assert concepts.about


def test_shipped_sets_fit_the_loaders():
    assert open_concepts("hapt").for_classes(hapt.ACTIVITIES).classes == hapt.ACTIVITIES
    assert Hapt.name in shipped()
    assert Pamap2.name in shipped()


def test_labo_files_keep_every_owner(tmp_path):
    path = tmp_path / "class2concepts.json"
    path.write_text(
        json.dumps({"cat": ["four legs", "", " soft  fur "], "dog": ["four legs"], "cow": []})
    )
    found = read_any(path)
    assert found.classes == ("cat", "dog", "cow")
    assert found.texts == ("four legs", "soft fur")
    assert found.concepts[0].owners == ("cat", "dog")  # the released code credits it to cats only
    assert found.concepts[0].origins[1] == Provenance("dog", "class2concepts.json")
    assert not found.licence


def test_tables_and_texts_of_others(tmp_path):
    table, text = tmp_path / "a.csv", tmp_path / "b.txt"
    table.write_text('rank,concept,class\n1,"fur, short",cat\n2,long tail,dog\n3,long tail,cat\n')
    text.write_text("# mine\n[cat]\nlong tail\n\n[dog]\nlong tail\n  floppy ears\n")
    assert read_any(table).texts == ("fur, short", "long tail")
    assert read_any(table).concepts[1].owners == ("cat", "dog")
    assert read_any(text).texts == ("long tail", "floppy ears")
    assert read_any(text).classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "{", "not readable as JSON"),
        ("a.json", '{"cat": ["x"], "cat": ["y"]}', "'cat' stands twice"),
        ("a.json", '{"cat": "x"}', "no object of lists"),
        ("a.json", '["x"]', "no object of lists"),
        ("a.csv", "class,phrase\n", "no column 'concept'"),
        ("a.txt", "tail\n[cat]\n", "line 1: found a phrase before"),
        ("a.xlsx", "", "allowed: .json, .csv, .txt"),
        (
            "a.json",
            '{"format": "tutelage-concepts", "version": 2, "name": "", "classes": [], "concepts": []}',
            "version",
        ),
        (
            "a.json",
            '{"format": "tutelage-concepts", "version": 1, "name": "", "classes": ["a"], "concepts": '
            '[{"text": "x", "classes": ["a"], "said": [{"answer": 3}]}]}',
            "found answer 3, there are 0",
        ),
        (
            "a.json",
            '{"format": "tutelage-concepts", "version": 1, "name": "", "classes": ["a"], "concepts": '
            '[{"txt": "x", "classes": ["a"]}]}',
            "concepts.0",
        ),
    ],
)
def test_one_sentence_for_each_mistake(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        read_any(path)


def test_what_is_not_there_or_not_ours(tmp_path):
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        open_concepts("cifar-10")
    with pytest.raises(UserError, match="no such file"):
        open_concepts(tmp_path / "a.json")
    labo = tmp_path / "class2concepts.json"
    labo.write_text('{"cat": ["tail"]}')
    with pytest.raises(UserError, match="concepts import"):
        open_concepts(labo)
    labo.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="UTF-8"):
        read(labo)
