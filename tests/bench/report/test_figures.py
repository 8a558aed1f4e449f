"""Figures: what is drawn where, that the bytes repeat, and that nothing is left behind."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from bench.report.figures import Drawn, write_figures
from bench.report.figures.calibration import calibration_drawings
from bench.report.figures.curves import curve_drawings
from bench.report.figures.drawing import (
    evenly,
    house_style,
    line_style,
    line_styles,
    other_style,
    shown,
)
from bench.report.figures.forest import recall_drawings
from bench.report.figures.maps import across_drawings, confusion_drawings, heatmap_drawings
from bench.report.results import ResultSet, read
from bench.report.write import write_report
from bench.store.store import Store
from bench.util.errors import UserError

Y, N = True, False


@pytest.fixture
def group(out: Path) -> ResultSet:
    return read(out).groups[0]


def curves(group: ResultSet, family: str) -> Figure:
    return next(curve_drawings(group, family)).figure


def line(figure: Figure, panel: int, index: int) -> np.ndarray:
    """Points (x, y) of one classifier's line."""
    return np.array(figure.axes[panel].lines[index].get_xydata())


def write(out: Path, folder: Path, workers: int = 1) -> list[Drawn]:
    return write_figures(read(out), Store(out), folder, workers=workers)


def test_files_are_pictures_of_some_size(rendered: None, out: Path, tmp_path: Path) -> None:
    drawn = write(out, tmp_path / "figures")
    assert {(d.name.removeprefix("faces-"), d.chapter) for d in drawn} == {
        ("confusion", "clean"),
        ("confusion-emodc", "emodc"),
        ("calibration", "confidence"),
        ("selective", "confidence"),
        ("corruptions", "corruptions"),
        ("recall", "corruptions"),
        ("attacks", "attacks"),
        ("evaluations", "emodc"),
        ("rules", "emodc"),
    }
    for d in drawn:
        picture = np.asarray(Image.open(d.png).convert("L"))
        assert min(picture.shape) > 400
        assert picture.std() > 10  # something is drawn
        assert d.svg.read_text().startswith("<?xml")
        assert d.pdf.read_bytes().startswith(b"%PDF")
        assert b"/FontFile2" in d.pdf.read_bytes()  # TrueType, which journals take
        assert d.title and d.alt.endswith(".")
        assert len(d.caption.split()) <= 40


def test_the_same_results_give_the_same_bytes_wherever_they_are_written(
    rendered: None, out: Path, tmp_path: Path
) -> None:
    here = write(out, tmp_path / "a")
    assert b"dc:date" not in here[0].svg.read_bytes()
    assert b"CreationDate" not in here[0].pdf.read_bytes()
    code = (
        "import sys; from pathlib import Path; from bench.report.results import read;"
        "from bench.report.figures import drawing, write_figures;"
        "from bench.store.store import Store; drawing._FEW = 2;"
        "out, to = map(Path, sys.argv[1:]); write_figures(read(out), Store(out), to, workers=2)"
    )
    command = [sys.executable, "-c", code, str(out), str(tmp_path / "b")]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
    for path in (path for d in here for path in (d.png, d.svg, d.pdf)):
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes(), path.name


def test_nothing_is_left_behind(out: Path, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write(out, tmp_path)
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_a_curve_starts_clean_and_breaks_where_a_cell_is_missing(group: ResultSet) -> None:
    figure = curves(group, "corruption")
    net, emodc = line(figure, 0, 0), line(figure, 0, 1)
    np.testing.assert_allclose(net, [[0, 400 / 6], [1, 50], [2, np.nan]])
    np.testing.assert_allclose(emodc, [[0, 500 / 6], [1, 400 / 6], [2, 200 / 6]])


def test_an_attack_curve_starts_at_its_own_samples(group: ResultSet) -> None:
    figure = curves(group, "attack")
    points = [[0, 100], [2 / 255, 200 / 3], [4 / 255, 100 / 3]]
    np.testing.assert_allclose(line(figure, 0, 1), points)
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["0", "2", "4"]
    assert "1/255" in figure.axes[0].get_xlabel()


def test_axes_legend_and_chance(group: ResultSet) -> None:
    figure = curves(group, "corruption")
    (ax,) = figure.axes
    assert ax.get_ylim() == (0, 100)
    assert ax.get_title() == "gaussian noise"
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), 100 / 3)
    (legend,) = figure.legends
    names = [t.get_text() for t in legend.get_texts()]
    assert names == ["net", "emodc_x\n(denoiser check failed)", "chance (1/3)"]
    assert str(figure.get_label()).endswith(" n = 6.")
    assert not figure.get_supxlabel()  # the caption stands beside the picture


