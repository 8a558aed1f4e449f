"""Diagnostics of a report: numbers against the stored arrays, figures, and what is missing."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from made_up_cells import info
from PIL import Image
from scipy import stats

from bench.data.drawn import DrawnFaces
from bench.perturb import CORRUPTIONS
from bench.report import write_report
from bench.report.figures.diagnostics import (
    correlation,
    example,
    gap_by_timestep,
    margins,
    timesteps,
)
from bench.report.results import read
from bench.report.tables.diagnostics import Diagnosis, diagnose
from bench.store.store import Store
from bench.store.traces import OtherPrompts, Traces

N, K, S = 24, 3, 20
Y, NO = True, False


def simulated(seed: int, late: bool = False) -> Traces:
    """Errors that fall with t, .03 higher for wrong classes; labels cycle. `late`: t >= 250."""
    draws = np.random.default_rng(seed)
    grid = np.arange(250 if late else 0, 500, 12.5 if late else 25).astype(np.int32)
    level = 0.8 - grid / 1000 + 0.2 * draws.random((N, 1, 1))
    wrong = 0.03 * (np.arange(K) != np.arange(N)[:, None] % K)[:, :, None]
    errors = level + wrong + 0.05 * draws.normal(size=(N, K, S))
    ids = tuple(f"s{i:03d}" for i in range(N))
    return Traces(ids, errors.astype(np.float32), np.tile(grid, (N, 1)), info(S))


@pytest.fixture
def others() -> OtherPrompts:
    d_p = simulated(0).errors[np.arange(N), np.arange(N) % K]
    chosen = [5, 1, 7, 2, 9, 11, 16]
    noise = np.random.default_rng(5).normal(size=(7, S)).astype(np.float32)
    return OtherPrompts(
        tuple(f"s{i:03d}" for i in chosen), d_p[chosen] + 0.2 * noise, d_p[chosen] + 0.01
    )


@pytest.fixture
def traced(build, others: OtherPrompts) -> Path:
    """An EmoDC with traces: clean, two severities of noise; a network that noise 2 confuses."""
    build.add("net", "clean", "0", [NO, Y, NO, *[Y] * (N - 3)])
    build.add("net", "noise", "1", [NO] * N)
    build.add("net", "noise", "2", [Y, Y, *[NO] * (N - 2)])
    for number, severity in enumerate("012"):
        name = "noise" if number else "clean"
        traces = simulated(number, late=number > 0)
        prompts = None if number else others
        build.add("emodc", name, severity, [Y] * N, traces=traces, others=prompts)
    return build.plan()


def only(out: Path) -> Diagnosis:
    found, absent = diagnose(read(out), Store(out))
    assert len(found) == 1 and not absent
    return found[0]


def numbers(out: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    write_report(out)
    with (out / "report" / "diagnostics.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    return {(row["condition"], row["quantity"], row["of"]): row for row in rows}


def test_numbers_are_those_of_the_stored_arrays(traced: Path, others: OtherPrompts) -> None:
    found = numbers(traced)
    errors, labels = simulated(0).errors.astype(float), np.arange(N) % K
    rows = [int(name[1:]) for name in others.ids]
    d_p = errors[np.arange(N), labels].mean(axis=1)

    r = stats.pearsonr(d_p[rows], others.null.astype(float).mean(axis=1))
    row = found["clean", "correlation with d_p", "null prompt"]
    expected = (r.statistic, *r.confidence_interval(), 7)
    assert [float(row[name]) for name in ("value", "low", "high", "n")] == pytest.approx(
        expected, abs=1e-5
    )
    row = found["clean", "mean d - d_p", "non-class prompt"]
    assert float(row["value"]) == pytest.approx(0.01, abs=1e-6)

    # Bins of 0..476, the grid that this store names no range for: the first holds t 0 and 25.
    first = errors[:, :, :2].mean(axis=2)
    hits = int((first.argmin(axis=1) == labels).sum())
    wilson = stats.binomtest(hits, N).proportion_ci(method="wilson")
    row = found["clean", "accuracy of timesteps", "0-48"]
    assert [float(row[name]) for name in ("value", "low", "high", "n")] == pytest.approx(
        (hits / N, wilson.low, wilson.high, N), abs=1e-5
    )
    gap = first.sum(axis=1) / 2 - 1.5 * first[np.arange(N), labels]
    row = found["clean", "d' of timesteps", "0-48"]
    assert float(row["value"]) == pytest.approx(gap.mean() / gap.std(ddof=1), abs=1e-5)

    d_n = np.where(np.arange(K) == labels[:, None], np.inf, errors.mean(axis=2)).min(axis=1)
    easy = np.argsort(d_p)[: N // 3]
    row = found["clean", "kept adaptive margin 0.2 d_p", "easy third"]
    assert float(row["value"]) == pytest.approx(np.mean(d_n[easy] >= 1.2 * d_p[easy]))
    assert row["n"] == "8"


def test_the_strongest_corruption_stands_beside_clean(traced: Path) -> None:
    diagnosis = only(traced)
    assert [t.name for t in diagnosis.conditions] == ["clean", "noise 2"]
    np.testing.assert_array_equal(diagnosis.conditions[1].errors, simulated(2, late=True).errors)
    bins = diagnosis.informativeness(diagnosis.conditions[1])
    assert bins[0] == (None, None)  # noise-aware timesteps start later
    assert bins[-1][0] is not None and bins[-1][0].n == N


def test_the_example_is_the_networks_first_change(traced: Path) -> None:
    found = only(traced).example
    assert found is not None
    # s000 and s002 are wrong already when clean, s001 stays right.
    assert (found.sample_id, found.label) == ("s003", "happy")
    assert found.clean.decisions == {"net": "happy", "emodc": "happy"}
    assert found.corrupted.decisions == {"net": "sad", "emodc": "happy"}
    expected = simulated(2, late=True).errors[3].astype(float).mean(axis=1)
    np.testing.assert_allclose(found.corrupted.errors.mean, expected)


def test_without_another_classifier_emodcs_own_change_is_shown(build) -> None:
    for severity, right in (("0", [Y] * N), ("1", [Y, NO, *[Y] * (N - 2)])):
        name = "noise" if severity == "1" else "clean"
        build.add("emodc", name, severity, right, traces=simulated(0))
    found = only(build.plan()).example
    assert found is not None and found.sample_id == "s001"
    assert "no other classifier" in found.rule


def test_an_example_that_was_decided_early_has_both_decisions(traced: Path) -> None:
    """Without a trace under noise the errors of that side are not shown, the decisions are."""
    for path in traced.rglob("trace-*.parquet"):
        if "noise" in (path.parent / "cell.json").read_text():
            path.unlink()
    diagnosis = only(traced)
    assert diagnosis.example is not None and diagnosis.example.sample_id == "s003"
    assert diagnosis.example.corrupted.errors is None
    drawn = example(diagnosis)
    assert drawn is not None
    clean, corrupted = drawn.axes
    assert len(clean.patches) == K and not corrupted.patches
    assert corrupted.get_title() == "noise 2\nnet says sad\nemodc says happy"
    assert "decided early" in drawn.get_label()


def test_pictures_of_drawn_faces_are_shown_clean_and_corrupted() -> None:
    """Drawn again by their addresses, from the plan's config."""
    out = Path(__file__).parents[1] / "store" / "finished" / "store"
    (found,) = [d.example for d in diagnose(read(out), Store(out))[0]]
    assert found is not None
    faces = DrawnFaces({"train": 14, "val": 7, "test": 14})
    [sample] = [s for s in faces.samples("test") if s.id == found.sample_id]
    picture = faces.picture(sample)
    name, _, severity = found.corrupted.condition.rpartition(" ")
    where = {"seed": 0, "dataset": "faces", "sample_id": sample.id}
    changed = CORRUPTIONS[name.replace(" ", "_")](picture, int(severity), **where)
    np.testing.assert_array_equal(found.clean.pixels, picture)
    np.testing.assert_array_equal(found.corrupted.pixels, changed)
    assert sample.label == found.label


