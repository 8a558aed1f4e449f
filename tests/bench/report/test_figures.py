"""Figures: what is drawn where, that the bytes repeat, and that nothing is left behind."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from bench.report.figures import confusions, curves, write_figures
from bench.report.groups import Group
from bench.report.results import read
from bench.report.style import line_style
from bench.report.tables import DRAWN

Y, N = True, False


@pytest.fixture
def group(out: Path) -> Group:
    return read(out).groups[0]


def line(figure: Figure, panel: int, index: int) -> np.ndarray:
    """Points (x, y) of one classifier's line."""
    return np.array(figure.axes[panel].lines[index].get_xydata())


def test_files_are_pictures_of_some_size(out: Path, tmp_path: Path) -> None:
    paths = write_figures(read(out), tmp_path / "figures")
    names = [f"faces-{what}" for what in ("corruptions", "attacks", "confusion")]
    assert [p.name for p in paths] == [f"{n}.{s}" for n in names for s in ("png", "svg")]
    for path in paths[::2]:
        picture = np.asarray(Image.open(path).convert("L"))
        assert min(picture.shape) > 400
        assert picture.std() > 10  # something is drawn
    assert all(path.read_text().startswith("<?xml") for path in paths[1::2])


def test_the_same_results_give_the_same_bytes(out: Path, tmp_path: Path) -> None:
    first = write_figures(read(out), tmp_path / "a")
    second = write_figures(read(out), tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert b"dc:date" not in first[1].read_bytes()


def test_nothing_is_left_behind(out: Path, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    write_figures(read(out), tmp_path)
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_a_curve_starts_clean_and_breaks_where_a_cell_is_missing(group: Group) -> None:
    figure = curves(group, "corruption")
    net, emodc = line(figure, 0, 0), line(figure, 0, 1)
    np.testing.assert_allclose(net, [[0, 400 / 6], [1, 50], [2, np.nan]])
    np.testing.assert_allclose(emodc, [[0, 500 / 6], [1, 400 / 6], [2, 200 / 6]])


def test_an_attack_curve_starts_at_its_own_samples(group: Group) -> None:
    figure = curves(group, "attack")
    points = [[0, 100], [2 / 255, 200 / 3], [4 / 255, 100 / 3]]
    np.testing.assert_allclose(line(figure, 0, 1), points)
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["0", "2", "4"]
    assert "1/255" in figure.axes[0].get_xlabel()


def test_axes_legend_and_chance(group: Group) -> None:
    figure = curves(group, "corruption")
    (ax,) = figure.axes
    assert ax.get_ylim() == (0, 100)
    assert ax.get_title() == "gaussian noise"
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), 100 / 3)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["net", "emodc_x\n(gate failed)", "chance"]
    assert DRAWN in figure.get_supxlabel()


def test_budgets_without_a_shared_denominator_keep_theirs(build) -> None:
    build.add("net", "pgd", "2/255", [Y])
    build.add("net", "pgd", "1/10", [N])
    figure = curves(read(build.plan()).groups[0], "attack")
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["0", "2/255", "1/10"]


def test_confusion_is_in_percent_of_support(group: Group) -> None:
    net, emodc = confusions(group).axes
    percent = net.collections[0].get_array().reshape(3, 3)
    # sad: one right, one tied; the tie is in no column but in the support.
    np.testing.assert_allclose(percent, [[100, 0, 0], [0, 50, 0], [50, 0, 50]])
    assert net.get_title() == "net\nUAR 66.7%, 1 tied"
    assert emodc.get_title() == "emodc_x (gate failed)\nUAR 83.3%"
    assert [t.get_text() for t in net.get_yticklabels()] == ["happy", "sad", "angry"]


def test_styles_differ_in_more_than_colour() -> None:
    styles = [line_style(i) for i in range(20)]
    assert len({(s.marker, s.linestyle) for s in styles}) == 20
    assert len({s.color for s in styles[:10]}) == 10
