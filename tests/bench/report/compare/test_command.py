"""What `bench compare` prints, and how it ends."""

import csv
import io
import json
from pathlib import Path

import pytest
from comparisons import compared
from rich.console import Console

from bench.report.compare import compare, pair, show, sides, table


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
    show(first, second, pairing, rows, console)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for row in rows:
        shown = f"{row.difference.number} {row.difference.range}"
        assert any(line.startswith(row.label) and shown in line for line in lines), text.getvalue()
    assert ("UAR" in text.getvalue()) == (width == 120)


def test_the_table_names_what_it_rests_on(run: Path) -> None:
    first, second = sides("net", "other", run)
    rows = compare(pair(first, second).pairs)
    spec = table(first, second, rows)
    assert spec.header == ("cell", "n", "A %", "B %", "B - A", "p", "detectable", "UAR, B - A")
    assert "7 rows" in spec.caption and "Drawn faces" in spec.about
