"""Flip probabilities and rates, counted by hand; the unit is the picture."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_cells import CLASSES, inputs_of, make_cell, restated, write_cell

from bench.report.outcomes import AccuracyEstimate, Number
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.report.tables import tables
from bench.report.tables.severities import sequences_table
from bench.stats.bootstrap import two_level
from bench.store.cells import Cell, Manifest
from bench.store.store import ROW_SCHEMA, Store

STEADY, ONCE, ALWAYS = "0000", "0011", "0101"


def write_sequence(
    store: Store, classifier: str, name: str, decisions: list[str], noise: bool = False
) -> Cell:
    """A complete cell; of each picture the classes decided on, a digit per frame."""
    inputs = {"data": "d1", "perturbation": {"frames": [0, 1, 2, 3], "noise": noise}}
    what = (classifier, f"sequences.{name}", "4", "faces", 0)
    cell = make_cell(*what, family="sequence", inputs=inputs)
    rows = pd.DataFrame(
        [
            {
                "sample_id": f"s{i:03d}#{number:02d}",
                "label": CLASSES[0],
                "prediction": None if digit == "-" else CLASSES[int(digit)],
                "logits": [1e-6 * (str(k) == digit) for k in range(3)],
                "d_p": None,
                "evaluations": 1,
                "seconds": 0.1,
            }
            for i, own in enumerate(decisions)
            for number, digit in enumerate(own)
        ]
    )
    store.write_part(cell, 0, rows[ROW_SCHEMA.names])
    store.write_manifest(
        Manifest(
            cell=cell,
            classes=CLASSES,
            n=len(rows),
            shards=1,
            checkpoint="w",
            gate=None,
            timesteps=[],
            validation={},
            training={},
            inputs=inputs_of(cell, inputs),
            environment={},
        )
    )
    return cell


def made(root: Path, under: dict[str, dict[str, list[str]]], noise: tuple[str, ...] = ()) -> Store:
    """A store of classifiers under sequences, with a clean cell each."""
    store, cells = Store(root), []
    for classifier, own in under.items():
        cells.append(write_cell(store, classifier, "clean", "0", np.eye(3)[[0] * 4], ["happy"] * 4))
        cells += [write_sequence(store, classifier, n, d, n in noise) for n, d in own.items()]
    store.write_plan(cells, {})
    return store


def table(store: Store, reference: str | None = None) -> TableSpec:
    (group,) = read(store.root).groups
    spec = sequences_table(group, reference)
    assert spec is not None
    return spec


def test_probabilities_and_rates_are_those_of_the_definition(tmp_path: Path) -> None:
    many = [ONCE] * 30 + [STEADY] * 30
    store = made(
        tmp_path,
        {
            "net": {"tilt": many, "snow": many},
            "calm": {"tilt": [ONCE] * 12 + [STEADY] * 48, "snow": [ALWAYS] * 12 + [STEADY] * 48},
        },
    )
    spec = table(store)
    assert spec.header == ("classifier", "n", "mean FP %", "mFR % (net)", "FP % tilt", "FP % snow")
    net, calm = spec.rows
    assert net[1] == "60" and isinstance(net[3], Number) and net[3].number == "100.0"
    assert [v.number for v in net[4:] if isinstance(v, AccuracyEstimate)] == [
        "16.7",
        "16.7",
    ]  # (1/3) / 2
    tilt, snow = calm[4], calm[5]
    assert isinstance(tilt, AccuracyEstimate) and isinstance(snow, AccuracyEstimate)
    assert tilt.value == pytest.approx(12 / 60 / 3) and snow.value == pytest.approx(12 / 60)
    assert isinstance(calm[3], Number)
    assert calm[3].value == pytest.approx(100 * (0.4 + 1.2) / 2)
    # A picture with all its frames is one unit: 60 of them, not 180 steps.
    shares = np.array([[1 / 3] * 12 + [0.0] * 48])
    assert tilt.interval == two_level(shares, bounds=(0, 1))
    assert "net" in table(store, "net").header[3] and "calm" in table(store, "calm").header[3]


def test_frames_of_noise_are_compared_with_the_clean_picture(tmp_path: Path) -> None:
    store = made(tmp_path, {"net": {"a": [ONCE, "0100"], "b": [ONCE, "0100"]}}, noise=("b",))
    (row,) = table(store).rows
    steps, draws = row[4], row[5]
    assert isinstance(steps, AccuracyEstimate) and isinstance(draws, AccuracyEstimate)
    assert steps.value == pytest.approx((1 + 2) / 6) and draws.value == pytest.approx((2 + 1) / 6)


def test_a_tie_is_a_decision_of_its_own(tmp_path: Path) -> None:
    (row,) = table(made(tmp_path, {"net": {"a": ["0-00", STEADY]}})).rows
    assert isinstance(row[4], AccuracyEstimate) and row[4].value == pytest.approx(2 / 6)


def test_a_picture_that_lacks_a_frame_is_left_out(tmp_path: Path) -> None:
    (row,) = table(made(tmp_path, {"net": {"a": [ALWAYS, "010", STEADY]}})).rows
    assert row[1] == "2"
    assert isinstance(row[4], AccuracyEstimate) and row[4].value == pytest.approx(3 / 6)


def test_what_never_flips_has_an_interval_and_is_no_unit(tmp_path: Path) -> None:
    flipping = [ONCE] * 20 + [STEADY] * 20
    store = made(tmp_path, {"net": {"a": [STEADY] * 40}, "other": {"a": flipping}})
    net, other = table(store).rows
    assert (
        isinstance(net[4], AccuracyEstimate) and net[4].value == 0 and net[4].interval.high > 0.05
    )
    assert other[3] is None


def test_frames_stand_in_no_other_table(tmp_path: Path) -> None:
    store = made(tmp_path, {"net": {"tilt": [ONCE] * 4}})
    results = read(tmp_path)
    assert [result.cell.family for result in results.complete] == ["clean"]
    assert results.finished == 2 and not results.missing
    specs = tables(results, store)
    assert [spec.name for spec in specs if "tilt" in " ".join(spec.header)] == ["faces-sequences"]
    assert next(s for s in specs if s.name == "faces-sequences").chapter == "corruptions"


def test_stores_without_sequences_have_no_such_table(tmp_path: Path) -> None:
    (group,) = read(made(tmp_path, {"net": {}}).root).groups
    assert sequences_table(group, None) is None


def test_sequences_without_another_cell_are_told_of(tmp_path: Path) -> None:
    store = made(tmp_path, {"net": {"tilt": [ONCE] * 4}})
    store.write_plan([restated(store, store.planned()[1], cell={"dataset": "elsewhere"})], {})
    (missing,) = read(tmp_path).missing
    assert "no other cell of its data set" in str(missing)
