"""Every number of every table again, in a few lines, straight from the rows of the store."""

from itertools import permutations
from math import isnan, sqrt

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from bench.report.figures.calibration import selective_drawings
from bench.report.figures.cost import cost_drawings
from bench.report.findings import findings
from bench.report.outcomes import AccuracyEstimate, Number
from bench.report.spec import Value

CLASSES = ["happy", "sad", "angry"]
NAMES = ("net", "other", "emodc")
FOG = [("fog", "1"), ("fog", "2")]
BLUR = [("blur", "1"), ("blur", "2")]


def is_accuracy(value: Value, right: np.ndarray) -> bool:
    """A share with Wilson's interval, here of scipy, or by hand for a mean of shares."""
    assert isinstance(value, AccuracyEstimate)
    n, p = len(right), right.mean()
    if set(right) <= {0.0, 1.0}:
        low, high = binomtest(int(right.sum()), n).proportion_ci(method="wilson")
    else:
        z = 1.959963984540054
        centre, half = p + z**2 / 2 / n, z * sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
        low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    found = value.value, value.interval.low, value.interval.high
    return found == pytest.approx((p, low, high), abs=1e-9)


def is_number(value: Value, expected: float, interval: tuple[float, float]) -> bool:
    """Equal, with an interval equal to a drawn one up to an eighth of its width."""
    assert isinstance(value, Number) and value.interval is not None
    low, high = interval
    near = pytest.approx(interval, abs=(high - low) / 8)
    return value.value == pytest.approx(expected) and near == (
        value.interval.low,
        value.interval.high,
    )


def mean_right(example, name: str, cells: list[tuple[str, str]]) -> np.ndarray:
    return np.mean([example.right(name, *cell) for cell in cells], axis=0)


def test_clean(example) -> None:
    accuracy, macro = example.column("clean", "accuracy %"), example.column("clean", "macro-F1 %")
    uar, d_p = example.column("clean", "UAR %"), example.column("clean", "d_p")
    for name in NAMES:
        rows = example.frames[name, "clean", "0"]
        truth, said = rows["label"], rows["prediction"]
        assert is_accuracy(accuracy[name], example.right(name, "clean", "0"))
        hits = {c: ((truth == c) & (said == c)).sum() for c in CLASSES}
        f1 = [2 * hits[c] / ((truth == c).sum() + (said == c).sum()) for c in CLASSES]
        assert macro[name].value == pytest.approx(np.mean(f1))
        recalls = [hits[c] / (truth == c).sum() for c in CLASSES]
        assert uar[name].value == pytest.approx(np.mean(recalls))
        seconds = example.column("clean", "seconds/image")[name].value
        assert seconds == pytest.approx(rows["seconds"].mean(), rel=1e-5)
        costs = example.column("clean", "evaluations/image")[name].value
        assert costs == rows["evaluations"].mean()
        assert example.column("clean", "n")[name] == str(len(rows))
    assert d_p["net"] is None
    stored = example.frames["emodc", "clean", "0"]["d_p"].mean()
    assert d_p["emodc"].value == pytest.approx(stored, rel=1e-5)


@pytest.mark.parametrize(("corruption", "cells"), [("fog", FOG), ("blur", BLUR)])
def test_one_corruption(example, corruption: str, cells: list[tuple[str, str]]) -> None:
    for name in NAMES:
        clean = example.column(corruption, "clean")[name]
        assert is_accuracy(clean, example.right(name, "clean", "0"))
        for cell in cells:
            shown = example.column(corruption, cell[1])[name]
            assert is_accuracy(shown, example.right(name, *cell))
        means = mean_right(example, name, cells)
        assert is_accuracy(example.column(corruption, "mean")[name], means)
        assert is_accuracy(example.column("corruptions", corruption)[name], means)


def test_attack(example) -> None:
    for name in NAMES:
        clean = example.right(name, "clean", "0")[:20]
        assert is_accuracy(example.column("pgd", "clean")[name], clean)
        for eps in ("1/255", "2/255"):
            shown = example.column("pgd", f"eps {eps}")[name]
            assert is_accuracy(shown, example.right(name, "pgd", eps))
        assert example.column("pgd", "n")[name] == "20"


def test_grid(example, resampled) -> None:
    for name in NAMES:
        clean, mean = example.right(name, "clean", "0"), mean_right(example, name, FOG + BLUR)
        assert is_accuracy(example.column("corruptions", "clean")[name], clean)
        assert is_accuracy(example.column("corruptions", "mean")[name], mean)
        drop = 100 * (1 - mean.mean() / clean.mean())
        drawn = resampled(lambda c, m: 100 * (1 - m / c), clean, mean)
        assert is_number(example.column("corruptions", "relative drop %")[name], drop, drawn)