@pytest.mark.usefixtures("rendered")
def test_every_figure_of_the_page_exists(traced: Path) -> None:
    write_report(traced)
    folder = traced / "report"
    linked = re.findall(r"\]\((figures/.*?)\)", (folder / "tables.md").read_text())
    assert [Path(name).stem for name in linked][-5:] == [
        f"faces-emodc-{what}"
        for what in ("correlation", "gap_by_timestep", "timesteps", "margins", "example")
    ]
    for name in linked:
        assert np.asarray(Image.open(folder / name).convert("L")).std() > 10
        assert (folder / name).with_suffix(".png").is_file()


def test_figures_show_the_numbers(traced: Path) -> None:
    diagnosis = only(traced)
    panels = correlation(diagnosis).axes
    assert [ax.get_title().split("\n")[0] for ax in panels] == [
        "null prompt", "non-class prompt", "negatives, mean",
    ]  # fmt: skip
    assert panels[0].get_xlim() == panels[0].get_ylim()
    assert len(panels[1].collections[0].get_offsets()) == 7
    assert len(gap_by_timestep(diagnosis).axes) == 10
    left, right = timesteps(diagnosis).axes
    accuracy = diagnosis.informativeness(diagnosis.clean)[3][0]
    assert accuracy is not None
    assert np.asarray(left.lines[0].get_ydata())[3] == pytest.approx(100 * accuracy.value)
    assert np.isnan(np.asarray(right.lines[1].get_ydata(), dtype=float)[0])
    scatter, bars = margins(diagnosis).axes
    assert len(bars.patches) == 4
    assert sum(len(c.get_offsets()) for c in scatter.collections) == N
    drawn = example(diagnosis)
    assert drawn is not None
    clean, corrupted = drawn.axes  # no pictures: their data set is not here
    assert clean.get_title() == "clean\nnet says happy\nemodc says happy"
    assert diagnosis.example is not None and diagnosis.example.corrupted.errors is not None
    widths = [bar.get_width() for bar in corrupted.patches]
    np.testing.assert_allclose(widths, diagnosis.example.corrupted.errors.excess)


