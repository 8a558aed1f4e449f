"""The figures of a report, one module per kind, each written as PNG, SVG and PDF.

curves.py        accuracy against severity or budget; certified accuracy against the radius;
                 attacked pictures
maps.py          mean accuracy of classifiers and corruptions; confusion matrices
forest.py        recall of each class, accuracy of each group
calibration.py   reliability diagrams; accuracy against coverage
cost.py          accuracy against cost; each classifier with every rule
diagnostics.py   what traces say of an EmoDC; EmoDC's variants side by side
drawing.py       what all share: looks, titles, files
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from bench.report.figures.calibration import calibration_drawings, selective_drawings
from bench.report.figures.cost import cost_drawings
from bench.report.figures.curves import certified_drawings, curve_drawings, example_drawings
from bench.report.figures.diagnostics import ablation_drawings, diagnostic_drawings
from bench.report.figures.drawing import FORMATS, Drawing, Drawn, house_style, write
from bench.report.figures.forest import group_drawings, recall_drawings
from bench.report.figures.maps import across_drawings, confusion_drawings, heatmap_drawings
from bench.report.results import Results, ResultSet
from bench.report.tables.diagnostics import Diagnosis
from bench.store.store import Store

__all__ = ["Drawn", "write_figures"]


def write_figures(
    results: Results,
    store: Store,
    folder: Path,
    diagnoses: Sequence[Diagnosis] = (),
    workers: int = 1,
    style: str = "paper",
    formats: Sequence[str] = FORMATS,
    labels: Mapping[str, str] | None = None,
) -> list[Drawn]:
    """Draw every figure that the results allow into `folder`, in the order of a report.

    Args:
        results: What is shown.
        store: For traces and for groups of pictures.
        folder: Made if it is not there.
        diagnoses: What traces say, drawn last.
        workers: Processes that write many figures side by side.
        style: "paper", or "talk" with larger type and thicker lines.
        formats: See `save`.
        labels: What figures call classifiers, by their names in tables.
    """
    everything = chain(
        across_drawings(results),
        chain.from_iterable(_drawings(group, store) for group in results.groups),
        chain.from_iterable(map(diagnostic_drawings, diagnoses)),
    )
    with house_style(style, labels):
        return write(everything, folder, workers, formats)


def _drawings(group: ResultSet, store: Store) -> Iterator[Drawing]:
    yield from confusion_drawings(group)
    yield from calibration_drawings(group)
    yield from selective_drawings(group)
    yield from heatmap_drawings(group)
    yield from curve_drawings(group, "corruption")
    yield from recall_drawings(group)
    yield from curve_drawings(group, "attack")
    yield from example_drawings(group, store)
    yield from certified_drawings(group)
    yield from group_drawings(group, store)
    yield from cost_drawings(group, store)
    yield from ablation_drawings(group)