def test_alternative_text_has_the_numbers_of_the_strongest(group: ResultSet) -> None:
    (drawing,) = curve_drawings(group, "attack")
    # At 4/255 both recognise one picture of three; at noise 2 only emodc_x has a result.
    assert drawing.alt.endswith("At the strongest, pgd 4/255: 33.3% (net).")
    (drawing,) = curve_drawings(group, "corruption")
    assert "gaussian noise 2: 33.3% (emodc_x (denoiser check failed))" in drawing.alt


def test_budgets_without_a_shared_denominator_keep_theirs(build) -> None:
    build.add("net", "pgd", "2/255", [Y])
    build.add("net", "pgd", "1/10", [N])
    figure = curves(read(build.plan()).groups[0], "attack")
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["0", "2/255", "1/10"]


def test_many_classifiers_share_several_figures_before_the_others_in_grey(build) -> None:
    for i in range(9):
        right = [k < i for k in range(9)]
        build.add(f"net{i}", "clean", "0", right)
        build.add(f"net{i}", "fog", "1", right)
    first, second = curve_drawings(read(build.plan()).groups[0], "corruption")
    assert (first.name, second.name) == ("faces-corruptions-1", "faces-corruptions-2")
    names = [t.get_text() for d in (first, second) for t in d.figure.legends[0].get_texts()]
    assert [n for n in names if n.startswith("net")] == [f"net{i}" for i in range(9)]
    ax = second.figure.axes[0]
    others = [segment[:, 1] for segment in ax.collections[0].get_segments()]
    own = [shape.get_ydata() for shape in ax.lines[:-1]]
    np.testing.assert_allclose([y[0] for y in [*others, *own]], 100 * np.arange(9) / 9)
    assert "Grey: other classifiers." in second.caption


def test_confusion_is_in_percent_of_support(group: ResultSet) -> None:
    net, emodc = (d.figure.axes[0] for d in confusion_drawings(group))
    percent = net.collections[0].get_array().reshape(3, 3)
    # sad: one right, one tied; the tie is in no column but in the support.
    np.testing.assert_allclose(percent, [[100, 0, 0], [0, 50, 0], [50, 0, 50]])
    texts = {tuple(np.subtract(t.get_position(), 0.5)): t.get_text() for t in net.texts}
    assert texts == {(0, 0): "100", (1, 1): "50", (0, 2): "50", (2, 2): "50"}
    assert net.get_title().startswith("net\nUAR 66.7 [") and net.get_title().endswith(", 1 tied")
    assert emodc.get_title().startswith("emodc_x\n(denoiser check failed)\nUAR 83.3 [")
    assert [t.get_text() for t in net.get_yticklabels()] == ["happy", "sad", "angry"]


def test_confusion_follows_class_names_and_not_logit_order(build) -> None:
    build.add("one", "clean", "0", [Y, Y, N])
    build.add("other", "clean", "0", [Y, Y, N], classes=["angry", "happy", "sad"])
    (drawing,) = confusion_drawings(read(build.plan()).groups[0])
    first, second = (ax.collections[0].get_array().reshape(3, 3) for ax in drawing.figure.axes)
    np.testing.assert_allclose(first, [[100, 0, 0], [0, 100, 0], [100, 0, 0]])
    np.testing.assert_allclose(second, first)


