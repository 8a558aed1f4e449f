"""A wrong class order is refused; a bad classifier is not."""

from pathlib import Path

import numpy as np
import pytest
from support import write_pictures

from bench.classifiers.check import Suggestion, suggest
from bench.classifiers.discriminative import load_python
from bench.config import Config, parse
from bench.labels import BASIC, ORDERS
from bench.store.store import Store
from bench.sweep.run import dry_run, run
from bench.util.errors import UserError
from bench.util.progress import Reporter
from bench.util.runtime import pick_device

FULL = (30,) * 7
SEEDS = 300


def asked(
    sizes: tuple[int, ...], answers: np.ndarray, seed: int, declared: tuple[str, ...] = BASIC
) -> Suggestion | None:
    """Judge simulated answers.

    Args:
        sizes: Pictures of each class of `declared`.
        answers: Law of the outputs for each class, (classes, outputs).
        seed: Of the simulation.
        declared: Class names in logit order.
    """
    draws = np.random.default_rng(seed)
    labels = [name for name, size in zip(declared, sizes, strict=False) for _ in range(size)]
    outputs = [
        draws.choice(len(law), size, p=law) for law, size in zip(answers, sizes, strict=False)
    ]
    return suggest(labels, np.concatenate(outputs), declared)


def right(accuracy: float, count: int = 7) -> np.ndarray:
    """Answers that are right with this probability and else any other class."""
    law = np.full((count, count), (1 - accuracy) / (count - 1))
    np.fill_diagonal(law, accuracy)
    return law


def blind(law: list[float], count: int) -> np.ndarray:
    """Answers that have nothing to do with the picture."""
    return np.tile(law, (count, 1))


def rival(accuracy: float, second: float, count: int = 7) -> np.ndarray:
    """Right a little more often than it takes each class for the next one."""
    law = np.full((count, count), (1 - accuracy - second) / (count - 2))
    for place in range(count):
        law[place, place], law[place, (place + 1) % count] = accuracy, second
    return law


@pytest.mark.parametrize("sizes", [FULL, (8,) * 7, (3,) * 7, (1,) * 7, (30, 30, 30, 30, 30, 9, 3)])
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(blind([1 / 7] * 7, 7), id="random"),
        pytest.param(blind([0.4, 0.2, 0.2, 0.1, 0.1, 0, 0], 7), id="random with favourites"),
        pytest.param(blind([0, 0, 0, 0, 0, 0, 1.0], 7), id="always the same"),
        pytest.param(right(0.2), id="weak"),
        pytest.param(right(0.35), id="better"),
        pytest.param(rival(0.32, 0.30), id="hardly better than its neighbours"),
    ],
)
def test_bad_classifiers_in_the_right_order_are_never_refused(
    sizes: tuple[int, ...], answers: np.ndarray
) -> None:
    assert [asked(sizes, answers, seed) for seed in range(SEEDS)] == [None] * SEEDS


@pytest.mark.parametrize("sizes", [(30, 30), (30, 4), (4, 30), (30, 1)])
@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(blind([0.5, 0.5, 0], 2), id="random"),
        pytest.param(blind([0, 1.0, 0], 2), id="always the rare class"),
        pytest.param(blind([0, 0, 1.0], 2), id="always a class that is not shown"),
        pytest.param(np.array([[0.3, 0.7, 0], [0.1, 0.9, 0]]), id="weak with a favourite"),
    ],
)
def test_two_classes_of_three_tempt_nobody(sizes: tuple[int, ...], answers: np.ndarray) -> None:
    classes = ("neutral", "happiness", "contempt")
    assert [asked(sizes, answers, seed, classes) for seed in range(SEEDS)] == [None] * SEEDS


def permuted(answers: np.ndarray, true_order: tuple[str, ...]) -> np.ndarray:
    """The same answers from a network whose outputs are in another order than `BASIC`."""
    return answers[:, [BASIC.index(name) for name in true_order]]


@pytest.mark.parametrize("accuracy", [0.6, 0.75, 0.95])
def test_a_permuted_order_is_always_found(accuracy: float) -> None:
    answers = permuted(right(accuracy), ORDERS["dfew"])
    for seed in range(SEEDS):
        found = asked(FULL, answers, seed)
        assert found is not None
        assert found.suggested - found.declared > 0.2
        assert found.n == 105
    good = [asked(FULL, permuted(right(0.95), ORDERS["dfew"]), seed) for seed in range(20)]
    assert {(f.order, f.presets) for f in good if f} == {(ORDERS["dfew"], ("dfew", "ferv39k"))}


def test_a_few_pictures_of_each_class_are_enough_and_very_few_prove_nothing() -> None:
    answers = permuted(np.eye(7), ORDERS["dfew"])
    assert asked((4,) * 7, answers, 0) is not None
    assert asked((3,) * 7, answers, 0) is None  # seven judged: right by luck once in 128


