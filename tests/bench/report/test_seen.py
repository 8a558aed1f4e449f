"""Corruptions that a classifier met in training are marked wherever its numbers stand."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.classifiers.kinds import seen, trained_with
from bench.classifiers.kinds.base import alike, known_names
from bench.classifiers.kinds.baseline import BaselineClassifier
from bench.classifiers.kinds.python import PythonClassifier
from bench.config import Config, parse
from bench.perturb import CORRUPTIONS
from bench.report import write_report
from bench.report.latex import latex
from bench.report.page import summary_table, table
from bench.report.present import csv_text, markdown
from bench.report.publish import publish_site
from bench.report.results import read
from bench.report.spec import TableSpec
from bench.report.tables import tables
from bench.report.terminal import show
from bench.store.store import Store
from bench.sweep.run import run
from bench.util.errors import UserError
from bench.util.progress import Reporter


@pytest.mark.parametrize(
    ("declared", "corruption", "expected"),
    [
        ("gaussian_noise", "gaussian_noise", True),
        ("gaussian_noise", "imagecorruptions.gaussian_noise", True),
        ("imagecorruptions.fog", "fog", True),
        ("gaussian_noise", "shot_noise", False),
        ("noise", "imagecorruptions.shot_noise", True),
        ("noise", "motion_blur", False),
        ("blur", "glass_blur", True),
        ("motion_blur", "raf_db_c.motion_blur_low_light", True),
        ("blur", "blurred", False),
        ("gaussian_noise", "noise", False),
    ],
)
def test_what_is_alike(declared: str, corruption: str, expected: bool) -> None:
    assert alike(declared, corruption) is expected


def test_denoisers_and_their_control_have_seen_noise_and_baselines_have_not() -> None:
    for kind in ("emodc", "control"):
        assert seen({"kind": kind}, "imagecorruptions.gaussian_noise")
        assert not seen({"kind": kind}, "gaussian_blur")
    assert not any(seen({"kind": "baseline"}, name) for name in ("gaussian_noise", "motion_blur"))
    assert seen({"kind": "baseline"}, "face.misaligned_shift")
    assert trained_with({}) == () and not seen({}, "fog")


def test_every_noise_and_blur_is_of_its_kind() -> None:
    of_noise = {name.rpartition(".")[2] for name in CORRUPTIONS if alike("noise", name)}
    of_blur = {name.rpartition(".")[2] for name in CORRUPTIONS if alike("blur", name)}
    assert {"gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"} <= of_noise
    assert {"gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur"} <= of_blur
    assert {"noise", "blur", "fog", "imagecorruptions.fog"} <= set(known_names(CORRUPTIONS))


def test_what_is_declared_is_checked() -> None:
    mine = {"kind": "python", "factory": "m:f", "trained_with": ["gaussian_noise", "blur"]}
    config = parse({"classifiers": {"mine": mine}}, "x")
    assert config.classifiers["mine"].declared() == {"trained_with": ["gaussian_noise", "blur"]}
    assert PythonClassifier(kind="python", factory="m:f").declared() == {}
    assert BaselineClassifier(kind="baseline", architecture="resnet18").declared() == {}
    with pytest.raises(UserError, match="gaussian_noise"):
        parse({"classifiers": {"mine": mine | {"trained_with": ["gausian_noise"]}}}, "x")


@pytest.fixture
def marked(build) -> Path:
    """One classifier that met noise in training and one that did not, under noise and blur."""
    for name, training in (("net", {}), ("augmented", {"trained_with": ["noise"]})):
        for number, cell in enumerate(
            [("clean", "0"), ("shot_noise", "1"), ("shot_noise", "2"), ("glass_blur", "1")]
        ):
            right = [(i * (number + 2) + len(name)) % 7 > 2 for i in range(40)]
            build.add(name, *cell, right, training=training)
    found: Path = build.plan()
    return found


def specs(root: Path) -> dict[str, TableSpec]:
    return {spec.name: spec for spec in tables(read(root), Store(root))}


def test_numbers_under_what_was_seen_are_marked_and_no_others(marked: Path) -> None:
    found = specs(marked)
    noise = found["faces-shot_noise"]
    named = {(noise.rows[r][0], noise.header[c]) for r, c in noise.seen}
    assert named == {("augmented", column) for column in ("1", "2", "mean")}
    grid = found["faces-corruptions"]
    assert {grid.header[c] for _, c in grid.seen} == {"shot noise"}
    assert {grid.rows[r][0] for r, _ in grid.seen} == {"augmented"}
    errors = found["faces-corruption-errors"]
    assert {errors.header[c] for _, c in errors.seen} == {"CE % shot noise"}
    for name in ("faces-glass_blur", "faces-clean", "faces-provenance"):
        assert not found[name].seen, name


def test_every_format_has_the_mark_and_says_what_it_means(marked: Path) -> None:
    spec = specs(marked)["faces-shot_noise"]
    text = markdown(spec)
    assert text.count("†") == 3 + 1 and "†: seen in training" in text
    tex = latex(spec)
    assert tex.count(r"\dagger}$}") == 3 and "seen in training" in tex and tex.isascii()
    lines = csv_text(spec).splitlines()
    assert {"1 seen", "2 seen", "mean seen"} <= set(lines[0].split(","))
    assert [line.count("seen in training") for line in lines[1:]] == [0, 3]
    page = table(spec, "t", ["net", "augmented"])
    assert [sum(cell.seen for cell in row.cells) for row in page.rows] == [0, 3]
    plain = specs(marked)["faces-glass_blur"]
    assert "†" not in markdown(plain) and "seen" not in csv_text(plain).splitlines()[0]


def test_the_page_says_it_to_eyes_and_ears(marked: Path) -> None:
    write_report(marked)
    html = (marked / "report" / "index.html").read_text()
    assert '>†</span><span class="unseen"> seen in training</span>' in html


def test_the_summary_says_it(marked: Path) -> None:
    spec = summary_table(read(marked).groups)
    names = [str(row[0]) for row in spec.rows]
    met = {(names[row], spec.header[column]) for row, column in spec.seen}
    assert met == {("augmented", "shot noise")} and "†: seen in training" in spec.caption


def test_a_leaderboard_says_it(marked: Path, tmp_path: Path) -> None:
    html = publish_site([marked], tmp_path / "site").read_text(encoding="utf-8")
    board = html.partition('id="table-leaderboard"')[2].partition("</table>")[0]
    rows = [row for row in board.split("<tr")[1:] if "\u2020" in row]
    (row,) = rows  # of the classifier that met noise, under noise
    assert "augmented" in row and row.count("\u2020") == 1
    headers = re.findall(r"<th[^>]*>([^<]+)</th>", board)
    cells = re.split(r"<t[hd]\b", row)[1:]
    assert headers[next(i for i, cell in enumerate(cells) if "\u2020" in cell)] == "shot noise"


@pytest.mark.parametrize("terminal", [True, False])
def test_terminals_say_it(marked: Path, terminal: bool) -> None:
    results = read(marked)
    report = SimpleNamespace(
        labels={}, results=results, missing=results.missing, folder=Path("report")
    )
    text = io.StringIO()
    show(report, Console(file=text, force_terminal=terminal, width=100, color_system=None))
    lines = [line for line in text.getvalue().splitlines() if "seen in" in line or "†" in line]
    if terminal:
        assert len(lines) == 2 and "augmented †" in lines[0] and lines[1].startswith("†: seen")
    else:
        assert len(lines) == 2 and all(line.startswith("augmented, ") for line in lines)


def test_a_declaration_reaches_manifests_also_of_finished_cells(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(**fields: object) -> Config:
        mine = {"kind": "python", "factory": "support:reddest_is_happy", "class_order": [
            "neutral", "happiness"], "check_class_order": False}  # fmt: skip
        content = {
            "data": {"kind": "folder", "root": str(picture_folder)},
            "classifiers": {"mine": mine | fields},
            "perturbations": {"corruptions": {"gaussian_noise": [1]}},
            "execution": {"workers": 1, "device": "cpu"},
        }
        return parse(content, "x")

    def trainings() -> list[dict[str, object]]:
        store = Store(tmp_path / "out")
        return [m.training for cell in store.planned() if (m := store.manifest(cell))]

    run(config(), tmp_path / "out", Reporter())
    assert trainings() == [{}] * 3
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*.parquet")}
    run(config(trained_with=["noise"]), tmp_path / "out", Reporter())
    assert trainings() == [{"trained_with": ["noise"]}] * 3
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("part-*.parquet")} == parts
    run(config(), tmp_path / "out", Reporter())
    assert trainings() == [{}] * 3