def test_a_store_without_traces_still_makes_a_report(traced: Path) -> None:
    for path in traced.rglob("trace-*.parquet"):
        path.unlink()
    write_report(traced)
    page = (traced / "report" / "tables.md").read_text()
    assert "EmoDC on faces: the store holds no whole trace" in page
    assert "](figures/faces-emodc-" not in page
    assert len((traced / "report" / "diagnostics.csv").read_text().splitlines()) == 1


def test_a_trace_of_other_samples_is_not_used(build) -> None:
    cell = build.add("emodc", "clean", "0", [Y] * 6, d_p=[0.5] * 6)
    manifest = build.store.manifest(cell)
    build.store.write_part(cell, 0, build.store.rows(manifest), simulated(0))  # of 24 samples
    build.store.write_manifest(manifest.model_copy(update={"files": None}))
    found, absent = diagnose(read(build.plan()), build.store)
    assert not found and len(absent) == 1


def test_a_store_without_emodc_says_so(build) -> None:
    build.add("net", "clean", "0", [Y] * 6)
    write_report(build.plan())
    assert "no EmoDC" in (build.root / "report" / "tables.md").read_text()


def test_without_other_prompts_only_negatives_are_compared(traced: Path) -> None:
    next(traced.rglob("prompts-*.parquet")).unlink()
    diagnosis = only(traced)
    assert list(diagnosis.correlations) == ["negative"]
    assert len(diagnosis.prompts["positive"]) == N
    write_report(traced)
    page = (traced / "report" / "tables.md").read_text()
    assert "no errors under the null and the non-class prompt" in page
