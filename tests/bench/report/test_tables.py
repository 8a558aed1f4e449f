"""Tables: values and captions counted by hand."""

from pathlib import Path

import pytest

from bench.report.results import read
from bench.report.spec import (
    DRAWN,
    TableSpec,
    how_to_read,
)
from bench.report.tables import tables
from bench.report.write import write_report
from bench.store.store import Store

Y, N = True, False
DASH = "–"


@pytest.fixture
def specs(out: Path) -> dict[str, TableSpec]:
    return {spec.name: spec for spec in tables(read(out), Store(out))}


def shown(spec: TableSpec) -> list[list[str]]:
    return [[DASH if value is None else str(value) for value in row] for row in spec.rows]


def test_one_table_per_family_and_perturbation(specs: dict[str, TableSpec]) -> None:
    names = ["clean", "corruption-errors", "curves", "failure", "gaussian_noise", "pgd"]
    names += ["smallest-eps", "calibration"]
    names += ["consistency", "groups-class", "steps", "provenance"]
    assert list(specs) == ["datasets", *(f"faces-{name}" for name in names)]
    assert specs["datasets"].rows[0][-1] is None  # no cell says which data it had


def test_clean_table(specs: dict[str, TableSpec]) -> None:
    net, emodc = shown(specs["faces-clean"])
    assert net == [
        "net",
        "6",
        "66.7 [30.0, 90.3]",
        "66.7 [31.5, 89.7]",
        "71.1 [33.1, 92.4]",
        DASH,
        "1.0",
        "0.3500",
    ]
    assert emodc[0] == "emodc_x (denoiser check failed)"
    assert emodc[5:7] == ["0.4375 [0.1921, 0.6829]", "6.0"]


def test_corruption_table(specs: dict[str, TableSpec]) -> None:
    spec = specs["faces-gaussian_noise"]
    assert spec.header == ("classifier", "n", "clean", "1", "2", "mean", "d_p (clean)")
    net, emodc = shown(spec)
    assert net == ["net", "6", "66.7 [30.0, 90.3]", "50.0 [18.8, 81.2]", DASH, DASH, DASH]
    assert emodc[2:4] == ["83.3 [43.6, 97.0]", "66.7 [30.0, 90.3]"]
    assert emodc[4:] == ["33.3 [9.7, 70.0]", "50.0 [18.8, 81.2]", "0.4375 [0.1921, 0.6829]"]


def test_attack_table_is_clean_over_the_attacked_samples(specs: dict[str, TableSpec]) -> None:
    spec = specs["faces-pgd"]
    assert spec.header[2:] == ("clean", "eps 2/255", "eps 4/255", "evidence", "d_p (clean)")
    net, emodc = shown(spec)
    # Over the first three samples net is right on 2 of 3, not on 4 of 6; emodc_x on all three.
    assert net == [
        "net", "3", "66.7 [20.8, 93.9]", "66.7 [20.8, 93.9]", "33.3 [6.1, 79.2]", "B", DASH
    ]  # fmt: skip
    assert emodc[1:3] == ["3", "100.0 [43.9, 100.0]"]
    assert emodc[-1] == "0.2500 [-0.0605, 0.5605]"


def test_captions_say_what_the_numbers_rest_on(specs: dict[str, TableSpec]) -> None:
    clean, attack = specs["faces-clean"].about, specs["faces-pgd"].about
    for words in ("95% Wilson", "Data set faces, n = 6, 3 classes, seed 0."):
        assert words in clean
    assert "n = 3," in attack


def test_only_drawn_faces_carry_the_warning(build) -> None:
    build.add("net", "clean", "0", [Y], dataset="rafdb")
    assert DRAWN not in how_to_read(read(build.plan()).groups)


def test_captions_are_of_at_most_forty_words(out: Path) -> None:
    specs = write_report(out).tables
    long = {spec.name: spec.caption for spec in specs if len(spec.caption.split()) > 40}
    assert len(specs) > 8 and long == {}


def test_n_is_a_range_where_cells_differ(build) -> None:
    build.add("net", "clean", "0", [Y] * 6)
    build.add("net", "fog", "1", [Y] * 4)
    spec = next(s for s in tables(read(build.plan()), build.store) if s.name == "faces-fog")
    assert spec.rows[0][1] == "4 to 6"


def test_provenance_names_checkpoint_steps_gate_and_class_order(
    specs: dict[str, TableSpec],
) -> None:
    spec = specs["faces-provenance"]
    net, emodc = shown(spec)
    assert net[1] == "weights-of-net"
    assert net[2:] == [DASH] * 6
    assert emodc[2:] == ["2", "0.5000", "0.2500", "the first stage", DASH, "1e-05 [-2e-05, 4e-05]"]
    assert "Class order: happy, sad, angry." in spec.about


def test_different_class_orders_are_told_apart(build) -> None:
    build.add("net", "clean", "0", [Y, Y, Y])
    build.add("other", "clean", "0", [Y, Y, Y], classes=["sad", "angry", "happy"])
    caption = tables(read(build.plan()), build.store)[-1].about
    assert "Class order of net: happy, sad, angry." in caption
    assert "Class order of other: sad, angry, happy." in caption


def test_variants_across_data_sets(build) -> None:
    right = {
        ("emodc_a", "faces"): [True] * 4 + [False] * 2,
        ("emodc_a", "real"): [True] * 9,
        ("emodc_b", "faces"): [False] * 6,
        ("emodc_b", "real"): [True] * 3 + [False] * 6,
    }
    for (name, dataset), own in right.items():
        objective = {"kind": "base"} if name == "emodc_a" else {"kind": "margin", "margin": 0.1}
        training = {"kind": "emodc", "stages": [{"objective": objective, "steps": 5}]}
        d_p = [0.5] * len(own)
        build.add(name, "clean", "0", own, d_p=d_p, dataset=dataset, training=training)
    found = {spec.name: spec for spec in tables(read(build.plan()), build.store)}
    spec = found["across-variants"]
    assert spec.header == (
        "variant", "objective", "measure", "faces (3 classes, n 6)", "real (3 classes, n 9)",
    )  # fmt: skip
    assert [row[:3] for row in spec.rows] == [
        ("emodc_a", "plain denoising", "accuracy (WAR) %"),
        ("emodc_a", "plain denoising", "UAR %"),
        ("emodc_b", "fixed margin 0.1", "accuracy (WAR) %"),
        ("emodc_b", "fixed margin 0.1", "UAR %"),
    ]
    shown = [[value.value for value in row[3:]] for row in spec.rows]
    # Labels cycle through three classes: of the six faces one of each is right, and one more of
    # the first is.
    expected = [[4 / 6, 1.0], [(1 + 0.5 + 0.5) / 3, 1.0], [0.0, 3 / 9], [0.0, 1 / 3]]
    assert shown == [pytest.approx(row) for row in expected]
