"""The page as text: what is in it, and that nothing in it can run or load."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pages
import pytest
from pages import Elements
from PIL import Image

from bench.config import load, parse
from bench.report import write_report
from bench.report.outcomes import AccuracyEstimate, Difference, Number
from bench.report.page import (
    SVG_LIMIT,
    FigureFile,
    assemble,
    cell,
    page_html,
    pictures,
    sort_key,
    table,
    write_page,
)
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.stats import Interval


@pytest.fixture
def html(tmp_path: Path) -> str:
    return page_html(pages.page(tmp_path))


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("504", 504),
        ("-1.5", -1.5),
        ("1.61e-05 [1.04e-05, 2.19e-05]", 1.61e-5),
        ("< 0.001", 0.001),
        ("4/255", 4 / 255),
        ("40 to 200", 40),
        ("87.3 (85.1 to 89.0)", 87.3),
        ("50-100", 50),
        (AccuracyEstimate(0.873, Interval(0.8, 0.9)), 87.3),
        (Difference(-0.02, Interval(-0.1, 0.1)), -2),
        (Number(0.1234567, 3), 0.1234567),
    ],
)
def test_numbers_are_sorted_by_what_they_are_worth(value, key: float) -> None:
    assert float(sort_key(value)) == pytest.approx(key)


@pytest.mark.parametrize(
    "value", [None, "", "resnet18", "6416493e9d50ff8c", "1/0", "7classes", Number(np.nan, 2)]
)
def test_what_is_no_number_has_no_key(value) -> None:
    assert sort_key(value) == ""


def test_a_column_is_numeric_if_all_its_known_values_are() -> None:
    rows = (("a", "1", None, "x", "1"), ("b", "20 to 40", None, "2", None))
    spec = TableSpec("t", "T", "", ("name", "n", "empty", "mixed", "sparse"), rows)
    assert table(spec, "t", []).kinds == ("text", "number", "text", "text", "number")


def test_a_difference_says_whether_it_can_be_told() -> None:
    told = cell(Difference(0.02, Interval(0.01, 0.03)))
    untold = cell(Difference(0.02, Interval(-0.01, 0.05)))
    assert (told.strong, told.remark) == (True, "")
    assert (untold.strong, untold.remark) == (False, "not distinguishable")
    assert (untold.text, untold.range) == ("+2.0", "[-1.0, 5.0]")


def test_marks_are_bold_and_tied() -> None:
    value = AccuracyEstimate(0.9, Interval(0.8, 0.95))
    assert (cell(value, "best").strong, cell(value, "best").tied) == (True, False)
    assert (cell(value, "tied").strong, cell(value, "tied").tied) == (False, True)


def test_rows_belong_to_every_classifier_they_name() -> None:
    rows = (("b", "a", "1"), ("b", "b", "1"), ("all", "1", "b and a"))
    spec = TableSpec("t", "T", "", ("first", "second", "n"), rows)
    found = table(spec, "t", ["a", "b"])
    assert [row.classifiers for row in found.rows] == ["1 0", "1", ""]


def test_nothing_runs_or_loads_but_the_pages_own_style_and_script(html: str) -> None:
    elements = Elements(html)
    assert len(elements.all("script")) == len(elements.all("style")) == 1
    policy = elements.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for kind in ("style", "script"):
        text = re.search(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)[1]
        found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{found}'" in policy
    addresses = [a.get(name) or "" for _, a in elements.found for name in ("src", "href")]
    assert {address.partition(":")[0] for address in addresses if address[:1] != "#"} == {
        "",
        "data",
    }
    assert not any(name.startswith("on") for _, a in elements.found for name in a)
    assert not any("style" in attributes for _, attributes in elements.found)


def test_every_address_is_there_once(html: str) -> None:
    elements = Elements(html)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = ("aria-labelledby", "aria-describedby")
    wanted = [a[name] for _, a in elements.found for name in named if name in a]
    wanted += [a["href"][1:] for a in elements.all("a")]
    assert set(wanted) <= set(ids)
    assert "main-2" in ids  # a section that wants an address of the page's own


def test_the_same_page_gives_the_same_bytes(tmp_path: Path) -> None:
    page = pages.page(tmp_path)
    write_page(tmp_path / "a.html", page)
    write_page(tmp_path / "b.html", page)
    first = (tmp_path / "a.html").read_bytes()
    assert first == (tmp_path / "b.html").read_bytes()
    assert str(tmp_path).encode() not in first


def test_a_name_that_is_no_unicode_is_shown_as_its_code_point(tmp_path: Path) -> None:
    page = replace(pages.page(tmp_path), intro=(b"caf\xe9".decode("utf-8", "surrogateescape"),))
    write_page(tmp_path / "a.html", page)
    assert "<p>caf[U+DCE9]</p>" in (tmp_path / "a.html").read_text("utf-8")


def test_pictures_are_vectors_while_they_are_small(tmp_path: Path) -> None:
    figure = pages.figure(tmp_path)
    (small,) = pictures([figure])
    kind, _, content = small.address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == figure.svg.read_bytes()
    assert (small.width, small.height) == (192, 96)  # 2 by 1 inches


def test_large_pictures_are_their_pixels(tmp_path: Path) -> None:
    figure = pages.figure(tmp_path)
    figure.svg.write_bytes(figure.svg.read_bytes() + b" " * SVG_LIMIT)
    without = FigureFile(figure.png, None, "", "")
    for one in (figure, without):
        (found,) = pictures([one])
        kind, _, content = found.address.partition(",")
        assert kind == "data:image/webp;base64"
        (tmp_path / "a.webp").write_bytes(base64.b64decode(content))
        with Image.open(tmp_path / "a.webp") as packed, Image.open(figure.png) as original:
            assert np.array_equal(np.asarray(packed), np.asarray(original.convert("RGB")))


def test_beyond_the_budget_the_largest_become_pixels_first(tmp_path: Path) -> None:
    small, large = pages.figure(tmp_path, "small"), pages.figure(tmp_path, "large")
    large.svg.write_bytes(large.svg.read_bytes() + b" " * 100_000)
    both = sum(len(picture.address) for picture in pictures([small, large]))
    kinds = [p.address[:15] for p in pictures([small, large], budget=both - 1)]
    assert kinds == ["data:image/svg+", "data:image/webp"]


def test_a_report_has_a_page_with_all_its_tables(out: Path) -> None:
    written = write_report(out)
    html = (out / "report" / "index.html").read_text(encoding="utf-8")
    ids = {attributes.get("id") for _, attributes in Elements(html).found}
    assert {f"table-{spec.name}" for spec in written.tables} <= ids
    assert {"table-summary", "table-cells", "missing", "commands"} <= ids
    assert html.count("<img ") == len(list((out / "report" / "figures").glob("*.png")))
    assert "net on faces, gaussian_noise 2, seed 0: not finished" in html


def test_the_shown_configuration_can_be_run(build, tmp_path: Path) -> None:
    config = load(Path("ablation.yaml"))
    build.add("net", "clean", "0", [True])
    build.store.write_plan(build.cells, config.model_dump(mode="json"))
    page = assemble(build.root, read(build.root), [])
    shown = page.commands[-1]
    assert shown.what.startswith("config.yaml")
    (tmp_path / "config.yaml").write_text(shown.text, encoding="utf-8")
    assert load(tmp_path / "config.yaml") == config


def test_each_data_set_of_a_folder_has_its_configuration(build) -> None:
    first, second = (load(Path(name)) for name in ("ablation.yaml", "default.yaml"))
    build.add("net", "clean", "0", [True])
    build.store.write_plan(build.cells, first.model_dump(mode="json"))
    own = build.add("net", "clean", "0", [False], dataset="elsewhere")
    build.store.write_plan([own], second.model_dump(mode="json"))
    run, _, *configs = assemble(build.root, read(build.root), []).commands
    assert [shown.what.split(":")[0] for shown in configs] == ["faces.yaml", "elsewhere.yaml"]
    for shown, config in zip(configs, (first, second), strict=True):
        assert parse(json.loads(shown.text), "shown") == config
        assert f"--config {shown.what.split(':')[0]} " in run.text
