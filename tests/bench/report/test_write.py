"""The whole report: files, terminal and pipe, and that no classifier library is loaded."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from bench.cli.report import report
from bench.report import show, write_report
from bench.report.findings import findings, losses_table
from bench.report.latex import latex
from bench.report.page import summary_table
from bench.report.present import relabelled
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.report.write import labels_of

Y = True


def printed(out: Path, *, terminal: bool) -> list[str]:
    stream = io.StringIO()
    show(write_report(out), Console(file=stream, force_terminal=terminal, width=80, no_color=True))
    return stream.getvalue().splitlines()


def bare(line: str) -> str:
    """Without the codes for bold and italics."""
    return "".join(
        part.partition("m")[2] if i else part for i, part in enumerate(line.split("\x1b"))
    )


def test_every_file_is_there(out: Path) -> None:
    written = write_report(out)
    files = {str(p.relative_to(out)) for p in (out / "report").rglob("*") if p.is_file()}
    tables = (
        "clean",
        "corruption-errors",
        "curves",
        "failure",
        "gaussian_noise",
        "pgd",
        "smallest-eps",
    )
    tables += ("calibration", "consistency", "groups-class", "steps", "provenance")
    tables += ("emodc_x-correlation", "emodc_x-timesteps", "emodc_x-margins")
    expected = {f"report/tables/faces-{t}.{s}" for t in tables for s in ("md", "csv", "tex")}
    expected |= {f"report/tables/datasets.{s}" for s in ("md", "csv", "tex")}
    expected |= {"report/tables/macros.tex", "report/tables/all.tex"}
    figures = ("corruptions", "attacks", "confusion", "confusion-emodc", "recall", "calibration")
    figures += ("evaluations", "rules", "selective")
    diagnostics = ("correlation", "gap_by_timestep", "timesteps", "margins", "example")
    figures += tuple(f"emodc_x-{f}" for f in diagnostics)
    expected |= {f"report/figures/faces-{f}.png" for f in figures}
    expected |= {"report/cards/net.md", "report/cards/emodc_x.md"}
    alone = ("index.html", "summary.csv", "tables.md", "diagnostics.csv")
    assert files == expected | {f"report/{name}" for name in alone}
    assert written.folder == out / "report"
    assert len(written.summary) == 9
    assert len(written.missing) == 1


def test_the_page_holds_all_tables_figures_and_what_is_missing(out: Path) -> None:
    write_report(out)
    page = (out / "report" / "tables.md").read_text()
    for single in (out / "report" / "tables").glob("*.md"):
        # Columns without a value are left out there, so rows may be shorter.
        heading, *_, caption = single.read_text().strip().splitlines()
        assert heading in page
        # Alone, a table also says where it is of.
        assert caption.partition(" Data set ")[0] in page
    assert "](figures/faces-attacks.png)" in page
    assert "1 of 10 planned cells" in page
    assert r"- net on faces, gaussian\_noise 2, seed 0: not finished" in page


def test_a_second_report_replaces_the_first_byte_for_byte(out: Path) -> None:
    folder = write_report(out).folder
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    (folder / "tables" / "stale.md").write_text("of an older store")
    write_report(out)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_the_store_is_only_read(out: Path) -> None:
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    write_report(out)
    assert {p: p.read_bytes() for p in before} == before


def test_a_terminal_gets_tables_of_at_most_80_columns(out: Path) -> None:
    lines = [bare(line) for line in printed(out, terminal=True)]
    assert max(map(len, lines[:-2])) <= 80
    text = "\n".join(lines)
    assert "gaussian_noise 1-2, n 6" in text
    (row,) = [line for line in lines if line.startswith(" EmoDC (x)") and "33.3 [9.7" in line]
    assert row.startswith(" EmoDC (x) (denoiser") and "failed)" in text
    assert "pgd 2/255-4/255, n 3" in text
    assert "Drawn faces are not evidence about real faces." in text
    assert lines[-1] == f"report: {out / 'report' / 'index.html'}"


def test_a_pipe_gets_one_unwrapped_line_per_cell(out: Path) -> None:
    lines = printed(out, terminal=False)
    assert lines[0] == (
        "net, faces, clean 0, seed 0: accuracy 66.7 [30.0, 90.3] %, n 6, UAR 66.7 %, "
        "macro-F1 71.1 %"
    )
    assert len(lines) == 9 + 1 + 1
    assert lines[4].endswith(", d_p 0.4375")
    assert lines[-2] == "missing: net on faces, gaussian_noise 2, seed 0: not finished"


def test_people_read_labels_and_programs_names(build, out: Path) -> None:
    command = "bench run robustness --classifiers emodc_x"
    build.restate(build.cells[5], command=command)
    build.store.write_plan(build.cells, {"classifiers": {"net": {"label": "Ours & others'"}}})
    text = "\n".join(bare(line) for line in printed(out, terminal=True))
    assert "\nOurs & others' " in text and "\nnet" not in text and "\n net" not in text
    folder = out / "report"
    page = (folder / "index.html").read_text(encoding="utf-8").partition("<main")[2]
    assert "Ours &amp; others&#39;" in page and "EmoDC (x) (denoiser check failed)" in page
    assert ">net<" not in page and ">emodc_x" not in page and f">{command}<" in page
    for name in ("tables.md", "tables/faces-clean.md"):
        assert "| Ours \\& others' |" in (folder / name).read_text(encoding="utf-8")
    for name in ("summary.csv", "tables/faces-clean.csv"):
        assert "\nnet," in (folder / name).read_text(encoding="utf-8")
    assert any(line.startswith("net, faces, clean") for line in printed(out, terminal=False))


def test_published_data_sets_have_their_names_in_print() -> None:
    def group(dataset: str, title: str) -> SimpleNamespace:
        return SimpleNamespace(dataset=dataset, title=title, names={"resnet18": "resnet18"})

    store: Any = SimpleNamespace(labels=dict)
    groups = [group("raf_db", "RAF-DB basic"), group("faces", "")]
    results: Any = SimpleNamespace(groups=groups)
    assert labels_of(results, store) == {"resnet18": "ResNet-18", "raf_db": "RAF-DB basic"}
    spec = TableSpec("t", "Clean, raf_db", "Of raf_db.", ("n",), (("raf_db",),), where="On raf_db")
    assert "raf_db" not in latex(relabelled(spec, labels_of(results, store)))
    groups += [group("fold_1", "JAFFE"), group("fold_2", "JAFFE")]  # which one, tells the id
    assert labels_of(results, store)["fold_1"] == "fold_1"


def test_the_summary_says_on_how_many_pictures_attacks_are(out: Path) -> None:
    results = read(out)
    (group,) = results.groups
    assert "pgd 2/255 (n 3)" in summary_table(results.groups).header
    assert "gaussian noise" in summary_table(results.groups).header
    said = " ".join(findings(results.groups, []))
    assert "too few pictures to rank classifiers (500): pgd 3 pictures." in said
    assert "gaussian noise 1 costs" in said and "pgd 2/255" not in said
    table = losses_table(group)
    assert table is not None and table.header == (
        "classifier",
        "gaussian noise 1",
        "pgd 2/255 (n 3)",
    )


def test_many_missing_cells_are_counted(build) -> None:
    build.add("net", "clean", "0", [Y])
    for severity in range(1, 9):
        build.plan_only("net", "fog", str(severity), "faces", 0)
    lines = printed(build.plan(), terminal=False)
    assert sum(line.startswith("missing: net on") for line in lines) == 5
    assert "missing: 3 more, listed in the report" in lines


def test_names_with_markup_are_shown_as_they_are(build) -> None:
    build.add("[bold]net[bold]", "clean", "0", [Y])
    root = build.plan()
    for terminal in (True, False):
        assert any("[bold]net[bold]" in line for line in printed(root, terminal=terminal))


def test_the_command_prints_json_and_nothing_else(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(out, json=True)
    content = json.loads(capsys.readouterr().out)
    assert content["summary"][4]["classifier"] == "emodc_x (denoiser check failed)"
    assert content["missing"][0]["reason"] == "not finished"
    (gate,) = content["gates"]
    assert gate["classifier"] == "emodc_x (denoiser check failed)"
    assert (gate["d_p"], gate["base_d_p"], gate["reference"]) == (0.5, 0.25, "first_stage")
    assert (out / "report" / "summary.csv").exists()


def test_the_command_shows_the_summary(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(out)
    assert "net, faces, clean 0" in capsys.readouterr().out


def test_no_classifier_library_is_loaded() -> None:
    script = "import sys, bench.report; print(sorted(sys.modules))"
    command = [sys.executable, "-c", script]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'bench.report.write'" in modules
    for name in ("torch", "emodc.classifier", "baselines", "diffusers", "bench.classifiers.load"):
        assert f"'{name}'" not in modules