def test_confusion_across_data_sets_has_a_row_of_each(build) -> None:
    """`a` on both, `b` on the second alone, a network that is no EmoDC on both."""
    build.add("a", "clean", "0", [Y, Y, N], d_p=[0.5] * 3)
    build.add("net", "clean", "0", [Y, Y, Y])
    assert not list(across_drawings(read(build.plan())))  # one data set
    build.add("a", "clean", "0", [Y, Y, Y], d_p=[0.5] * 3, dataset="real")
    build.add("b", "clean", "0", [N, Y, Y], d_p=[0.5] * 3, dataset="real")
    build.add("net", "clean", "0", [Y, Y, Y], dataset="real")
    (drawing,) = across_drawings(read(build.plan()))
    a, nothing, below, b = drawing.figure.axes
    assert not nothing.axison
    found = [ax.collections[0].get_array().reshape(3, 3) for ax in (a, below, b)]
    expected = np.diag([100.0, 100, 100]), np.roll(np.eye(3), 1, axis=1)[0] * 100
    np.testing.assert_allclose(found[0], [[100, 0, 0], [0, 100, 0], [100, 0, 0]])
    np.testing.assert_allclose(found[1], expected[0])
    np.testing.assert_allclose(found[2], [expected[1], *expected[0][1:]])
    titles = [ax.get_title().partition(" [")[0] for ax in (a, below, b)]
    assert titles == ["a\nUAR 66.7", "UAR 100.0", "b\nUAR 66.7"]
    assert [ax.get_ylabel() for ax in (a, below, b)] == ["faces", "real", ""]
    assert drawing.alt.endswith("UAR on faces: a 66.7%; real: a 100.0% and b 66.7%.")
    assert len(drawing.caption.split()) <= 40


def test_the_map_prints_means_and_a_dash_for_what_is_missing(build) -> None:
    build.add("net", "clean", "0", [Y, Y, Y, N])
    for name, right in (("fog", [Y, Y, N, N]), ("snow", [Y, N, N, N])):
        build.add("net", name, "1", right)
    build.add("net", "fog", "2", [N, N, N, N])
    build.add("mine", "fog", "1", [Y, Y, Y, Y])
    build.plan_only("mine", "fog", "2", "faces", 0)
    (drawing,) = heatmap_drawings(read(build.plan()).groups[0])
    ax = drawing.figure.axes[0]
    rows = np.array([t.get_text() for t in ax.texts]).reshape(2, 4)
    assert rows.tolist() == [["75", "25", "25", "25"], ["–", "–", "–", "–"]]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["clean", "fog", "snow", "mean"]
    assert "fog 25.0% (net); snow 25.0% (net)" in drawing.alt


HOSTILE = "<b>&$x_1$ 50% \\alpha é 中\x07"


def test_hostile_names_are_drawn_as_they_are(rendered: None, build, tmp_path: Path) -> None:
    classes = ["happy", "sad", "angry"]
    d_p = [0.5] * 3
    for name, errors in ((HOSTILE, None), (f"emodc {HOSTILE}", d_p)):
        build.add(name, "clean", "0", [Y, Y, Y], dataset="a&_$b$", classes=classes, d_p=errors)
        build.add(name, "a<$b", "1", [N, N, N], dataset="a&_$b$", classes=classes, d_p=errors)
        build.add(name, "c%", "1", [Y], dataset="a&_$b$", classes=classes)
    out = build.plan()
    drawn = write(out, tmp_path / "figures")  # any warning would be an error
    assert len(drawn) >= 5
    with house_style():
        figure = curves(read(out).groups[0], "corruption")
        text = figure.legends[0].get_texts()[0]
        assert text.get_text() == "<b>&$x_1$ 50% \\alpha é [U+4E2D][U+0007]"
        assert not text.get_parse_math()
    assert HOSTILE in drawn[0].alt


def test_one_sample_and_all_right_can_be_drawn(rendered: None, build, tmp_path: Path) -> None:
    build.add("net", "clean", "0", [Y])
    build.add("net", "fog", "1", [Y])
    build.add("emodc", "clean", "0", [None], d_p=[0.5])
    names = {d.name for d in write(build.plan(), tmp_path / "figures")}
    assert {"faces-confusion", "faces-corruptions", "faces-calibration"} <= names