def test_corruption_errors(example, resampled) -> None:
    def wrong(name: str) -> list[np.ndarray]:
        return [1 - mean_right(example, name, cells) for cells in (FOG, BLUR)]

    def mce(a, b, ref_a, ref_b):
        return 50 * (a / ref_a + b / ref_b)

    def relative(a, b, c, ref_a, ref_b, ref_c):
        return mce(a - c, b - c, ref_a - ref_c, ref_b - ref_c)

    unit, unit_clean = wrong("net"), 1 - example.right("net", "clean", "0")
    for name in ("other", "emodc"):
        own, clean = wrong(name), 1 - example.right(name, "clean", "0")
        for i, corruption in enumerate(("fog", "blur")):
            shown = example.column("corruption-errors", f"CE % {corruption}")[name]
            drawn = resampled(lambda x, y: 100 * x / y, own[i], unit[i])
            assert is_number(shown, 100 * own[i].sum() / unit[i].sum(), drawn)
        columns = [*own, *unit]
        drawn = resampled(mce, *columns)
        shown = example.column("corruption-errors", "mCE % (net)")[name]
        assert is_number(shown, mce(*(c.mean() for c in columns)), drawn)
        columns = [*own, clean, *unit, unit_clean]
        drawn = resampled(relative, *columns)
        shown = example.column("corruption-errors", "relative mCE % (net)")[name]
        assert is_number(shown, relative(*(c.mean() for c in columns)), drawn)
    for column in ("mCE % (net)", "relative mCE % (net)", "CE % fog"):
        assert str(example.column("corruption-errors", column)["net"]) == "100.0"


def test_curves(example, resampled) -> None:
    for name in NAMES:
        clean = example.right(name, "clean", "0")
        first, second = (mean_right(example, name, [("fog", s), ("blur", s)]) for s in "12")
        shown = example.column("curves", "area under curve %")[name]
        assert is_accuracy(shown, (clean / 2 + first + second / 2) / 2)
        before = example.frames[name, "clean", "0"]["prediction"].fillna("tie")
        other = [example.frames[name, *cell]["prediction"].fillna("tie") for cell in FOG + BLUR]
        changed = np.mean([(after != before).to_numpy(float) for after in other], axis=0)
        assert is_accuracy(example.column("curves", "changed decisions %")[name], changed)
        heights = [column.mean() for column in (clean, first, second)]
        labels = example.frames[name, "clean", "0"]["label"]
        half = (heights[0] + labels.value_counts(normalize=True).max()) / 2
        shown = example.column("curves", "half drop at severity")[name]
        if heights[2] > half:
            assert str(shown).startswith("> 2")
            continue
        i = 1 if heights[1] <= half else 2
        at = i - 1 + (heights[i - 1] - half) / (heights[i - 1] - heights[i])
        text = shown.number if isinstance(shown, Number) else str(shown).split()[0]
        assert text == f"{at:.1f}"
    assert {type(v) for v in example.column("curves", "half drop at severity").values()}


def test_failure_points(example) -> None:
    """Broken by then: of what is recognised clean, the share that one severity so far breaks."""
    table = example.specs["faces-failure"]
    assert table.header == (*("classifier", "measure", "n", "clean", "1", "2", "failure point"),)
    for name in NAMES:
        broken, gap = (row for row in table.rows if row[0] == name)
        clean = example.right(name, "clean", "0") == 1
        assert broken[2] == str(int(clean.sum())) and broken[3] is None
        first = 1 - np.stack([example.right(name, p, "1")[clean] for p in ("fog", "blur")])
        second = 1 - np.stack([example.right(name, p, "2")[clean] for p in ("fog", "blur")])
        shares = first.mean(axis=0), np.maximum(first, second).mean(axis=0)
        for value, expected in zip(broken[4:6], shares, strict=True):
            assert is_accuracy(value, expected)
        half = next((f"{k}" for k, own in enumerate(shares, 1) if own.mean() >= 0.5), "> 2")
        assert str(broken[-1]).startswith(half)
        # Without validation pictures confidences are as they are.
        for column, severity in ((3, "0"), (4, "1"), (5, "2")):
            cells = [("clean", "0")] if severity == "0" else [("fog", severity), ("blur", severity)]
            each = [
                np.exp(probabilities(example, name, c)[0].max(axis=1)) - example.right(name, *c)
                for c in cells
            ]
            assert gap[column].value == pytest.approx(np.mean(each), abs=1e-6)
            assert gap[column].interval.low < gap[column].value < gap[column].interval.high
    assert "not the confidences of net, other, emodc" in table.about


