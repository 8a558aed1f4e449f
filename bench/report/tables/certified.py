"""Certificates by randomised smoothing: right, and so under every change of a length."""

import numpy as np
from numpy.typing import NDArray

from bench.perturb.certified import radius
from bench.report.outcomes import share, shared_samples
from bench.report.results import Result, ResultSet, pool
from bench.report.spec import TableSpec, Value, captioned, counts_header, interval_name
from bench.report.tables.attacks import about

#: L2 lengths on [0, 1], as columns of the table.
_RADII = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


def certified_table(group: ResultSet) -> TableSpec | None:
    """A row per classifier and sigma, a column per radius; None without certificates."""
    cells = pooled_certificates(group)
    if not cells:
        return None
    radii = [length for length in _RADII if length < max(map(farthest, cells))]
    rows: list[tuple[Value, ...]] = []
    for own in cells:
        right, lengths = certificates(own)
        counts = [str(own.n), *([str(len(own.seeds))] if group.several else [])]
        abstains = share((lengths <= 0).astype(np.float64))
        under = [share(right * (lengths > length)) for length in radii]
        rows.append((own.name, own.cell.severity, *counts, abstains, *under))
    what = (
        "Certified accuracy in percent: the smoothed verdict is right and stays so under every "
        "change of an L2 length of at most r, on pixels in [0, 1]"
    )
    used = {_said(own) for own in cells}
    header = (
        *("classifier", "sigma", *counts_header(group), "abstains"),
        *(f"r = {length:g}" for length in radii),
    )
    return captioned(
        group,
        *("certified", "Certified accuracy", what, cells, header, rows),
        intervals=f"{interval_name(group)} intervals over pictures",
        remarks=[*sorted(used), "Abstentions count as wrong. Noise is drawn by address."],
    )


def pooled_certificates(group: ResultSet) -> list[Result]:
    """By classifier and sigma, all trainings."""
    found: dict[tuple[str, float], list[Result]] = {}
    for result in group.certified:
        found.setdefault((result.cell.classifier, result.cell.level), []).append(result)
    pooled = [pool(sorted(own, key=lambda one: one.cell.seed)) for own in found.values()]
    return [own for own in pooled if own.n]


def certificates(own: Result) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1 where the smoothed verdict is right, and its radius, 0 for none; (trainings, pictures)."""
    each = shared_samples([one.outcomes for one in own.results])
    right = np.stack([one.right for one in each]).astype(np.float64)
    return right, np.stack([one.logits.max(axis=1) for one in each]).astype(np.float64)


def farthest(own: Result) -> float:
    """The longest radius that so many samples can certify."""
    asked = about(own)
    return radius(asked["samples"], asked["samples"], own.cell.level, asked["alpha"])


def _said(own: Result) -> str:
    asked = about(own)
    return (
        f"{asked['samples']} noisy copies of each picture after {asked['selection']} that choose "
        f"the class; a certificate is wrong with probability {asked['alpha']:g} at most "
        "(Clopper-Pearson)."
    )