def test_styles_differ_in_more_than_colour() -> None:
    styles = [line_style(i) for i in range(20)]
    assert len({(s.marker, s.linestyle) for s in styles}) == 20
    assert len({s.color for s in styles[:10]}) == 10
    # Dark enough to be seen on white in grey.
    luma = [np.dot(s.color, (0.299, 0.587, 0.114)) for s in styles]
    assert max(luma) < 0.7


def test_things_are_dealt_out_evenly() -> None:
    assert [len(part) for part in evenly(range(20), 8)] == [7, 6, 7]
    assert [x for part in evenly(range(20), 8) for x in part] == list(range(20))
    assert evenly([], 8) == []
    assert shown("plain_é$") == "plain_é$"


def test_a_classifier_keeps_its_style_whatever_stands_beside_it() -> None:
    alone = line_styles(["mine"])["mine"]
    beside = line_styles(["resnet18", "mine", "emodc_base", "emodc_control"])
    assert beside["emodc_base"] == line_styles(["emodc_base", "other"])["emodc_base"]
    assert beside["mine"] == alone
    many = line_styles([f"net{i}" for i in range(10)])
    assert len({style.color for style in many.values()}) == 10
    assert len(line_styles([f"net{i}" for i in range(60)])) == 60
    conditions = {other_style(i).color for i in range(6)}
    assert not conditions & {style.color for style in many.values()}


def test_only_the_formats_asked_for_are_written(out: Path, tmp_path: Path) -> None:
    def suffixes(*formats: str) -> set[str]:
        write_report(out, formats=formats)
        return {path.suffix for path in (out / "report" / "figures").iterdir()}

    assert suffixes("png") == {".png"}
    assert suffixes("pdf", "svg") == {".png", ".pdf", ".svg"}
    with pytest.raises(UserError, match=r"'pfd'.*Did you mean pdf"):
        write_report(out, formats=("pfd",))


def test_a_talk_has_larger_type_and_thicker_lines(out: Path, group: ResultSet) -> None:
    with house_style("paper"):
        paper = curves(group, "corruption")
    with house_style("talk"):
        talk = curves(group, "corruption")
    small, large = (figure.axes[0].title.get_fontsize() for figure in (paper, talk))
    assert large == pytest.approx(1.5 * small)
    assert talk.get_figwidth() > paper.get_figwidth()


@pytest.mark.parametrize("style", ["paper", "talk"])
def test_no_legend_is_cut_and_no_label_runs_into_the_next(build, style: str) -> None:
    """Of two panels, and of seven; with two conditions calibrated and as they are."""
    for name in ("net", "emodc_x"):
        build.add(name, "clean", "0", [Y, Y, N, Y] * 10)
        for corruption in ("gaussian_noise", "gaussian_blur"):
            build.add(name, corruption, "5", [Y, N, N, Y] * 10)
        for attack in ("fgsm", "pgd", *(f"attack{number}" for number in range(5))):
            build.add(name, attack, "4/255", [Y, N, N, Y])
    (group,) = read(build.plan()).groups
    few = replace(group, planned=tuple(c for c in group.planned if "attack" not in c.perturbation))
    with house_style(style):
        drawings = [*curve_drawings(few, "attack"), *curve_drawings(group, "attack")]
        drawings += [*calibration_drawings(group), *recall_drawings(group)]
        for figure in (drawing.figure for drawing in drawings):
            figure.draw_without_rendering()
            paper = figure.bbox
            for legend in figure.legends:
                box = legend.get_window_extent()
                assert paper.x0 - 1 <= box.x0 and box.x1 <= paper.x1 + 1
            labels = [ax.xaxis.label for ax in figure.axes if ax.xaxis.label.get_text()]
            boxes = sorted((one.get_window_extent() for one in labels), key=lambda b: (b.y0, b.x0))
            for one, other in pairwise(boxes):
                assert one.x1 < other.x0 or not one.overlaps(other)