def probabilities(example, name: str, cell: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    rows = example.frames[name, *cell]
    logs = log_softmax(np.stack(rows["logits"].to_numpy()).astype(float), axis=1)
    truth = np.array([[label == c for c in CLASSES] for label in rows["label"]], float)
    return logs, truth


@pytest.mark.parametrize(
    ("pictures", "cells"), [("clean", [("clean", "0")]), ("strongest severity", [FOG[1], BLUR[1]])]
)
def test_calibration(example, resampled, pictures: str, cells: list[tuple[str, str]]) -> None:
    for name in NAMES:
        row = f"{name} {pictures}"
        each = [probabilities(example, name, cell) for cell in cells]
        nll = np.mean([-(logs * truth).sum(1) for logs, truth in each], axis=0)
        shown = example.column("calibration", "NLL")[row]
        assert is_number(shown, nll.mean(), resampled(lambda m: m, nll))
        brier = np.mean([((np.exp(logs) - truth) ** 2).sum(1) for logs, truth in each], axis=0)
        shown = example.column("calibration", "Brier")[row]
        assert is_number(shown, brier.mean(), resampled(lambda m: m, brier))
        selective, areas, widths, masses = [], [], [], []
        for (logs, _), cell in zip(each, cells, strict=True):
            right, sure = example.right(name, *cell), np.exp(logs.max(axis=1))
            order = np.argsort(-sure)
            curve = np.cumsum(right[order]) / np.arange(1, 241)
            selective.append(curve[191])
            areas.append(1 - curve.mean())
            for bins, found in (
                (np.ceil(sure * 15), widths),
                (np.argsort(np.argsort(sure)) // 16, masses),
            ):
                gaps = [abs((right - sure)[bins == b].sum()) for b in np.unique(bins)]
                found.append(sum(gaps) / 240)
        accuracy = example.column("calibration", "accuracy % at 80% coverage")[row]
        assert accuracy.value == pytest.approx(100 * np.mean(selective))
        for column, values in (("AURC", areas), ("ECE", widths), ("adaptive ECE", masses)):
            shown = example.column("calibration", column)[row]
            assert shown.value == pytest.approx(np.mean(values)), column
            assert (shown.interval is None) == (column != "AURC")


def test_the_interval_of_an_area_under_the_risk_curve(example) -> None:
    draw, logs = np.random.default_rng(3), probabilities(example, "other", ("clean", "0"))[0]
    right, sure = example.right("other", "clean", "0"), logs.max(axis=1)
    areas = []
    for _ in range(3000):
        chosen = draw.integers(0, 240, 240)
        ordered = right[chosen][np.argsort(-sure[chosen])]
        areas.append(1 - (np.cumsum(ordered) / np.arange(1, 241)).mean())
    shown = example.column("calibration", "AURC")["other clean"]
    assert is_number(shown, shown.value, tuple(np.quantile(areas, [0.025, 0.975])))


def kappa(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    p, q, agreed = a.mean(-1), b.mean(-1), (a == b).mean(-1)
    expected = p * q + (1 - p) * (1 - q)
    return (agreed - expected) / (1 - expected)


def test_error_consistency(example) -> None:
    draw = np.random.default_rng(5).integers(0, 240, (3000, 240))
    for table, cells in (
        ("consistency", [("clean", "0")]),
        ("consistency-strongest", [FOG[1], BLUR[1]]),
    ):
        for one, other in (("other", "net"), ("emodc", "net"), ("emodc", "other")):
            pairs = [(example.right(one, *c), example.right(other, *c)) for c in cells]
            value = np.mean([kappa(a, b) for a, b in pairs])
            kappas = np.mean([kappa(a[draw], b[draw]) for a, b in pairs], axis=0)
            drawn = tuple(np.quantile(kappas, [0.025, 0.975]))
            assert is_number(example.column(table, other)[one], value, drawn), (table, one, other)
        assert example.column(table, "other")["other"] == ""


def newcombe_range(shares: list[float], sizes: list[int]) -> tuple[float, float]:
    """Newcombe's interval of every pair from statsmodels' Wilson limits, at Bonferroni's level."""
    level = 0.05 / (len(shares) * (len(shares) - 1) / 2)
    ends = []
    for (p, n), (q, m) in permutations(zip(shares, sizes, strict=True), 2):
        (low, high), (least, most) = (
            proportion_confint(x * k, k, level, method="wilson") for x, k in ((p, n), (q, m))
        )
        ends.append((p - q - np.hypot(p - low, most - q), p - q + np.hypot(high - p, q - least)))
    return 100 * max(0, max(low for low, _ in ends)), 100 * max(high for _, high in ends)


def test_groups(example) -> None:
    samples = example.store.samples("faces", "d1")
    for attribute, values in (
        ("class", CLASSES),
        ("age", ["18-34", "35-54", "55-80"]),
        ("glasses", ["no glasses", "glasses"]),
    ):
        given = samples["label" if attribute == "class" else attribute]
        for name in NAMES:
            conditions = {
                "clean": example.right(name, "clean", "0"),
                "all severities": mean_right(example, name, FOG + BLUR),
            }
            for pictures, right in conditions.items():
                large, sizes = [], []
                for value in values:
                    own = right[(given == value).to_numpy()]
                    column = example.column(f"groups-{attribute}", f"{value} (n {len(own)})")
                    assert is_accuracy(column[f"{name} {pictures}"], own)
                    large += [own.mean()] if len(own) >= 30 else []
                    sizes += [len(own)] if len(own) >= 30 else []
                gap = example.column(f"groups-{attribute}", "gap")[f"{name} {pictures}"]
                assert gap.value == pytest.approx(100 * (max(large) - min(large)))
                low, high = newcombe_range(large, sizes)
                assert (gap.interval.low, gap.interval.high) == pytest.approx((low, high), abs=1e-6)
                assert low <= gap.value <= high
                assert example.column("gaps", attribute)[f"{name} {pictures}"] == gap
    caption = example.specs["faces-groups-age"].about
    assert "Not in the gap, with under 30 pictures: 18-34." in caption
    assert "Not in the gap" not in example.specs["faces-groups-glasses"].about


def test_cost(example) -> None:
    (clean,) = (
        r
        for r in example.results.complete
        if (r.cell.classifier, r.cell.family) == ("emodc", "clean")
    )
    traces, rows = example.store.traces(clean.manifest), example.frames["emodc", "clean", "0"]
    truth = np.array([CLASSES.index(label) for label in rows["label"]])
    # The middles of equal parts.
    for name, chosen in (("1 step", [4]), ("5 steps", [0, 2, 4, 5, 7]), ("all steps", range(8))):
        errors = traces.errors[:, :, list(chosen)].astype(float).sum(axis=2)
        right = (errors.argmin(axis=1) == truth).astype(float)
        row = f"emodc {name}"
        assert is_accuracy(example.column("steps", "accuracy %")[row], right)
        assert example.column("steps", "evaluations/image")[row].value == 3 * len(chosen)
        shown = example.column("steps", "seconds/image")[row]
        if len(chosen) < 8:
            assert shown is None  # never timed
        else:
            assert shown.value == pytest.approx(rows["seconds"].mean(), rel=1e-5)
    whole = example.column("steps", "accuracy %")["emodc all steps"].value
    assert whole == example.column("clean", "accuracy %")["emodc"].value
    assert example.column("steps", "evaluations/image")["net as it is"].value == 1


def test_the_figure_of_cost_shows_the_numbers_of_its_table(example) -> None:
    (group,) = example.results.groups
    drawing = next(cost_drawings(group, example.store))
    lines = [line for line in drawing.figure.axes[0].lines if len(line.get_xdata()) > 1]
    spec = example.specs["faces-steps"]
    shown = [dict(zip(spec.header, row, strict=True)) for row in spec.rows if row[0] == "emodc"]
    full = [row for row in shown if row["rule"].endswith(("step", "steps"))]
    expected = [[row["evaluations/image"].value, 100 * row["accuracy %"].value] for row in full]
    np.testing.assert_allclose(lines[0].get_xydata(), expected)


def test_data_sets(example) -> None:
    spec = example.specs["datasets"]
    (row,) = spec.rows
    shown = dict(zip(spec.header, row, strict=True))
    counts = example.frames["net", "clean", "0"]["label"].value_counts()
    assert shown["train n"] == "30" and shown["test n"] == shown["measured n"] == "240"
    assert shown["per class"] == f"{counts.min()} to {counts.max()}"
    assert shown["chance %"] == "33.3"
    assert shown["majority %"] == f"{100 * counts.max() / 240:.1f}"
    assert shown["pixels"] == "64 x 48 to 64"
    assert shown["groups"] == "age, glasses" and shown["digest"] == "d1"
    assert f"happy {counts['happy']}, sad {counts['sad']}" in spec.about


def test_captions_are_of_at_most_forty_words(example) -> None:
    long = {n: s.caption for n, s in example.specs.items() if len(s.caption.split()) > 40}
    assert len(example.specs) > 12 and long == {}


def test_no_number_is_without_its_interval_unless_the_caption_says_why(example) -> None:
    free = {"evaluations/image", "steps/image", "seconds/image", "ECE", "adaptive ECE"}
    for spec in example.specs.values():
        for row in spec.rows:
            for name, value in zip(spec.header, row, strict=True):
                if isinstance(value, Number) and value.interval is None:
                    assert name in free or str(value) == "100.0", (spec.name, name)
                if isinstance(value, (Number, AccuracyEstimate)):
                    assert not isnan(value.value)
    assert "none of binned errors" in example.specs["faces-calibration"].caption


def test_a_column_of_accuracies_has_its_best_or_those_it_is_not_told_from(example) -> None:
    for table, columns in (
        ("clean", ["accuracy %", "UAR %"]),
        ("fog", ["clean", "1", "2", "mean"]),
        ("corruptions", ["clean", "mean", "fog", "blur"]),
    ):
        spec = example.specs[f"faces-{table}"]
        for name in columns:
            at = spec.header.index(name)
            best = max(range(3), key=lambda row: spec.rows[row][at].value)
            marked = [row for row in range(3) if (row, at) in spec.marks]
            assert best in marked, (table, name)
            assert (spec.marks[best, at] == "best") == (len(marked) == 1)
        assert {at for _, at in spec.marks} == {spec.header.index(name) for name in columns}
        assert "tests; detectable difference: " in spec.caption
    assert not example.specs["faces-pgd"].marks  # of 20 pictures
    assert "under 30 samples (attacks: 500) are not ranked" in example.specs["faces-pgd"].about
    said = findings(example.results.groups, list(example.specs.values()))
    assert "Attacks on too few pictures to rank classifiers (500): pgd 20 pictures." in said
    assert not any(sentence.startswith("pgd ") for sentence in said)


def test_findings_say_who_is_best_at_equal_clean_accuracy_and_what_attacks_left(example) -> None:
    said = findings(example.results.groups, list(example.specs.values()))
    (equal,) = [line for line in said if line.startswith("Of those not distinguishable when clean")]
    clean = example.specs["faces-clean"]
    at = clean.header.index("accuracy %")
    tied = [str(row[0]) for i, row in enumerate(clean.rows) if (i, at) in clean.marks]
    means = {name: mean_right(example, name, BLUR).mean() for name in tied}
    best, following = sorted(tied, key=means.__getitem__, reverse=True)[:2]
    assert (
        f"{best} keeps most under blur (mean over severities): {100 * means[best]:.1f} [" in equal
    )
    lead = 100 * (means[best] - means[following])
    assert f"; {lead:+.1f} [" in equal and equal.endswith(f"points over the next, {following}.")
    assert "distinguishable from " in equal.partition(": ")[2]
    (left,) = [line for line in said if line.startswith("Accuracy left by pgd, ")]
    for eps in ("1/255", "2/255"):
        rights = sorted(100 * example.right(name, "pgd", eps).mean() for name in NAMES)
        low, high = (f"{rights[i]:.1f}" for i in (0, -1))
        assert f"{low} [" in left and f"to {high} [" in left and f"% at {eps}" in left
    assert left.endswith("(n 20).")


def test_selective_accuracy_is_of_the_most_confident(example) -> None:
    (group,) = example.results.groups
    (drawing,) = selective_drawings(group)
    rows = example.frames["net", "clean", "0"]
    logs, truth = probabilities(example, "net", ("clean", "0"))
    sure = np.argsort(-logs.max(axis=1), kind="stable")
    right = truth[np.arange(len(rows)), logs.argmax(axis=1)][sure]
    panel = drawing.figure.axes[0]
    assert panel.get_title() == "clean"
    net = next(line for line in panel.lines if len(line.get_xdata()) == 19)
    for coverage, height in net.get_xydata():
        answered = int(np.ceil(coverage / 100 * len(rows) - 1e-9))
        assert height == pytest.approx(100 * right[:answered].mean())
    assert f"{100 * right.mean():.1f}% of all" in drawing.alt