def test_classes_that_are_not_shown_follow_the_preset_or_stay() -> None:
    declared = ORDERS["mafw_alphabetical"]
    truth = ORDERS["mafw_dfer_clip"]
    draws = np.random.default_rng(0)
    labels = [str(draws.choice(BASIC)) for _ in range(210)]
    found = suggest(labels, np.array([truth.index(label) for label in labels]), declared)
    assert found is not None
    assert (found.order, found.presets) == (truth, ("mafw_dfer_clip",))
    mine = tuple(f"{name} face" if name not in BASIC else name for name in declared)
    shuffled = tuple(reversed(mine))
    found = suggest(labels, np.array([shuffled.index(label) for label in labels]), mine)
    assert found is not None and not found.presets
    assert [n for n in found.order if n in BASIC] == [n for n in shuffled if n in BASIC]


def test_ties_are_errors_and_not_the_last_class() -> None:
    labels = ["neutral"] * 30 + ["disgust"] * 30
    assert suggest(labels, np.full(60, -1), BASIC) is None


def of(folder: Path, **classifier: object) -> Config:
    """A run of one classifier of one's own over a folder."""
    kind = {"kind": "python", "factory": "support:reddest_is_happy"}
    return parse(
        {
            "data": {"kind": "folder", "root": str(folder)},
            "validation": False,
            "classifiers": {"mine": kind | classifier},
            "execution": {"workers": 1, "device": "cpu"},
        },
        "mine.yaml",
    )


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Neutral is red and happiness green: what `reddest_is_happy` takes the other way round."""
    for split, count in (("train", 40), ("val", 40), ("test", 4)):
        write_pictures(tmp_path / "set" / split, ("neutral", "happy"), count)
    return tmp_path / "set"


def test_a_run_stops_before_the_sweep_and_names_the_order(colours: Path, tmp_path: Path) -> None:
    wanted = (
        r"'mine'.* 30 clean validation pictures it gets 0% right, but 100% if its outputs mean "
        r"happiness, neutral\. Set class_order: \[happiness, neutral\].*check_class_order: false"
    )
    with pytest.raises(UserError, match=wanted) as caught:
        run(of(colours), tmp_path / "out", Reporter(quiet=True))
    assert caught.value.exit_code == 2
    assert not list((tmp_path / "out").rglob("*.parquet"))
    run(of(colours, check_class_order=False), tmp_path / "out", Reporter(quiet=True))
    mended = of(colours, class_order=["happy", "neutral"])
    store = run(mended, tmp_path / "out", Reporter(quiet=True))
    (cell,) = store.planned()
    manifest = store.manifest(cell)
    assert manifest is not None and manifest.classes == ["happiness", "neutral"]
    rows = store.rows(manifest)
    assert (rows["prediction"] == rows["label"]).all()


def test_the_check_is_made_once_and_not_for_a_plan(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(
        "bench.sweep.run.require_class_order", lambda name, *_: checked.append(name)
    )
    config = of(colours)
    assert len(dry_run(config, tmp_path / "out").cells) == 1
    assert not checked
    for _ in range(2):
        run(config, tmp_path / "out", Reporter(quiet=True))
    assert checked == ["mine"]


def digest_of(**classifier: object) -> str:
    spec = of(Path(), **classifier).classifiers["mine"]
    return load_python("mine", spec, pick_device("cpu")).digest


def test_the_digest_follows_the_order_because_rows_hold_names() -> None:
    own = digest_of()
    assert digest_of(class_order=["Neutral", "happy"]) == own
    assert digest_of(class_order=["happy", "neutral"]) != own
    assert digest_of(check_class_order=False) == own


def test_a_preset_stands_in_for_the_attribute() -> None:
    spec = of(Path(), factory="support:nameless", class_order="dfew").classifiers["mine"]
    assert load_python("mine", spec, pick_device("cpu")).classes == ORDERS["dfew"]
    spec = of(Path(), factory="support:nameless").classifiers["mine"]
    with pytest.raises(UserError, match=r"no attribute `classes`.*set class_order"):
        load_python("mine", spec, pick_device("cpu"))


def test_orders_of_different_lengths_are_refused() -> None:
    with pytest.raises(UserError, match=r"class_order has 7 classes.*`classes`.* has 2"):
        digest_of(class_order="dfew")


def test_logits_of_another_number_are_refused() -> None:
    spec = of(Path(), factory="support:nameless", class_order=["a", "b"]).classifiers["mine"]
    with pytest.raises(UserError, match=r"a tensor \(1, 7\).*logits \(1, 2\).* 2 classes a, b"):
        load_python("mine", spec, pick_device("cpu"))


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ("dfwe", r"mine\.yaml.*class_order.*Did you mean dfew"),
        (["happy", "happiness"], "'happiness' twice"),
        (["happy"], "two names or more"),
        (7, "class_order"),
    ],
)
def test_mistaken_orders_are_named(order: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        of(Path(), class_order=order)


def test_a_factory_that_makes_no_module_is_refused() -> None:
    with pytest.raises(UserError, match="returns a torch module, got dict"):
        digest_of(factory="builtins:dict")


def test_the_store_of_another_order_is_another_cell(colours: Path, tmp_path: Path) -> None:
    for order in (["happy", "neutral"], ["neutral", "happy"]):
        config = of(colours, class_order=order, check_class_order=False)
        run(config, tmp_path / "out", Reporter(quiet=True))
    assert len(list((tmp_path / "out" / "cells" / "mine").iterdir())) == 2
    assert len(Store(tmp_path / "out").planned()) == 1
