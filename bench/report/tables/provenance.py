"""The table of what stands behind the numbers."""

from collections.abc import Iterable

from bench.checkpoints import GATE_FACTOR
from bench.report.groups import Group
from bench.report.spec import TableSpec, Value
from bench.report.tables.captions import captioned


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
        f"which fails an EmoDC checkpoint whose d_p exceeds {GATE_FACTOR} times that of its Base. "
        f"{_class_orders(group)}"
    )
    return captioned(group, "provenance", "Provenance", about, group.results, header, rows)


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


def _each(texts: Iterable[str]) -> str | None:
    """The distinct texts; more than one where the cells of a classifier disagree."""
    return " / ".join(dict.fromkeys(texts)) or None
