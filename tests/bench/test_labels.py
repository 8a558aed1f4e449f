import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.labels import (
    BASIC,
    COMPOUND,
    CONTEMPT,
    MAFW_ONLY,
    ORDERS,
    canonical,
    class_names,
    label_base,
    natural_key,
    ordered,
)
from bench.util.errors import UserError

ABBREVIATIONS = {name[:2].capitalize(): name for name in (*BASIC, CONTEMPT)}

#: The table of published class orders, in its own abbreviations.
PUBLISHED = {
    "raf_db": "Su Fe Di Ha Sa An Ne",
    "affectnet": "Ne Ha Sa Su Fe Di An Co",
    "affectnet_7": "Ne Ha Sa Su Fe Di An",
    "ma_net": "Ne Ha Sa Su Fe Di An",
    "fer2013": "An Di Fe Ha Sa Su Ne",
    "expw": "An Di Fe Ha Sa Su Ne",
    "ferplus": "Ne Ha Su Sa An Di Fe Co",
    "alphabetical": "An Di Fe Ha Ne Sa Su",
    "dfew": "Ha Sa Ne An Su Di Fe",
    "ferv39k": "Ha Sa Ne An Su Di Fe",
    "ck_plus": "Ne An Co Di Fe Ha Sa Su",
    "hsemotion_8": "An Co Di Fe Ha Ne Sa Su",
    "hsemotion_7": "An Di Fe Ha Ne Sa Su",
}
MAFW_ORDERS = {
    "mafw": "anger disgust fear happiness neutral sadness surprise contempt anxiety helplessness "
    "disappointment",
    "mafw_dfer_clip": "happiness sadness neutral anger surprise disgust fear contempt anxiety "
    "helplessness disappointment",
    "mafw_alphabetical": "anger anxiety contempt disappointment disgust fear happiness "
    "helplessness neutral sadness surprise",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_class_orders_are_the_published_ones(name: str) -> None:
    assert class_names(name) == tuple(ABBREVIATIONS[short] for short in PUBLISHED[name].split())


@pytest.mark.parametrize("name", MAFW_ORDERS)
def test_three_orders_of_mafw(name: str) -> None:
    assert class_names(name) == tuple(MAFW_ORDERS[name].split())


def test_every_order_is_one_of_those_above() -> None:
    assert set(ORDERS) == {*PUBLISHED, *MAFW_ORDERS, "raf_db_compound"}
    assert all(len(set(names)) == len(names) for names in ORDERS.values())
    assert all(canonical(name) == name for names in ORDERS.values() for name in names)


def test_the_compound_order_at_the_numbers_that_others_confuse() -> None:
    official = dict(enumerate(class_names("raf_db_compound"), start=1))
    assert len(official) == 11
    assert official[1] == "happily surprised"
    assert official[8] == "fearfully surprised"  # "fearfully disgusted" in RAF-CE
    assert official[11] == "disgustedly surprised"


def test_an_unknown_order_is_met_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"class order called 'afectnet'.*affectnet"):
        class_names("afectnet")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Happy", "happiness"),
        (" Fearful ", "fear"),
        ("ANGRY", "anger"),
        ("Disgusted", "disgust"),
        ("Surprised", "surprise"),
        ("contemptuous", CONTEMPT),
        ("Anxious", "anxiety"),
        ("Helpless", "helplessness"),
        ("disappointed", "disappointment"),
        ("Happily Surprised", "happily surprised"),
        ("sadly_fearful", "sadly fearful"),
        ("ANGRILY-DISGUSTED", "angrily disgusted"),
        ("DisgustedlySurprised", "disgustedly surprised"),
    ],
)
def test_usual_spellings(written: str, meant: str) -> None:
    assert canonical(written) == meant


@pytest.mark.parametrize("name", ["An", "AF", "My Class", "a_b", "", "fearfully disgusted", "ſad"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert canonical(name) == name


@given(st.sampled_from((*BASIC, CONTEMPT, *MAFW_ONLY, *COMPOUND)), st.sampled_from(" _-"))
def test_case_and_separators_do_not_matter(name: str, separator: str) -> None:
    assert canonical(name.replace(" ", separator).upper()) == name


@given(st.text())
def test_canonical_names_are_stable(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)


def test_class_order_of_a_data_set() -> None:
    assert ordered({"zeal", "anger", "neutral", "awe"}) == ("neutral", "anger", "awe", "zeal")
    assert ordered(set(COMPOUND)) == COMPOUND
    assert ordered({*MAFW_ONLY, *BASIC, CONTEMPT}) == (*BASIC, CONTEMPT, *MAFW_ONLY)


@pytest.mark.parametrize(
    ("ids", "base"),
    [(range(7), 0), (range(1, 8), 1), ([0], 0), ([7], 1), ([6, 0, 0], 0), ([1, 7, 7], 1)],
)
def test_label_base_shows_at_the_ends(ids: list[int], base: int) -> None:
    assert label_base(ids, 7, "labels.txt") == base
    assert label_base(iter(ids), 7, "labels.txt", declared=base) == base


@pytest.mark.parametrize("ids", [range(1, 7), [3], []])
def test_ambiguous_ids_need_the_option(ids: list[int]) -> None:
    with pytest.raises(UserError, match=r"^labels\.txt: .*label_base: 0 or label_base: 1"):
        label_base(ids, 7, "labels.txt")
    assert [label_base(ids, 7, "labels.txt", declared) for declared in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("ids", "declared", "offender"),
    [
        (range(8), None, "labels 0 and 7 both"),
        ([0, 8], None, "label 8 "),
        ([-1, 7], None, "label -1 "),
        ([0, 1], 1, "label 0 "),
        ([1, 7], 0, "label 7 "),
        ([8], 1, "label 8 "),
        ([1], 2, "label_base is 2"),
    ],
)
def test_ids_that_fit_no_base_are_named(
    ids: list[int], declared: int | None, offender: str
) -> None:
    with pytest.raises(UserError, match=rf"^a/labels\.txt: .*{re.escape(offender)}"):
        label_base(ids, 7, "a/labels.txt", declared)


@given(st.integers(2, 12), st.data())
def test_a_base_never_puts_an_id_outside_the_classes(count: int, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(-1, count + 1)))
    try:
        base = label_base(ids, count, "labels.txt")
    except UserError:
        assert {0, count} <= set(ids) or not {0, count} & set(ids) or {-1, count + 1} & set(ids)
    else:
        assert all(0 <= number - base < count for number in ids)


def test_numbers_sort_by_value() -> None:
    names = ["a10b", "a2b", "10", "2", "a", "a02b", "1.jpg", "16.jpg", "b"]
    expected = ["1.jpg", "2", "10", "16.jpg", "a", "a02b", "a2b", "a10b", "b"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(alphabet=st.characters(), max_size=6), max_size=8), st.randoms())
def test_the_natural_order_is_total_and_stable(names: list[str], random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


@given(st.integers(0), st.integers(0), st.text(alphabet="ab²٣\ud800/", max_size=3))
def test_any_two_numbers_sort_by_value(first: int, second: int, stem: str) -> None:
    keys = [natural_key(f"{stem}{number}{stem}") for number in (first, second)]
    assert (keys[0] < keys[1]) == (first < second)
    assert (keys[0] == keys[1]) == (first == second)


def test_names_that_int_would_refuse() -> None:
    names = ["x²", "x٣", "x" + "9" * 5000, "x" + "9" * 4999, "x1", "x\udcff"]
    assert sorted(names, key=natural_key)[:3] == ["x1", "x" + "9" * 4999, "x" + "9" * 5000]
