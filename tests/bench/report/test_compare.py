"""bench compare: its numbers recomputed from the outcomes; what must not be compared is refused."""

import csv
import io
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bench.bootstrap import two_level_difference
from bench.cli import main
from bench.compare import compare, pair, sides, table, terminal
from bench.errors import UserError
from bench.stats import sign_flip, tango

N = 60
CELLS = [("clean", "0"), ("noise", "1"), ("noise", "2"), ("blur", "1"), ("pgd", "1/255")]
SKILL = {"net": 0.6, "other": 0.8}


def outcomes(classifier: str, perturbation: str, severity: str, seed: int = 0) -> list[bool]:
    address = [ord(c) for c in f"{classifier}{perturbation}{severity}{seed}"]
    skill = SKILL[classifier] - 0.1 * (perturbation != "clean")
    return (np.random.default_rng(address).random(N) < skill).tolist()


@pytest.fixture
def run(build) -> Path:
    """Two classifiers in five cells."""
    for classifier, cell in itertools.product(SKILL, CELLS):
        build.add(classifier, *cell, outcomes(classifier, *cell))
    return build.plan()


@pytest.fixture
def seeds(new_build) -> Path:
    """Two classifiers with three trainings, one of which `other` lacks, on clean pictures."""
    build = new_build("seeds")
    for classifier, seed in [("net", 0), ("net", 1), ("net", 2), ("other", 0), ("other", 2)]:
        build.add(classifier, "clean", "0", outcomes(classifier, "clean", "0", seed), seed=seed)
    return build.plan()


def compared(first: str, second: str, out: Path):
    return {row.label: row for row in compare(pair(*sides(first, second, out)).pairs)}


