"""How tables are written: whatever stands in them comes out right in every format."""

import csv
import io
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from typeset import fonts, run_pdflatex, typeset

from bench.report.latex import latex, latex_text
from bench.report.outcomes import AccuracyEstimate, Difference, Number
from bench.report.present import (
    PaperFigure,
    cited,
    csv_cell,
    csv_text,
    macros,
    markdown,
    plain,
    write_tables,
)
from bench.report.results import read
from bench.report.spec import Measured, TableSpec, label
from bench.report.tables import tables
from bench.report.tables.ablation import ablation_tables
from bench.report.write import write_report
from bench.stats import Interval
from bench.store.store import Store

HALF = AccuracyEstimate(0.5, Interval(0.25, 0.75))
CLEAR = Difference(0.0625, Interval(0.03, 0.09), p=0.001)
UNCLEAR = Difference(-0.03125, Interval(-0.0625, 0.01))
HOSTILE = [
    "<script>alert(1)</script>",
    "a & b &amp; c",
    "100 % of #1 at $5",
    r"C:\path\new {x} \input{y}",
    "x_y ~ z^2 `code` *bold* **b** __u__",
    "a|b||c",
    "[link](http://example.org) ![i](j) [r][s]",
    "-- --- '' ,, << >> ?` !`",
    'say "so"',
    "line\nbreak\ttab",
    "*starred",
    "[bracketed]",
    "# heading #",
    "d_p of Wilson's ~~test~~ $x$ \\(y\\)",
    "é ß ø Å ñ ç ü",
]
FALLBACK = {"日本": "[U+65E5][U+672C]", "😀": "[U+1F600]", "Ж": "[U+0416]", "\u202e": "[U+202E]"}


def table(
    header: tuple[str, ...], rows: list[tuple], name: str = "faces-t", **more: object
) -> TableSpec:
    return TableSpec(name, "Title", "Caption.", header, tuple(rows), **more)


def hostile(name: str = "faces-hostile") -> TableSpec:
    """Hostile strings as title, caption, header, first column and value."""
    rows = tuple((text, text, HALF) for text in HOSTILE)
    return TableSpec(name, HOSTILE[0], " ".join(HOSTILE), ("&%<b>_", "#$|", "[*]"), rows)


MARKED = table(
    ("classifier", "accuracy %", "to Base", "ECE", "note"),
    [
        ("a", HALF, None, Number(0.123, 3, Interval(0.1, 0.15)), "x"),
        ("b", AccuracyEstimate(0.041, Interval(0.01, 0.1)), CLEAR, Number(12.5, 1), None),
        ("c", AccuracyEstimate(1.0, Interval(0.9, 1.0)), UNCLEAR, "1", "NaN logits"),
    ],
    marks={(0, 1): "tied", (2, 1): "best"},
)


