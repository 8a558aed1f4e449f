"""The tables of a report: what stands in them, not how they are written (see `render`)."""

from collections.abc import Iterable, Sequence

from bench.report.groups import Group, Pooled, Result
from bench.report.results import Results
from bench.report.spec import Number, TableSpec, Value

DRAWN = "Drawn faces are not evidence about real faces."
SEEDS = (
    "Numbers are means over training seeds, with intervals of a two-level bootstrap over seeds and "
    "pictures; few seeds that differ greatly make them too narrow. A single seed has Wilson's."
)


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
    header = ("classifier", *_counts(group), *shares, "d_p", "evaluations/image", "seconds/image")
    rows: list[tuple[Value, ...]] = []
    used: list[Pooled] = []
    for classifier, name in group.names.items():
        result = group.clean(classifier)
        if result is None:
            rows.append((name, *[None] * (len(header) - 1)))
            continue
        used.append(result)
        m = result.metrics
        means = (m.uar, m.macro_f1, m.d_p)
        costs = (_number(m.evaluations, 1), _number(m.seconds, 4))
        counts = (str(m.n), str(m.seeds)) if group.several else (str(m.n),)
        rows.append((name, *counts, m.accuracy, *means, *costs))
    about = f"Clean pictures: accuracy (WAR) in percent with its {interval_name(group)} interval."
    caption = _caption(group, about, used, rows)
    return TableSpec(
        group.file_name("clean"), f"Clean pictures, {group.slug}", caption, header, tuple(rows)
    )


def corruption_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by severity of one corruption, and the mean over severities."""
    severities = group.severities(perturbation)
    header = ("classifier", *_counts(group), "d_p (clean)", "clean", *severities, "mean")
    rows = [
        (*row, group.mean(classifier, perturbation))
        for classifier, row in _sweep_rows(group, perturbation)
    ]
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals under {perturbation}, by "
        "severity. The mean is over the severities; its interval counts each image once"
        f"{'' if group.several else ' and is conservative'}."
    )
    return _sweep_table(group, perturbation, about, header, rows)


def attack_table(group: Group, perturbation: str) -> TableSpec:
    """Accuracy by budget of one attack, beside clean accuracy on the very same samples."""
    severities = group.severities(perturbation)
    budgets = (f"eps {s}" for s in severities)
    header = ("classifier", *_counts(group), "d_p (clean)", "clean", *budgets)
    rows = [row for _, row in _sweep_rows(group, perturbation)]
    about = (
        f"Accuracy in percent with {interval_name(group)} intervals under the attack "
        f"{perturbation}, by budget eps. The clean columns are over the attacked samples only."
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
    """Per classifier: name, n (and seeds), clean d_p, clean accuracy, accuracy by severity."""
    found: list[tuple[str, tuple[Value, ...]]] = []
    for classifier, name in group.names.items():
        reference = group.reference(classifier, perturbation)
        swept = group.under(classifier, perturbation)
        known = [m for m in (reference, *(r.metrics for r in swept)) if m is not None]
        counts: list[str | None] = [sizes([m.n for m in known]) if known else None]
        if group.several:
            counts.append(sizes([m.seeds for m in known]) if known else None)
        by_severity = {r.results[0].cell.severity: r.metrics.accuracy for r in swept}
        row: tuple[Value, ...] = (
            name,
            *counts,
            None if reference is None else reference.d_p,
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
    group: Group, about: str, used: Sequence[Result | Pooled], rows: Sequence[tuple[Value, ...]]
) -> str:
    parts = [about, f"{setting(group, used)}.", *([SEEDS] if group.several else [])]
    if any(value is None for row in rows for value in row):
        parts.append("–: not applicable or not measured.")
    if group.drawn:
        parts.append(DRAWN)
    return " ".join(parts)


def setting(group: Group, used: Sequence[Result | Pooled]) -> str:
    """What the numbers were measured on: data set, n, classes, seeds."""
    n = sizes([result.metrics.n for result in used])
    return f"Data set {group.dataset}, n = {n}, {len(group.classes)} classes, {seeds_text(group)}"


def seeds_text(group: Group) -> str:
    """Such as "seed 0", or "training seeds 0, 1, 2, run seed 0" where that is not all."""
    if group.seeds == [group.seed]:
        return f"seed {group.seed}"
    plural = "s" if group.several else ""
    return f"training seed{plural} {', '.join(map(str, group.seeds))}, run seed {group.seed}"


def interval_name(group: Group) -> str:
    """Which intervals accuracies have."""
    return "95%" if group.several else "95% Wilson"


def _counts(group: Group) -> tuple[str, ...]:
    """The columns that say how much stands behind a row."""
    return ("n", "seeds") if group.several else ("n",)


def sizes(counts: Sequence[int]) -> str:
    """Sample counts in short: "200", or "40 to 200" where they differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _number(value: float | None, digits: int) -> Number | None:
    return None if value is None else Number(value, digits)


def _each(texts: Iterable[str]) -> str | None:
    """The distinct texts; more than one where the cells of a classifier disagree."""
    return " / ".join(dict.fromkeys(texts)) or None
