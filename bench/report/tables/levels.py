"""Accuracy at continuous levels of noise and blur, mild to strong."""

from bench.report.groups import Group, Pooled
from bench.report.ranking import Scores
from bench.report.spec import TableSpec, Value
from bench.report.tables.captions import captioned, counts_header, interval_name, sizes

_Level = tuple[str, str]
"""Perturbation and severity."""


def levels_table(group: Group) -> TableSpec:
    """A row per classifier, a column per level, beside clean accuracy.

    Args:
        group: The group, with a complete cell of a continuous level.
    """
    columns = _columns(group)
    header = ("classifier", *counts_header(group), "clean", *columns)
    swept = {c: [_pooled(group, c, level) for level in columns.values()] for c in group.names}
    rows: list[tuple[Value, ...]] = []
    for classifier, name in group.names.items():
        each = [group.clean(classifier), *swept[classifier]]
        known = [pooled.metrics for pooled in each if pooled is not None]
        counts: list[str | None] = [sizes([m.n for m in known]) if known else None]
        if group.several:
            counts.append(sizes([m.seeds for m in known]) if known else None)
        accuracies = [None if pooled is None else pooled.metrics.accuracy for pooled in each]
        rows.append((name, *counts, *accuracies))
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals at continuous levels, mild to "
        "strong. Sigma of noise: its standard deviation, pixels being 0 to 1. Sigma of blur: its "
        "standard deviation in pixels of the picture. SNR: the mean of a picture's squared values "
        "over the variance of the noise, in dB."
    )
    ranked = {"clean": [Scores.of(group.clean(classifier)) for classifier in group.names]}
    for place, column in enumerate(columns):
        ranked[column] = [Scores.of(swept[classifier][place]) for classifier in group.names]
    used = [pooled for own in swept.values() for pooled in own if pooled is not None]
    under = {column: perturbation for column, (perturbation, _) in columns.items()}
    title = "Continuous levels"
    return captioned(group, "levels", title, about, used, header, rows, ranked, under)


def _columns(group: Group) -> dict[str, _Level]:
    """The planned levels by their name in the header."""
    planned = [cell for cell in group.planned if cell.family == "level"]
    names = list(dict.fromkeys(cell.perturbation for cell in planned))
    ordered = sorted(planned, key=lambda cell: (names.index(cell.perturbation), cell.level))
    return {
        f"{_shown(cell.perturbation)} {cell.severity}": (cell.perturbation, cell.severity)
        for cell in ordered
    }


def _shown(perturbation: str) -> str:
    """Such as "noise sigma", or "noise SNR"."""
    return perturbation.removeprefix("gaussian_").replace("_", " ").replace("snr", "SNR")


def _pooled(group: Group, classifier: str, level: _Level) -> Pooled | None:
    """None unless the level has a complete cell, and its trainings a sample in common."""
    own = [
        result
        for result in group.levels
        if (result.cell.classifier, result.cell.perturbation, result.cell.severity)
        == (classifier, *level)
    ]
    pooled = Pooled(tuple(sorted(own, key=lambda result: result.cell.seed))) if own else None
    return pooled if pooled is not None and len(pooled.outcomes[0]) else None