def call(capsys, monkeypatch, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["bench", "compare", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture
def bench(capsys, monkeypatch):
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_by_scipy_and_statsmodels(run: Path, cell: tuple[str, str]) -> None:
    a, b = (np.array(outcomes(name, *cell)) for name in SKILL)
    row = compared("net", "other", run)[" ".join(cell) if cell[0] != "clean" else "clean"]
    assert (row.n, row.cells, row.seeds) == (N, 1, 1)
    for own, right in ((row.first, a), (row.second, b)):
        low, high = proportion_confint(right.sum(), N, method="wilson")
        assert own.value == right.mean()
        assert (own.interval.low, own.interval.high) == pytest.approx((low, high))
    assert row.difference.value == pytest.approx(b.mean() - a.mean())
    counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert row.p == pytest.approx(mcnemar(counts, exact=True).pvalue)
    bootstrapped = stats.bootstrap(
        (b.astype(float) - a,), np.mean, method="percentile", n_resamples=9999, rng=0
    ).confidence_interval
    # The bench's interval is wider by a correction for few samples, about 2 % at 60.
    ends = row.difference.interval.low, row.difference.interval.high
    assert ends == pytest.approx(tuple(bootstrapped), abs=0.02)


def test_means_count_a_picture_once(run: Path) -> None:
    rows = compared("net", "other", run)
    assert list(rows) == [
        "clean", "noise 1", "noise 2", "noise mean", "blur 1", "corruptions mean", "pgd 1/255",
    ]  # fmt: skip
    cells = CELLS[1:4]
    a, b = (np.array([outcomes(name, *cell) for cell in cells], float) for name in SKILL)
    row, shares = rows["corruptions mean"], b.mean(axis=0) - a.mean(axis=0)
    assert (row.n, row.cells) == (N, 3)
    assert row.difference.value == pytest.approx(shares.mean())
    assert row.first.value == pytest.approx(a.mean())
    interval = two_level_difference(b.mean(axis=0)[None], a.mean(axis=0)[None])
    assert row.difference.interval.low == pytest.approx(interval.low)
    flips = stats.permutation_test(
        (shares, np.zeros(N)), lambda x, y, axis: (x - y).mean(axis=axis), vectorized=True,
        permutation_type="samples", n_resamples=5_000, rng=0,
    )  # fmt: skip
    assert row.p == pytest.approx(flips.pvalue, abs=0.02)


def test_p_values_are_adjusted_over_all_rows(run: Path) -> None:
    rows = list(compared("net", "other", run).values())
    expected = multipletests([row.p for row in rows], method="holm")[1]
    assert [row.difference.p for row in rows] == pytest.approx(list(expected))


def test_the_detectable_difference_solves_connors_equation(run: Path) -> None:
    rows = compared("net", "other", run)
    row = rows["clean"]
    a, b = (np.array(outcomes(name, "clean", "0")) for name in SKILL)
    psi, d = (a != b).mean(), row.detectable
    z = stats.norm.isf(0.05 / len(rows) / 2) * np.sqrt(psi)
    needed = ((z + stats.norm.isf(0.2) * np.sqrt(psi - d**2)) / d) ** 2
    assert needed == pytest.approx(N)


def test_uar_weighs_classes_alike(new_build) -> None:
    build = new_build("unbalanced")
    # Labels 0, 1, 2, 0, ...: of 61 pictures class 0 has 21, the others 20.
    build.add("net", "clean", "0", [True] * 61)
    build.add("other", "clean", "0", [i % 3 != 0 for i in range(61)])
    row = compared("net", "other", build.plan())["clean"]
    assert row.difference.value == pytest.approx(-21 / 61)
    assert row.uar.value == pytest.approx(-1 / 3)
    assert row.uar.interval.low < -1 / 3 < row.uar.interval.high


def test_few_discordant_pictures_have_no_interval_of_uar(new_build) -> None:
    build = new_build("few")
    build.add("net", "clean", "0", [True] * 61)
    build.add("other", "clean", "0", [i > 3 for i in range(61)])
    row = compared("net", "other", build.plan())["clean"]
    assert row.uar is None and row.difference.interval == tango(0, 4, 61)


def test_seeds_that_both_have(seeds: Path) -> None:
    row = compared("net", "other", seeds)["clean"]
    a, b = (np.array([outcomes(c, "clean", "0", s) for s in (0, 2)], float) for c in SKILL)
    assert row.seeds == 2
    assert row.difference.value == pytest.approx((b - a).mean())
    interval = two_level_difference(b, a)
    assert row.difference.interval.low == pytest.approx(interval.low)
    flips = stats.permutation_test(
        ((b - a).sum(axis=0), np.zeros(N)), lambda x, y, axis: (x - y).sum(axis=axis),
        vectorized=True, permutation_type="samples", n_resamples=5_000, rng=0,
    )  # fmt: skip
    assert row.p == pytest.approx(flips.pvalue, abs=0.02)


def test_a_single_training_meets_one_of_another_seed(new_build) -> None:
    for seed in (0, 1):
        build = new_build(f"one-{seed}")
        build.add("net", "clean", "0", outcomes("net", "clean", "0", seed), seed=seed, run_seed=7)
        build.plan()
    pairing = pair(*sides(str(build.root.parent / "one-0"), str(build.root), Path()))
    assert pairing.pairs[0].seeds == ((0, 1),)


@pytest.mark.parametrize("differences", [[1, -1, 2, 0, 3], [0, 0], [3, 3, 3], [-2, 1, 1, 5, 1, 1]])
def test_sign_flips_enumerated(differences: list[int]) -> None:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    sums = np.abs(signs @ differences)
    assert sign_flip(differences) == pytest.approx((sums >= abs(sum(differences))).mean())


def test_sign_flips_of_single_outcomes_are_mcnemar() -> None:
    for gained, lost in ((0, 0), (3, 0), (40, 13), (7, 7), (400, 250)):
        counts = [[0, gained], [lost, 5]]
        expected = mcnemar(counts, exact=True).pvalue if gained + lost else 1
        found = sign_flip([1] * gained + [-1] * lost + [0] * 5)
        assert found == pytest.approx(expected, rel=1e-9)


def test_no_difference_is_no_test() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sign_flip([])


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([True], [False], "not distinguishable"),
        ([True] * 40, [True] * 40, "not distinguishable"),
        ([False] * 40, [True] * 40, "better"),
        ([None] * 40, [False] * 40, "not distinguishable"),
    ],
)
def test_extremes_have_an_outcome(new_build, a, b, verdict: str) -> None:
    build = new_build("extremes")
    build.add("net", "clean", "0", a)
    build.add("other", "clean", "0", b)
    row = compared("net", "other", build.plan())["clean"]
    assert row.verdict == verdict
    interval = row.difference.interval
    assert -1 <= interval.low <= row.difference.value <= interval.high <= 1
    json.dumps(vars(interval), allow_nan=False)


# -- what is paired, and what is not -------------------------------------------------------------


