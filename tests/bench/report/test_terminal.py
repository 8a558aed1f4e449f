"""The summary on terminals of any width: whole numbers, each with its interval."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.report.outcomes import AccuracyEstimate, share
from bench.report.present import Column, fitted
from bench.report.results import read
from bench.report.terminal import show
from bench.stats import Interval

Y, N = True, False


def printed(root: Path, width: int, terminal: bool = True) -> str:
    results = read(root)
    report = SimpleNamespace(
        labels={}, results=results, missing=results.missing, folder=Path("report")
    )
    text = io.StringIO()
    show(report, Console(file=text, force_terminal=terminal, width=width, color_system=None))
    return text.getvalue()


@pytest.fixture
def store(build) -> Path:
    """Two classifiers, one with a long name, under two corruptions and an attack."""
    for name, shift in (("net", 0), ("emodc_with_a_rather_long_name", 3)):
        for number, cell in enumerate(
            [("clean", "0"), ("noise", "1"), ("noise", "2"), ("blur", "1"), ("pgd", "2/255")]
        ):
            build.add(name, *cell, [(i * (number + 2) + shift) % 7 > 2 for i in range(40)])
    return build.plan()


def estimates(store: Path) -> list[AccuracyEstimate]:
    """All that a terminal shows, however narrow."""
    (group,) = read(store).groups
    found = [group.clean(c).accuracy for c in group.names]
    for name in ("noise", "blur"):
        found += [group.mean(c, name) for c in group.names]
        found += [group.under(c, name)[-1].accuracy for c in group.names]
    return found + [group.under(c, "pgd")[-1].accuracy for c in group.names]


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80, 120])
def test_numbers_are_whole_at_any_width(store: Path, width: int) -> None:
    text = printed(store, width)
    body = [line for line in text.splitlines() if not line.startswith("report:")]
    assert max(map(cell_len, body)) <= width, text
    for estimate in estimates(store):
        assert estimate.number in text and estimate.range in text, (estimate, text)
    assert "…" not in text


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (32, ["classifier", "accuracy", "%"]),
        (40, ["classifier", "accuracy", "%", "UAR", "%"]),
        (80, ["classifier", "accuracy", "%", "UAR", "%", "F1", "%"]),
    ],
)
def test_secondary_columns_go_first(store: Path, width: int, columns: list[str]) -> None:
    lines = printed(store, width).splitlines()
    assert next(line for line in lines if line.startswith("classifier")).split() == columns


def test_the_mean_over_corruptions(store: Path) -> None:
    (group,) = read(store).groups
    cells = [("noise", "1"), ("noise", "2"), ("blur", "1")]
    one, two, blur = (group.get("net", *cell).right for cell in cells)
    mean, strongest = ((one + two) / 2 + blur) / 2, (two + blur) / 2
    lines = printed(store, 120).splitlines()
    after = lines[lines.index("mean of all 2 corruptions") + 1]
    clean = group.clean("net").accuracy
    parts = [f"{e.number} {e.range}" for e in (clean, share(mean), share(strongest))]
    assert " ".join(after.split()) == f"net {' '.join(parts)}"
    assert f"net, faces, mean of all 2 corruptions, seed 0: accuracy {share(mean)} %, n 40" in (
        printed(store, 20, terminal=False).splitlines()
    )


def test_one_corruption_has_no_mean_of_all(build) -> None:
    build.add("net", "noise", "1", [Y, N])
    assert "mean of all" not in printed(build.plan(), 80)


def lines_of(width: int, *names: str) -> list[str]:
    value = AccuracyEstimate(0.5, Interval(0.25, 0.75))
    columns = (Column("first"), Column("second", 2), Column("third", 1))
    table = fitted("title", "name", columns, [(name, (value, "7", "8.5")) for name in names], width)
    text = io.StringIO()
    Console(file=text, width=width, force_terminal=True, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_the_four_forms() -> None:
    assert lines_of(36, "a")[1:] == [
        "name             first second third",
        "a    50.0 [25.0, 75.0]      7   8.5",
    ]
    assert lines_of(30, "a")[2] == "a    50.0 [25.0, 75.0]   8.5"
    assert lines_of(22, "a")[2] == "a    50.0 [25.0, 75.0]"
    assert lines_of(21, "a")[2:] == ["a            50.0", "     [25.0, 75.0]"]
    assert lines_of(16, "a")[1:] == ["a", "    first 50.0", "    [25.0, 75.0]"]


def test_long_names_fold_and_numbers_stay() -> None:
    long = "a" * 30
    assert lines_of(34, long)[2:] == ["a" * 16 + " 50.0 [25.0, 75.0]", "a" * 14]
    assert lines_of(30, long)[2:] == [
        "a" * 17 + "         50.0",
        "a" * 13 + " " * 5 + "[25.0, 75.0]",
    ]


def test_names_fold_between_words() -> None:
    found = lines_of(40, "emodc_amdit_03 (denoiser check failed)", "emodc_x and so on and on")
    assert [line[:16].rstrip() for line in found[2:]] == [
        "emodc_amdit_03", "(denoiser check", "failed)", "emodc_x and so", "on and on",
    ]  # fmt: skip


def test_rows_under_headings_are_indented() -> None:
    lines = ["heading", ("a name of several words", ("7",))]
    text = io.StringIO()
    Console(file=text, width=20, color_system=None).print(
        fitted("title", "name", [Column("one")], lines, 20)
    )
    assert [line.rstrip() for line in text.getvalue().splitlines()][2:] == [
        "heading", " a name of         7", " several words",
    ]  # fmt: skip


def test_columns_without_a_value_are_left_out() -> None:
    table = fitted("title", "name", (Column("one"), Column("none")), [("a", ("7", None))], 40)
    text = io.StringIO()
    Console(file=text, width=40, color_system=None).print(table)
    assert "none" not in text.getvalue()


def test_wide_characters_keep_columns_straight() -> None:
    lines = lines_of(40, "表情", "ab")
    assert cell_len(lines[2]) == cell_len(lines[3]) == len("name 50.0 [25.0, 75.0]      7   8.5")
