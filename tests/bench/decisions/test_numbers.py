"""What `bench decide` says, recomputed from raw traces by few-line code."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_up_cells import CLASSES
from made_up_traces import K, errors, labels, write_run, write_traces
from scipy.stats import binomtest

from bench.rules import fitted
from bench.store.store import Store
from bench.store.traces import TraceInfo
from emodc.decisions.decide import decide
from emodc.decisions.rules import MajorityVote, SequentialTest, Stages

N, S = 60, 40
IDS = [f"s{i:03d}" for i in range(N)]


def rows(bench, *arguments: object) -> dict[tuple[str, str, str], dict]:
    """JSON rows by classifier, perturbation:severity and label."""
    code, out, err = bench(*arguments, "--json")
    assert (code, err) == (0, ""), err
    found = json.loads(out)["rows"]
    return {(r["classifier"], f"{r['perturbation']}:{r['severity']}", r["label"]): r for r in found}


def is_share(found: dict, hits: np.ndarray) -> bool:
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    expected = [hits.mean(), low, high]
    return [found["value"], found["low"], found["high"]] == pytest.approx(expected, abs=1e-6)


def test_smaller_full_decisions_take_the_middles_of_equal_parts(bench, run: Path) -> None:
    # Straight from the file, as anybody could read it.
    cell = next(c for c in Store(run).planned() if (c.classifier, c.family) == ("emodc", "clean"))
    (file,) = Store(run).folder(cell).glob("trace-*.parquet")
    table = pq.read_table(file).to_pydict()
    raw = np.array(table["errors"]).reshape(N, K, S)
    full = raw.mean(axis=2).argmin(axis=1)
    for count, steps in ((1, [20]), (4, [5, 15, 25, 35])):
        own = raw[:, :, steps].sum(axis=2).argmin(axis=1)
        found = rows(bench, run, "--rule", "full", "-o", f"count={count}", "--classifier", "emodc")
        (row,) = found.values()
        assert is_share(row["agreement"], own == full)
        assert is_share(row["accuracy"], own == labels(N))
        gain = (own == labels(N)).mean() - (full == labels(N)).mean()
        assert row["difference"]["value"] == pytest.approx(gain, abs=1e-6)
        assert row["evaluations"] == {"value": count * K, "low": None, "high": None}
        assert row["share_of_full"]["value"] == pytest.approx(count / S)
        assert (row["steps"]["value"], row["n"], row["seeds"]) == (count, N, 1)
        # From the validation cell, as the cell itself is of before operations were counted.
        assert row["gflops"]["value"] == pytest.approx((5e6 + count * 1e6) / 1e9)


def test_rules_are_those_of_emodc_with_the_fit_of_validation_pictures(bench, run: Path) -> None:
    store = Store(run)
    cell = next(c for c in store.planned() if c.severity == "2")
    fit = fitted(store, cell)
    trace = store.traces(store.manifest(cell))
    found = rows(bench, run, "--perturbation", "fog:2")
    full = trace.errors.mean(axis=2, dtype=float).argmin(axis=1)
    for label, rule in (
        ("stages 3 at 20, 2 at 50, 1 at 100", Stages()),
        ("majority vote", MajorityVote()),
        ("sequential test, delta 0.01", SequentialTest(profile=fit.profile)),
        (
            "bounded test, delta 0.01",
            SequentialTest(kind="bounded", profile=fit.profile, bound=fit.bound),
        ),
    ):
        own = decide(trace.errors, trace.timesteps, rule, IDS, seed=0)
        row = found["emodc", "fog:2", label]
        assert is_share(row["agreement"], own.winner == full)
        assert row["evaluations"]["value"] == pytest.approx(own.evaluations.mean(), abs=1e-6)
        assert row["steps"]["value"] == pytest.approx(own.steps.mean(), abs=1e-6)
        assert row["evaluations"]["low"] is None or (
            row["evaluations"]["low"] < own.evaluations.mean() < row["evaluations"]["high"]
        )
    assert {key[:2] for key in found} == {("emodc", "fog:2")} and len(found) == 7


def test_fewer_views_begin_with_the_picture_itself(bench, run: Path) -> None:
    raw = errors(40, steps=8).astype(float)
    found = rows(bench, run, "--rule", "full", "-o", "count=2", "--classifier", "net")
    row = found["net", "clean:8", "2 augmentations"]
    own = raw[:, :, :2].sum(axis=2).argmin(axis=1)
    assert is_share(row["accuracy"], own == labels(N))
    assert is_share(row["agreement"], own == raw.mean(axis=2).argmin(axis=1))
    # A pass scores all classes, and is one evaluation.
    assert (row["evaluations"]["value"], row["steps"]["value"]) == (2, 2)
    assert row["gflops"]["value"] == pytest.approx(7e6 / 1e9)


@pytest.mark.parametrize("which", ["weights", "range"])
def test_weights_of_timesteps_change_the_full_decision(bench, run: Path, which: str) -> None:
    store = Store(run)
    cell = next(c for c in store.planned() if c.severity == "1")
    curve = getattr(fitted(store, cell), which)
    trace = store.traces(store.manifest(cell))
    weights = curve.of(trace.timesteps)
    full = (trace.errors * weights[:, None]).sum(axis=2).argmin(axis=1)
    plain = trace.errors.mean(axis=2, dtype=float).argmin(axis=1)
    wanted = ("--perturbation", "fog:1", f"--{which}", "fitted", "--rule", "full")
    found = rows(bench, run, *wanted)
    assert is_share(found["emodc", "fog:1", "all steps"]["accuracy"], full == labels(N))
    assert is_share(found["emodc", "fog:1", "all steps, no weights"]["agreement"], full == plain)
    measured = K * (weights > 0).sum(axis=1).mean()
    assert found["emodc", "fog:1", "all steps"]["evaluations"]["value"] == pytest.approx(measured)
    bounded = rows(bench, run, *wanted[:-1], "sequential", "-o", "bet=bounded")
    agreement = bounded["emodc", "fog:1", "bounded test, delta 0.01"]["agreement"]
    assert agreement["value"] > 0.95


def test_decisions_on_independent_noise(bench, run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", noise=1)
    found = rows(bench, run, "--independent", other, "--classifier", "emodc")
    mine, its = (errors(seed).mean(axis=2).argmin(axis=1) for seed in (10, 11))
    row = found["emodc", "clean:0", "all steps"]
    assert row["agreement"] is None  # with itself
    assert is_share(row["agreement_other_noise"], mine == its)
    assert row["agreement_other_noise"]["value"] < 1


def test_trainings_are_averaged_on_the_pictures_that_all_have(bench, tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second = errors(1), errors(2, n=50)
    cells = [write_traces(store, "emodc", first), write_traces(store, "emodc", second, seed=1)]
    store.write_plan(cells, {})
    found = rows(bench, tmp_path, "--rule", "full")
    row = found["emodc", "clean:0", "all steps"]
    right = [e[:50].mean(axis=2).argmin(axis=1) == labels(50) for e in (first, second)]
    assert row["accuracy"]["value"] == pytest.approx(np.mean(right), abs=1e-6)
    assert (row["n"], row["seeds"]) == (50, 2)


def test_the_table_that_is_saved_has_the_same_numbers(bench, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    found = rows(bench, run, "--save", path, "--perturbation", "all")
    table = list(csv.DictReader(io.StringIO(path.read_text())))
    assert len(table) == len(found)
    for line, row in zip(table, found.values(), strict=True):
        assert (line["classifier"], line["rule"]) == (row["classifier"], row["label"])
        agreement = row["agreement"] or {"value": np.nan}
        shown = float(line["agreement %"] or "nan")
        assert shown == pytest.approx(100 * agreement["value"], abs=1e-3, nan_ok=True)
        assert float(line["evaluations/image"]) == pytest.approx(row["evaluations"]["value"])


def test_cells_are_visited_by_the_seed_of_the_noise_as_live(bench, tmp_path: Path) -> None:
    store, trace = Store(tmp_path), errors(1, gap=0.1)
    cell = write_traces(store, "emodc", trace)
    traces = store.traces(store.manifest(cell))
    info = TraceInfo(
        kind="errors", classes=tuple(CLASSES), precision="float32", model="w", seed=7, steps=S
    )
    manifest = store.manifest(cell)
    store.write_part(cell, 0, store.rows(manifest), replace(traces, info=info))
    store.write_manifest(manifest.model_copy(update={"files": None}))
    store.write_plan([cell], {})
    (row,) = rows(bench, tmp_path, "--rule", "sequential").values()
    costs = [
        decide(trace, traces.timesteps, SequentialTest(), IDS, seed=seed).evaluations.mean()
        for seed in (7, cell.run_seed)
    ]
    assert row["evaluations"]["value"] == pytest.approx(costs[0], abs=1e-6) != costs[1]