def test_runs_are_paired_by_classifier(run: Path, new_build) -> None:
    build = new_build("again")
    build.add("other", "noise", "2", outcomes("net", "noise", "2"))
    build.add("other", "rain", "1", [True] * N)
    again = build.plan()
    pairing = pair(*sides(str(run), str(again), Path()))
    assert [(p.where.classifiers, p.where.perturbation) for p in pairing.pairs] == [
        (("other", "other"), "noise")
    ]
    assert pairing.alone == (9, 1)
    named = pair(*sides(f"{run}:net", f"{again}:other", Path()))
    assert [str(p.where) for p in named.pairs] == ["net and other on faces, noise 2"]
    assert compare(named.pairs)[0].difference.value == 0


def test_a_failed_gate_is_named(out: Path) -> None:
    row = compared("net", "emodc_x", out)["clean"]
    assert row.names == ("net", "emodc_x (gate failed)")


def refusal(build, other, changes: dict[str, object]) -> str:
    """What is said of a cell whose manifest has other inputs in the second run."""
    for each in (build, other):
        each.add("net", "clean", "0", [True, False])
    cell = other.add("net", "noise", "1", [True, False])
    build.add("net", "noise", "1", [True, False])
    manifest = other.store.manifest(cell)
    other.store.write_manifest(manifest.model_copy(update=changes))
    pairing = pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert [p.where.perturbation for p in pairing.pairs] == ["clean"]
    ((where, reason),) = pairing.refused.items()
    assert str(where) == "net on faces, noise 1"
    return reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": {"data": "abc"}}, ["contents of the data sets", "None in A, abc in B"]),
        ({"inputs": {"perturbation": {"sigma": 2}}}, ["perturbation's parameters"]),
        ({"n": 3}, ["2 rows, promised 3"]),
    ],
)
def test_other_inputs_are_refused(build, new_build, changes, words: list[str]) -> None:
    reason = refusal(build, new_build("b"), changes)
    assert all(word in reason for word in words), reason


def test_other_parameters_are_named(build, new_build) -> None:
    other = new_build("b")
    for each, sigma in ((build, 1), (other, 2)):
        cell = each.add("net", "noise", "1", [True, False])
        inputs = {"perturbation": {"sigma": sigma, "version": 1}}
        each.store.write_manifest(each.store.manifest(cell).model_copy(update={"inputs": inputs}))
    with pytest.raises(UserError, match="sigma: 1 in A, 2 in B") as error:
        pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert "version" not in str(error.value)


def test_other_samples_and_labels_are_refused(build, new_build) -> None:
    other = new_build("b")
    build.add("net", "clean", "0", [True] * 6)
    other.add("net", "clean", "0", [True] * 4, first=3)
    build.add("net", "noise", "1", [True] * 6)
    other.add("net", "noise", "1", [True] * 6, first=0, classes=["happy", "angry", "sad"])
    build.add("net", "noise", "2", [True] * 6)
    # Samples 1 to 6 renamed to 0 to 5: labels no longer belong to their ids.
    cell = other.add("net", "noise", "2", [True] * 7)
    rows = other.store.part(cell, 0).iloc[1:].copy()
    rows["sample_id"] = [f"s{i:03d}" for i in range(6)]
    other.store.write_part(cell, 0, rows)
    other.store.write_manifest(other.store.manifest(cell).model_copy(update={"n": 6}))
    pairing = pair(*sides(str(build.plan()), str(other.plan()), Path()))
    assert [p.where.severity for p in pairing.pairs] == ["1"]  # another order of classes is none
    samples, labels = pairing.refused.values()
    assert samples == "not the same samples: A has 6, B has 4, 3 are in both"
    assert labels == "6 of 6 samples have different labels"


def test_unfinished_cells_and_foreign_seeds_are_refused(new_build) -> None:
    one, other = new_build("a"), new_build("b")
    for build, numbers in ((one, (0, 1)), (other, (2, 3))):
        for seed in numbers:
            build.add("net", "clean", "0", [True, False], seed=seed)
        build.add("net", "noise", "1", [True, False])
    one.add("net", "noise", "2", [True, False])
    other.plan_only("net", "noise", "2", "faces", 0)
    pairing = pair(*sides(str(one.plan()), str(other.plan()), Path()))
    assert list(pairing.refused.values()) == [
        "no training seed in common: A has 0, 1, B has 2, 3",
        "not finished in B",
    ]


