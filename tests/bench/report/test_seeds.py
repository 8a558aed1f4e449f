"""Several training seeds: one row each in the summary, one entry in tables and figures."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.report import show, write_report
from bench.report.figures.curves import curve_drawings
from bench.report.results import read
from bench.report.tables import tables
from bench.report.write import summary_csv, summary_frame
from bench.stats import Interval, wilson
from bench.stats.bootstrap import two_level
from bench.store.store import Store

Y, N = True, False
RIGHT = {0: [Y, Y, N, Y, N, Y], 1: [Y, N, N, Y, Y, Y], 2: [N, N, N, Y, N, Y]}
NOISY = {0: [Y, N, N, Y, N, N], 1: [N, N, N, Y, Y, N], 2: [N, N, N, N, N, Y]}


@pytest.fixture
def seeded(build) -> Path:
    """`net` trained three times, `mine` not trained here; noise, and an attack on three samples."""
    for seed in (2, 0, 1):
        d_p = [0.1 * (seed + 1)] * 6
        build.add("net", "clean", "0", RIGHT[seed], seed=seed, d_p=d_p)
        build.add("net", "fog", "1", NOISY[seed], seed=seed, d_p=d_p)
        build.add("net", "fog", "2", NOISY[seed][::-1], seed=seed, d_p=d_p)
        build.add("net", "pgd", "4/255", [N, Y, N], seed=seed, d_p=d_p[:3])
    build.add("mine", "clean", "0", [Y, Y, Y, N, Y, Y])
    build.add("mine", "fog", "1", [Y, Y, N, N, Y, Y])
    return build.plan()


def joined(one: Interval, other: Interval) -> Interval:
    return Interval(min(one.low, other.low), max(one.high, other.high))


def spec_of(out: Path, name: str):
    return next(spec for spec in tables(read(out), Store(out)) if spec.name == name)


def test_the_summary_has_a_row_per_seed(seeded: Path) -> None:
    lines = summary_csv(summary_frame(read(seeded).complete)).splitlines()
    clean = [line.split(",")[:8] for line in lines if ",clean," in line]
    assert [row[4] for row in clean] == ["0", "1", "2", "0"]
    assert [row[7] for row in clean] == ["0.666667", "0.666667", "0.333333", "0.833333"]
    assert len(lines) == 1 + 4 * 3 + 2


def test_a_table_shows_the_mean_with_the_two_level_interval(seeded: Path) -> None:
    spec = spec_of(seeded, "faces-clean")
    assert spec.header[:4] == ("classifier", "n", "seeds", "accuracy %")
    net, mine = spec.rows
    outcomes = np.array([RIGHT[seed] for seed in range(3)], dtype=float)
    assert net[3].value == pytest.approx(10 / 18)
    assert net[3].interval == joined(two_level(outcomes, bounds=(0, 1)), wilson(10 / 3, 6))
    assert net[:3] == ("net", "6", "3") and net[6].number == "0.2000"
    # One training is what it always was.
    assert [str(value) for value in mine[:4]] == ["mine", "6", "1", "83.3 [43.6, 97.0]"]
    assert "training seeds 0, 1, 2, run seed 0." in spec.about


def test_uar_is_the_mean_of_the_seeds_uar(seeded: Path) -> None:
    (group,) = read(seeded).groups
    each = [r.uar.value for r in group.clean("net").results]
    assert len(set(each)) > 1
    assert group.clean("net").uar.value == pytest.approx(sum(each) / 3)


def test_a_mean_over_severities_resamples_shares_of_pictures(seeded: Path) -> None:
    spec = spec_of(seeded, "faces-fog")
    assert spec.header == ("classifier", "n", "seeds", "clean", "1", "2", "mean", "d_p (clean)")
    shares = np.array([[(a + b) / 2 for a, b in zip(NOISY[s], NOISY[s][::-1], strict=True)]
                       for s in range(3)])  # fmt: skip
    net = spec.rows[0]
    assert net[-2].value == pytest.approx(shares.mean())
    assert net[-2].interval == joined(
        two_level(shares, bounds=(0, 1)), wilson(6 * net[-2].value, 6)
    )


def test_an_attack_is_read_against_the_same_samples_and_seeds(seeded: Path) -> None:
    (group,) = read(seeded).groups
    reference = group.reference("net", "pgd")
    assert (reference.n, reference.seeds) == (3, (0, 1, 2))
    assert reference.accuracy.value == pytest.approx(3 / 9)
    assert spec_of(seeded, "faces-pgd").rows[1][1:] == (None,) * 6  # `mine` was not attacked


def test_a_training_that_was_not_attacked_is_no_reference(build) -> None:
    for seed in (0, 1):
        build.add("net", "clean", "0", RIGHT[seed], seed=seed)
    build.add("net", "pgd", "4/255", [N, N, N], seed=1)
    (group,) = read(build.plan()).groups
    reference = group.reference("net", "pgd")
    assert (reference.seeds, reference.accuracy.value) == ((1,), pytest.approx(1 / 3))


def test_an_unfinished_seed_is_left_out_and_counted(build) -> None:
    for seed in (0, 1):
        build.add("net", "clean", "0", RIGHT[seed], seed=seed)
        build.add("net", "fog", "1", NOISY[seed], seed=seed)
    build.add("net", "fog", "2", NOISY[0], seed=0)
    build.plan_only("net", "fog", "2", "faces", 1)
    out = build.plan()
    (row,) = spec_of(out, "faces-fog").rows
    assert row[2] == "1 to 2"
    assert row[-2] is None  # no mean over severities that stand for different trainings
    assert "seed 1: not finished" in str(read(out).missing[0])


def test_seeds_that_saw_other_samples_are_compared_on_the_shared_ones(build) -> None:
    build.add("net", "clean", "0", [Y, Y, N, N], seed=0)
    build.add("net", "clean", "0", [Y, N], seed=1, first=1)
    (row,) = spec_of(build.plan(), "faces-clean").rows
    assert row[1:3] == ("2", "2")
    assert row[3].value == pytest.approx((0.5 + 0.5) / 2)


def test_curves_show_the_mean_and_say_so(seeded: Path) -> None:
    figure = next(curve_drawings(read(seeded).groups[0], "corruption")).figure
    means = [100 * np.mean([kind[s] for s in range(3)]) for kind in (RIGHT, NOISY, NOISY)]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xydata(), [*enumerate(means)])
    assert "Bands: 95% intervals. Means over seeds." in str(figure.get_label())


def test_a_whole_report_and_a_terminal_of_80_columns(seeded: Path) -> None:
    stream = io.StringIO()
    show(write_report(seeded), Console(file=stream, force_terminal=True, width=80, no_color=True))
    text = stream.getvalue()
    assert "means over training seeds" in text
    assert "training seeds 0, 1, 2, run seed 0" in " ".join(text.split())


def test_a_single_training_seed_that_is_not_the_run_s_is_named(build) -> None:
    build.add("net", "clean", "0", [Y], seed=7, run_seed=0)
    spec = spec_of(build.plan(), "faces-clean")
    assert spec.header[:3] == ("classifier", "n", "accuracy %")
    assert spec.where.endswith("training seed 7, run seed 0")