def shown_by_markdown(text: str) -> tuple[list[list[str]], list[str]]:
    """Rows of the only table, and the other paragraphs and headings, as a reader sees them."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    rows: list[list[str]] = []
    others = []
    within = False
    for i, token in enumerate(tokens):
        within = (within or token.type == "table_open") and token.type != "table_close"
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            children = token.children or []
            assert {c.type for c in children} <= {
                "text", "text_special", "em_open", "em_close", "strong_open", "strong_close"
            }  # fmt: skip
            content = "".join(child.content for child in children)
            (rows[-1] if within else others).append(content)
        assert token.type not in ("html_block", "fence", "code_block"), (i, token)
    return rows, others


def test_markdown_shows_hostile_text_as_it_is() -> None:
    spec = hostile()
    rows, (title, caption) = shown_by_markdown(markdown(spec))
    assert rows[0] == list(spec.header)
    for row, text in zip(rows[1:], HOSTILE, strict=True):
        line = " ".join(text.split())
        assert row == [line, line, "50.0 [25.0, 75.0]"]
    assert title == spec.title
    assert caption == " ".join(spec.caption.split())


def test_markdown_marks() -> None:
    text = markdown(MARKED)
    assert "| a | 50.0 [25.0, 75.0] ≈ | – | 0.123 [0.100, 0.150] | x |" in text
    assert "| b | 4.1 [1.0, 10.0] | **+6.2** [3.0, 9.0] | 12.5 | – |" in text
    assert "| c | **100.0** [90.0, 100.0] | -3.1 [-6.2, 1.0] not distinguishable | 1 |" in text
    assert "| --- | ---: | ---: | ---: | --- |" in text
    assert "≈: not distinguishable from the best of its column." in text
    assert "Bold: the best of its column. Bold difference: distinguishable from 0." in text


def test_no_note_without_its_sign() -> None:
    for render in (markdown, latex):
        text = render(table(("c", "x"), [("a", HALF)]))
        assert "Bold" not in text and "≈" not in text and "approx" not in text


def test_csv_gives_hostile_text_back() -> None:
    spec = hostile()
    rows = list(csv.reader(io.StringIO(csv_text(spec), newline="")))
    assert rows[0] == ["&%<b>_", "#$|", "[*]", "[*] low", "[*] high"]
    assert [row[:2] for row in rows[1:]] == [[csv_cell(text)] * 2 for text in HOSTILE]
    frame = pd.read_csv(io.StringIO(csv_text(spec)))
    assert list(frame["#$|"]) == [csv_cell(text) for text in HOSTILE]
    assert set(frame["[*] low"]) == {25.0}


def test_csv_has_bare_numbers_and_their_ends() -> None:
    frame = pd.read_csv(io.StringIO(csv_text(MARKED)), index_col="classifier")
    assert list(frame) == [
        "accuracy %", "accuracy % low", "accuracy % high", "accuracy % mark",
        "to Base", "to Base low", "to Base high", "to Base p", "to Base mark",
        "ECE", "ECE low", "ECE high", "note",
    ]  # fmt: skip
    assert list(frame["accuracy %"]) == [50.0, 4.1, 100.0]
    assert frame.loc["c", "accuracy % mark"] == "best"
    assert frame.loc["a", "accuracy % mark"] == "tied"
    assert frame.loc["b", ["to Base", "to Base low", "to Base high"]].tolist() == [6.25, 3.0, 9.0]
    assert frame.loc["b", "to Base p"] == 0.001
    assert frame.loc["c", "to Base mark"] == "not distinguishable"
    assert frame["ECE"].tolist() == [0.123, 12.5, 1.0]
    assert math.isnan(frame.loc["a", "to Base"]) and math.isnan(frame.loc["b", "ECE low"])


def test_csv_names_are_unique() -> None:
    spec = table(("c", "x", "x low", "x"), [("a", HALF, "1", "2")])
    header = csv_text(spec).splitlines()[0]
    assert header == "c,x,x low,x high,x low-2,x-2"


def test_latex_escapes_everything_special() -> None:
    assert latex_text("50% of d_p & #1 {x} ~ ^ \\ $") == (
        r"50\% of $d_{p}$ \& \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"\ensuremath{\mathdollar}"
    )
    assert latex_text("Ω–αβ ≈ d_nn") == (
        r"\ensuremath{\Omega}--\ensuremath{\alpha}\ensuremath{\beta} \ensuremath{\approx} $d_{nn}$"
    )
    assert latex_text("old_prefix") == r"old\_prefix"
    # An unprotected star or bracket after a row's \\ would be taken for its argument.
    assert latex_text("*[x]") == "{*}{[}x{]}"


def test_every_character_compiles(tmp_path: Path) -> None:
    source = tmp_path / "characters.tex"
    text = " ".join(latex_text(chr(code)) for code in range(0x2500))
    assert text.isascii()
    start = r"\documentclass{article}\begin{document}\raggedright\footnotesize "
    source.write_text(start + text + r"\end{document}")
    shown = typeset(source).text
    assert all(char in shown for char in '!"#$%&()*+,./:;<=>?@[]^`{|}~\\éÅñçüšøßæαβλΩ±×≤≈§†')
    assert "Type 3" not in fonts(source.with_suffix(".pdf"))
    assert "[U+0416]" in shown and "[U+20AC]" in shown


def test_latex_is_a_booktabs_table_of_ascii() -> None:
    text = latex(MARKED)
    assert text.isascii()
    rules = [line.strip() for line in text.splitlines() if line.endswith("rule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"\begin{tabular}{@{}lcccl@{}}" in text
    assert r"\label{tab:\benchrun faces-t}" in text
    # Digits are padded to those of 100.0, so that decimal points stand in a line.
    assert (
        r"\benchcell{\phantom{00}\num{4.1}}{[\num{1.0}, \num{10.0}]} "
        r"& \benchcell{\textbf{\num{+6.2}}}{[\num{3.0}, \num{9.0}]} & \num{12.5} & -- \\"
    ) in text
    assert r"\textbf{\num{100.0}}" in text
    assert r"\phantom{0}\num{50.0}\rlap{$^{\approx}$}" in text


def test_wide_and_long_tables_become_parts() -> None:
    header = ("classifier", *(f"corruption {i}" for i in range(30)))
    rows = [(f"net{i}", *[HALF] * 30) for i in range(60)]
    text = latex(table(header, rows))
    parts = text.split(r"\begin{table*}")[1:]
    assert len(parts) > 4
    assert all(" & corruption" in part or r"\shortstack" in part for part in parts)
    assert text.count(r"\label{") == 1
    assert text.count(r"\addtocounter{table}{-1}") == len(parts) - 1
    assert text.count(r"\num{50.0}") == 30 * 60


def test_keys_are_plain_and_unique() -> None:
    assert plain("eps 2/255") == "eps-2-255"
    assert plain("d_p (clean) %") == "d_p-clean"
    assert plain("é日+1.5") == "eu65e5+1.5"
    assert plain("%") == "-"
    rows = [("a b", HALF, "n"), ("a-b", HALF, "n"), ("a-b-2", HALF, "n")]
    keys = [key for key, _ in cited([table(("c", "x", "y"), rows)])]
    assert keys == ["faces-t/a-b-n/x", "faces-t/a-b-n/x-2", "faces-t/a-b-2-n/x"]
    rows = [("net", "sad", HALF), ("net", "happy", HALF)]
    keys = [key for key, _ in cited([table(("classifier", "class", "x"), rows)])]
    assert keys == ["faces-t/net-sad/x", "faces-t/net-happy/x"]


def test_every_number_has_a_macro_that_equals_the_table(out: Path) -> None:
    specs = tables(read(out), Store(out))
    measured = [v for s in specs for row in s.rows for v in row if isinstance(v, Measured)]
    assert [value for _, value in cited(specs)] == measured
    text = macros(specs)
    assert text.count("\n\\benchdefine{") == len(measured)
    assert r"\benchdefine{faces-gaussian_noise/net/1}{\num{50.0}}{[\num{18.8}, \num{81.2}]}" in text


def test_all_tables_of_a_store_and_hostile_ones_compile(out: Path, tmp_path: Path) -> None:
    letters = table(("x", "y"), [(text, f"is {text}") for text in FALLBACK], "faces-letters")
    odd = [
        ("inf", Number(math.inf, 1), Number(math.nan, 1)),
        (
            "one",
            AccuracyEstimate(1.0, Interval(0.2, 1.0)),
            Number(-1234567.0, 0, Interval(-2e6, math.inf)),
        ),
        ("none", None, None),
    ]
    wide = table(("c", *(f"s{i}" for i in range(12))), [("n", *[HALF] * 12)] * 28, "faces-wide")
    results = read(out)
    specs = [
        *tables(results, Store(out)),
        *ablation_tables(results),
        hostile(),
        letters,
        replace(MARKED, name="faces-marked"),
        table(("c", "odd", "odder"), odd, "faces-odd"),
        table(("only", "header"), [], "faces-empty"),
        wide,
    ]
    write_tables(tmp_path, specs)
    pdf = typeset(tmp_path / "all.tex")
    assert pdf.overfull <= 10
    text = pdf.text.replace("_", "")
    for hostile_text in HOSTILE:
        assert drawn(hostile_text) in text, hostile_text
    for shown in FALLBACK.values():
        assert f"is{shown}" in text
    assert "norows" in text
    for shown in (
        "net666.766.771.1–1.00.3500",
        "-1234567[-2000000,∞]",
        "∞nan",
        "100.0[20.0,100.0]",
    ):
        assert shown in text, shown
    for key, value in cited(specs):
        assert drawn(key + f"{value.number}{value.range}".replace("inf", "∞")) in text, key


def test_prose_can_cite_a_number(tmp_path: Path) -> None:
    write_tables(tmp_path, [MARKED])
    source = tmp_path / "prose.tex"
    body = (
        r"\section{\bench{faces-t/b/to-Base}} From \bench{faces-t/a/accuracy}\,\% "
        r"\benchrange{faces-t/b/to-Base} to \bench{faces-t/b/ECE}."
    )
    page = (
        r"\documentclass{article}\usepackage{siunitx}\input{macros}\begin{document}%s\end{document}"
    )
    source.write_text(page % body)
    assert "From50.0%[3.0,9.0]to12.5." in typeset(source).text
    source.write_text(page % r"\bench{faces-t/nobody/ECE}")
    done = run_pdflatex(source)
    assert done.returncode != 0
    assert "There is no number with the key 'faces-t/nobody/ECE'" in done.stdout.replace("\n", "")
    source.write_text(page % r"\benchrange{faces-t/b/ECE}")
    assert "There is no range with the key" in run_pdflatex(source).stdout.replace("\n", "")


def test_two_reports_in_one_document(tmp_path: Path) -> None:
    for name, value in (("first", HALF), ("second", CLEAR)):
        (tmp_path / name).mkdir()
        write_tables(tmp_path / name, [table(("c", "x"), [("net", value)])])
    source = tmp_path / "both.tex"
    start = (
        r"\documentclass{article}\usepackage{booktabs,siunitx,graphicx,array}\begin{document}"
        r"\input{first/macros}\input{first/faces-t}"
    )
    again = r"\input{second/macros}\input{second/faces-t}"
    cite = r"Cite \bench{faces-t/net/x} and \bench{second/faces-t/net/x}.\end{document}"
    source.write_text(start + r"\renewcommand{\benchrun}{second/}" + again + cite)
    assert "Cite50.0and+6.2." in typeset(source).text
    assert r"\newlabel{tab:second/faces-t}" in source.with_suffix(".aux").read_text()
    source.write_text(start + again + cite)
    assert "already defined" in run_pdflatex(source).stdout


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip), ("true", pytest.fail)])
def test_without_latex_nothing_passes_in_ci(ci, outcome, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome.Exception, match="pdflatex, pdftotext, pdffonts not found"):
        run_pdflatex(tmp_path / "x.tex")


def drawn(text: str) -> str:
    """What `pdftotext` finds of it: no space, no underscore, which LaTeX draws as a rule."""
    return "".join(text.split()).replace("_", "")


def test_papers_call_classifiers_by_their_labels(out: Path) -> None:
    assert label("emodc_amdit_noise_aware") == "EmoDC (AMDiT noise aware)"
    assert label("emodc_base (denoiser check failed)") == "EmoDC (Base) (denoiser check failed)"
    assert (label("resnet18_noise"), label("resnet18")) == ("ResNet-18 (noise)", "ResNet-18")
    assert label("sam_net") == "sam_net"
    config = {"classifiers": {"net": {"kind": "baseline", "label": "Ours (2 %)"}}}
    Store(out).write_plan(Store(out).planned(), config)
    write_report(out)
    text = (out / "report" / "tables" / "faces-clean.tex").read_text()
    assert r"Ours (2 \%) & " in text and "net &" not in text
    assert "EmoDC (x) (denoiser check failed)" in text
    assert "net" in (out / "report" / "tables" / "faces-clean.csv").read_text()
    keys = (out / "report" / "tables" / "macros.tex").read_text()
    assert r"\benchdefine{faces-clean/net/accuracy}" in keys


def test_every_table_and_figure_of_the_kept_run_is_in_an_article_of_two_columns(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(Path(__file__).parents[3] / "results" / "default", kept)
    written = write_report(kept)
    assert written.tables
    for spec in written.tables:
        assert len(spec.caption.split()) <= 40, spec.caption
        body = [row[1:] for row in spec.filled().rows]
        for column in range(len(spec.filled().header) - 1):
            assert not body or any(row[column] is not None for row in body), spec.name
    source = kept / "report" / "tables" / "all.tex"
    text = source.read_text()
    assert r"\documentclass[twocolumn]{article}" in text
    assert all(rf"\input{{{spec.name}}}" in text for spec in written.tables)
    figures = {path.name for path in (kept / "report" / "figures").iterdir()}
    assert {name for name in figures if f"../figures/{name}" in text} == figures
    pdf = typeset(source)
    assert pdf.overfull == 0
    assert "EmoDC(AMDiT)" in pdf.text and "emodc_amdit" not in pdf.text.split("Numbersbykey")[0]
    short = text.replace(r"\begin{document}", r"\newcommand{\benchcaption}[2]{#1.}\begin{document}")
    source.write_text(short)
    assert "Wilsonintervals" not in typeset(source).text


def test_hundreds_of_wide_figures_make_a_document(tmp_path: Path) -> None:
    Image.new("RGB", (400, 100)).save(tmp_path / "wide.png")
    figures = [PaperFigure(f"f{k}", "../wide.png", "A figure", "Wide.", 6.5) for k in range(130)]
    one = TableSpec("one", "One", "A table.", ("classifier",), (("a",),))
    write_tables(tmp_path / "tables", [one], figures)
    pdf = typeset(tmp_path / "tables" / "all.tex")
    assert "Figure130:" in pdf.text