def test_refusals_are_told_by_reason(bench, run: Path, new_build) -> None:
    build = new_build("unfinished")
    build.add("net", "clean", "0", outcomes("net", "clean", "0"))
    for severity in ("1", "2"):
        build.plan_only("net", "noise", severity, "faces", 0)
    code, out, _ = bench(run, build.plan())
    assert code == 0
    assert out.splitlines()[-1] == (
        "not compared: net on faces, noise 1 and 1 more: not finished in B"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nett", "other"), ["no classifier of", "'nett'", "Did you mean net"]),
        (("{run}:oter", "net"), ["Did you mean other"]),
        (("{run}", "net"), ["whole run", "net, other"]),
        (("{run}/cells", "net"), ["holds no run"]),
        (("nowhere:net", "net"), ["nowhere holds no run"]),
        (("{run}", "{strange}"), ["no cell in common", "has third on faces under rain"]),
        (("net", "other", "--save", "table.pdf"), [".md, .csv, .tex"]),
    ],
)
def test_mistakes_are_sentences(bench, run: Path, new_build, arguments, words) -> None:
    build = new_build("strange")
    build.add("third", "rain", "1", [True])
    names = {"run": run, "strange": build.plan()}
    code, out, err = bench(*(text.format(**names) for text in arguments), "--out", run)
    assert (code, out) == (2, "")
    assert all(word in err for word in words), err


def test_no_run_at_all(bench, tmp_path: Path) -> None:
    code, _, err = bench("net", "other", "--out", tmp_path)
    assert code == 2 and "--out" in err and str(tmp_path) in err


# -- what is printed -----------------------------------------------------------------------------


def test_exit_codes(bench, run: Path) -> None:
    both = (("net", "other"), ("other", "net"), ("net", "net"))
    found = {
        (names, flag): bench(*names, "--out", run, *flag)[0]
        for names in both
        for flag in ((), ("--fail-if", "worse"), ("--fail-if", "different"))
    }
    worse = {row.verdict for row in compared("other", "net", run).values()}
    assert "worse" in worse and "better" not in worse
    assert [code for (_, flag), code in found.items() if not flag] == [0, 0, 0]
    assert [code for (_, flag), code in found.items() if "worse" in flag] == [0, 2, 0]
    assert [code for (_, flag), code in found.items() if "different" in flag] == [2, 2, 0]


def test_json_is_one_document(bench, run: Path) -> None:
    code, out, err = bench("net", "other", "--out", run, "--json")
    content = json.loads(out)
    assert (code, err) == (0, "")
    assert content["a"] == {"run": str(run), "classifier": "net"}
    assert content["tests"] == len(content["rows"]) == 7
    expected = compared("net", "other", run)
    for row in content["rows"]:
        own = expected[row["label"]]
        assert row["difference"]["value"] == pytest.approx(own.difference.value, abs=1e-6)
        assert row["p_holm"] == pytest.approx(own.difference.p)
        assert row["verdict"] == own.verdict
        assert (row["severity"] is None) == (row["cells"] > 1)


def test_a_pipe_gets_a_line_per_row(bench, run: Path) -> None:
    _, out, _ = bench("net", "other", "--out", run)
    lines = out.splitlines()
    assert len([line for line in lines if " points, p " in line]) == 7
    assert "Of 5 cells (n 60) B is better in" in out


def test_the_table_is_saved(bench, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "comparison.csv"
    assert bench("net", "other", "--out", run, "--save", path)[0] == 0
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    expected = compared("net", "other", run)
    assert [row["cell"] for row in rows] == list(expected)
    assert float(rows[0]["B - A"]) == pytest.approx(
        100 * expected["clean"].difference.value, abs=1e-4
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_of_any_width(run: Path, width: int) -> None:
    first, second = sides("net", "other", run)
    pairing = pair(first, second)
    rows = compare(pairing.pairs)
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None)
    terminal.show(first, second, pairing, rows, console)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for row in rows:
        shown = f"{row.difference.number} {row.difference.range}"
        assert any(line.startswith(row.label) and shown in line for line in lines), text.getvalue()
    assert ("UAR" in text.getvalue()) == (width == 120)


def test_the_table_names_what_it_rests_on(run: Path) -> None:
    first, second = sides("net", "other", run)
    rows = compare(pair(first, second).pairs)
    spec = table.table(first, second, rows)
    assert spec.header == ("cell", "n", "A %", "B %", "B - A", "p", "detectable", "UAR, B - A")
    assert "7 rows" in spec.caption and "Drawn faces" in spec.caption
