"""Names come from anybody's files; no output of a table runs, moves or hides anything."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import show, write_report
from bench.report.outcomes import AccuracyEstimate
from bench.report.page import Page, page_html
from bench.report.present import FORMATS, Column, fitted, present, renderer
from bench.report.spec import TableSpec
from bench.stats import Interval
from bench.util.errors import UserError, printable

ESCAPE = "net\x1b[31mred\x1b]0;title\x07"
TURNED = "net\u202egpj"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u061c\u2028-\u202e\u2066-\u2069]")
NAMES = [ESCAPE, TURNED, "\x9bred", "a\u2066b", "a\u200fb", "a\u2028b", "a\x00b", "a\rb"]
HALF = AccuracyEstimate(0.5, Interval(0.25, 0.75))


def table(name: str) -> TableSpec:
    return TableSpec("t", name, f"About {name}.", ("classifier", name), ((name, HALF),))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("suffix", FORMATS)
def test_no_format_of_a_table_steers_who_reads_it(name: str, suffix: str) -> None:
    text = present(table(name), suffix)
    assert "50.0" in text and not STEERING.search(text)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_page_and_a_terminal_are_not_steered(name: str) -> None:
    page = page_html(Page(name, (name,), table(name), missing=(name,)))
    assert not STEERING.search(page)
    for width in (120, 20, 9):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        console.print(fitted(name, "names", [Column("n")], [name, (name, [HALF])], width))
        assert isinstance(console.file, io.StringIO)
        assert "50.0" in console.file.getvalue() and not STEERING.search(console.file.getvalue())


def test_a_whole_report_of_a_steering_name_has_none_of_it(build) -> None:
    for name in ("clean", "gaussian_noise"):
        build.add("net", name, "1", [True, True, False], dataset="=f\u202eaces")
    report = write_report(build.plan())
    console = Console(file=io.StringIO())
    show(report, console)
    files = [f for f in report.folder.rglob("*") if f.suffix in (".md", ".csv", ".tex", ".html")]
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert isinstance(console.file, io.StringIO)
    texts["the terminal"] = console.file.getvalue()
    assert any("f[U+202E]aces" in text for text in texts.values())
    assert [name for name, text in texts.items() if STEERING.search(text)] == []


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\n=1"])
def test_a_spreadsheet_runs_no_cell_of_a_csv(name: str) -> None:
    header, row = list(csv.reader(io.StringIO(present(table(name), ".csv"))))
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in [*header, *row])
    assert row[0] == f"'{name.strip()}"


@pytest.mark.parametrize("number", ["-0.5", "+1.3", "-", "1e-3", "-1e+5"])
def test_numbers_in_a_csv_stay_numbers(number: str) -> None:
    spec = TableSpec("t", "T", "C.", ("name", "x"), (("a", number),))
    assert list(csv.reader(io.StringIO(present(spec, ".csv"))))[1] == ["a", number]


def test_json_has_the_columns_and_numbers_of_the_csv() -> None:
    content = json.loads(present(table("net"), ".json"))
    assert content["rows"] == [
        {"classifier": "net", "net": "50.0000", "net low": "25.0000", "net high": "75.0000"}
    ]


def test_another_format_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"t\.xlsx: a table is saved as \.md, \.csv, \.json, \.tex"):
        renderer(Path("t.xlsx"))


@pytest.mark.parametrize("text", ["naïve 日本 😀", "می‌شود", "a\tb\nc", "x\u200dy"])
def test_other_scripts_stay_as_they_are(text: str) -> None:
    assert printable(text) == text
