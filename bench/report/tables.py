"""The tables of a report: what stands in them, not how they are written (see `render`)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.report.groups import Group, Result
from bench.report.measures import Estimate
from bench.report.results import Results

DRAWN = "Drawn faces are not evidence about real faces."
Value = str | Estimate | None  # None: not applicable, or not measured


@dataclass(frozen=True)
class TableSpec:
    """A table.

    Attributes:
        name: Base of its file names, unique in a report.
        title: A few words.
        caption: Whatever is needed to read the numbers: data set, n, classes, intervals, seed.
        header: Column names, (C,).
        rows: Values, each row (C,).
    """

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


def tables(results: Results) -> list[TableSpec]:
    """All tables: per group the clean one, one per corruption, one per attack, the provenance."""
    specs = []
    for group in results.groups:
        if group.perturbations("clean"):
            specs.append(clean_table(group))
        specs += [corruption_table(group, name) for name in group.perturbations("corruption")]
        specs += [attack_table(group, name) for name in group.perturbations("attack")]
        specs.append(provenance_table(group))
    return specs


def clean_table(group: Group) -> TableSpec:
    """Everything measured on clean pictures, one row per classifier."""
    shares = ("accuracy %", "UAR %", "macro-F1 %")
    header = ("classifier", "n", *shares, "d_p", "evaluations/image", "seconds/image")
    rows: list[tuple[Value, ...]] = []
    used: list[Result] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        if result is None:
            rows.append((name, *[None] * (len(header) - 1)))
            continue
        used.append(result)
        m = result.metrics
        means = (f"{100 * m.uar:.1f}", f"{100 * m.macro_f1:.1f}", _decimals(m.d_p, 4))
        costs = (_decimals(m.evaluations, 1), _decimals(m.seconds, 4))
        rows.append((name, str(m.n), m.accuracy, *means, *costs))
    about = "Clean pictures: accuracy (WAR) in percent with its 95% Wilson interval."
    caption = _caption(group, about, used, rows)
    return TableSpec(
        group.file_name("clean"), f"Clean pictures, {group.slug}", caption, header, tuple(rows)
    )


def corruption_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by severity of one corruption, and the mean over severities."""
    severities = group.severities(perturbation)
    header = ("classifier", "n", "d_p (clean)", "clean", *severities, "mean")
    rows = [
        (*row, group.mean(classifier, perturbation))
        for classifier, row in _sweep_rows(group, perturbation)
    ]
    about = (
        f"Accuracy in percent with 95% Wilson intervals under {perturbation}, by severity. "
        "The mean is over the severities; its interval counts each image once and is conservative."
    )
    return _sweep_table(group, perturbation, about, header, rows)


def attack_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by budget of one attack, beside clean accuracy on the very same samples."""
    severities = group.severities(perturbation)
    header = ("classifier", "n", "d_p (clean)", "clean", *(f"eps {s}" for s in severities))
    rows = [row for _, row in _sweep_rows(group, perturbation)]
    about = (
        f"Accuracy in percent with 95% Wilson intervals under the attack {perturbation}, by budget "
        "eps. The clean columns are over the attacked samples only."
    )
    return _sweep_table(group, perturbation, about, header, rows)


def provenance_table(group: Group) -> TableSpec:
    """What stands behind each classifier's numbers: checkpoint, steps, gate, class order."""
    header = ("classifier", "checkpoint", "steps", "gate d_p", "Base d_p")
    rows: list[tuple[Value, ...]] = []
    for classifier, name in group.names.items():
        behind = [r.manifest for r in group.results if r.cell.classifier == classifier]
        gates = [m.gate for m in behind if m.gate is not None]
        rows.append(
            (
                name,
                _each(m.checkpoint for m in behind),
                _each(str(len(m.timesteps)) for m in behind if m.timesteps),
                _each(f"{gate.d_p:.4f}" for gate in gates),
                _each(f"{gate.base_d_p:.4f}" for gate in gates if gate.base_d_p is not None),
            )
        )
    about = (
        "What stands behind the numbers: digest of the checkpoint, steps of a trace, and the gate, "
        "which fails an EmoDC checkpoint whose d_p exceeds 1.2 times that of its Base. "
        f"{_class_orders(group)}"
    )
    caption = _caption(group, about, group.results, rows)
    return TableSpec(
        group.file_name("provenance"), f"Provenance, {group.slug}", caption, header, tuple(rows)
    )


def _class_orders(group: Group) -> str:
    """The order of logits, once if the classifiers agree, else for each of them."""
    orders: dict[str, list[str]] = {}
    for result in group.results:
        names = orders.setdefault(", ".join(result.manifest.classes), [])
        if result.name not in names:
            names.append(result.name)
    if len(orders) == 1:
        return f"Class order: {next(iter(orders))}."
    return " ".join(f"Class order of {', '.join(who)}: {order}." for order, who in orders.items())


def _sweep_rows(group: Group, perturbation: str) -> list[tuple[str, tuple[Value, ...]]]:
    """Per classifier: name, n, clean d_p, clean accuracy, accuracy at each severity."""
    found: list[tuple[str, tuple[Value, ...]]] = []
    for classifier, name in group.names.items():
        reference = group.reference(classifier, perturbation)
        swept = group.under(classifier, perturbation)
        counts = [m.n for m in (reference, *(r.metrics for r in swept)) if m is not None]
        by_severity = {r.cell.severity: r.metrics.accuracy for r in swept}
        row: tuple[Value, ...] = (
            name,
            sizes(counts) if counts else None,
            None if reference is None else _decimals(reference.d_p, 4),
            None if reference is None else reference.accuracy,
            *(by_severity.get(severity) for severity in group.severities(perturbation)),
        )
        found.append((classifier, row))
    return found


def _sweep_table(
    group: Group,
    perturbation: str,
    about: str,
    header: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
) -> TableSpec:
    used = [r for classifier in group.names for r in group.under(classifier, perturbation)]
    kind = "Attack" if perturbation in group.perturbations("attack") else "Corruption"
    title = f"{kind} {perturbation.replace('_', ' ')}, {group.slug}"
    caption = _caption(group, about, used, rows)
    return TableSpec(group.file_name(perturbation), title, caption, header, tuple(rows))


def _caption(
    group: Group, about: str, used: Sequence[Result], rows: Sequence[tuple[Value, ...]]
) -> str:
    parts = [about, f"{setting(group, used)}."]
    if any(value is None for row in rows for value in row):
        parts.append("–: not applicable or not measured.")
    if group.drawn:
        parts.append(DRAWN)
    return " ".join(parts)


def setting(group: Group, used: Sequence[Result]) -> str:
    """What the numbers were measured on: data set, n, classes, seed."""
    n = sizes([result.metrics.n for result in used])
    return f"Data set {group.dataset}, n = {n}, {len(group.classes)} classes, seed {group.seed}"


def sizes(counts: Sequence[int]) -> str:
    """Sample counts in short: "200", or "40 to 200" where they differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _decimals(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _each(texts: Iterable[str]) -> str | None:
    """The distinct texts; more than one where the cells of a classifier disagree."""
    return " / ".join(dict.fromkeys(texts)) or None
