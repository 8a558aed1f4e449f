"""The data sets behind a report."""

from collections.abc import Iterable
from typing import Any, get_args

from bench.data.base import Split
from bench.perturb.presets import in_words, other_parameters
from bench.report.results import Result, Results, ResultSet, recorded
from bench.report.spec import TableSpec, Value, caption, captioned, sizes
from bench.store.cells import Conditioning
from bench.store.records import DatasetRecord
from bench.store.store import Store


def datasets_table(results: Results, store: Store) -> TableSpec:
    """A row per data set: how large it is, what guessing reaches, what is known of its pictures."""
    header = (
        *("data set", "kind", "train n", "validation n", "test n", "measured n", "classes"),
        *("per class", "chance %", "majority %", "pixels", "groups", "digest"),
    )
    rows: list[tuple[Value, ...]] = []
    shown: dict[tuple[str, str | None], ResultSet] = {}
    for group in results.groups:
        shown.setdefault((group.dataset, group.data_digest), group)
    listed, unknown = [], []
    for (name, _), group in shown.items():
        record = recorded(group, store)
        rows.append(_row(group, record))
        if record is None:
            unknown.append(name)
        else:
            counts = record.counts["test"]
            each = ", ".join(f"{label} {counts[label]}" for label in record.classes)
            listed.append(f"{group.data}: {each}.")
    about = "Pictures in each split; of the test split classes, chance, largest class, groups"
    remarks = ["Test pictures per class: " + " ".join(listed)] if listed else []
    if unknown:
        remarks.append(f"The store holds no record of {', '.join(unknown)}: from cells alone.")
    text = caption(about, intervals="Counts of the whole split, so without intervals")
    return TableSpec("datasets", "Data sets", text, header, tuple(rows), remarks=tuple(remarks))


def _row(group: ResultSet, record: DatasetRecord | None) -> tuple[Value, ...]:
    clean = [r.n for r in group.results if r.cell.about.clean]
    measured = sizes(clean) if clean else None
    classes, chance = str(len(group.classes)), f"{100 / len(group.classes):.1f}"
    if record is None:
        kind = "drawn faces" if group.drawn else None
        none = (None,) * 3
        counted = (*none, measured, classes, None, chance, *none)
        return (group.dataset, kind, *counted, group.data_digest)
    splits = (str(sum(record.counts[split].values())) for split in get_args(Split))
    test = list(record.counts["test"].values())
    majority = f"{100 * max(test) / sum(test):.1f}" if sum(test) else None
    pixels = " x ".join(sizes(side) for side in (record.height, record.width))
    groups = ", ".join(record.groups) or None
    about = (*splits, measured, classes, sizes(test), chance, majority, pixels, groups)
    return (group.dataset, record.kind, *about, record.digest)


# ------------------------------------------------------------------------------------------------
# What corruptions were made of: presets, versions and constants, as the cells' manifests say.


TITLE = "Corruptions and their constants"


def constants_table(results: Results) -> list[TableSpec]:
    """A row per corruption, in the order of the plan; none if no manifest tells of any.

    A corruption whose cells differ in a constant or in version, as those of several versions of
    the bench may, has a row for each.
    """
    rows: dict[tuple[Value, ...], None] = {}
    for parameters, preset in _known(results.complete):
        what = parameters["name"].replace("_", " ")
        rows[what, preset, str(parameters.get("version", "")), in_words(parameters)] = None
    for result in results.complete:
        stated = result.manifest.inputs.get("perturbation")
        other = other_parameters(stated) if isinstance(stated, dict) else ""
        if other:
            rows[result.cell.perturbation.replace("_", " "), None, "", other] = None
    if not rows:
        return []
    about = "Presets, versions and constants by severity, from the cells' manifests"
    header = ("corruption", "preset", "version", "constants")
    return [TableSpec("constants", TITLE, caption(about), header, tuple(rows))]


def _known(results: Iterable[Result]) -> list[tuple[dict[str, Any], str | None]]:
    """Parameters and preset of each corrupted cell whose manifest has them."""
    found = []
    for result in results:
        parameters = result.manifest.inputs.get("perturbation")
        if not result.cell.about.corrupted or not isinstance(parameters, dict):
            continue
        if isinstance(parameters.get("levels"), list) and "name" in parameters:
            found.append((parameters, result.manifest.environment.get("preset")))
    return found


# ------------------------------------------------------------------------------------------------
# The table of what stands behind the numbers.


_REFERENCES = {
    "itself": "itself",
    "equal_budget": "of equal budget",
    "first_stage": "the first stage",
}


def provenance_table(group: ResultSet) -> TableSpec:
    """What stands behind each classifier's numbers: checkpoint, steps, denoiser check."""
    header = (
        *("classifier", "checkpoint", "steps", "validation d_p", "Base d_p", "Base is"),
        *("linear d_p", "d_n - d_p"),
    )
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
                _each(_REFERENCES[gate.reference] for gate in gates if gate.base_d_p is not None),
                _each(f"{gate.linear_d_p:.4f}" for gate in gates if gate.linear_d_p is not None),
                _each(_gap(gate.conditioning) for gate in gates if gate.conditioning is not None),
            )
        )
    about = "Digest of the checkpoint, steps, denoiser check and conditioning (validation pictures)"
    return captioned(
        group,
        *("provenance", "Provenance", about, group.results, header, rows),
        intervals="95% Student's intervals of d_n - d_p",
        remarks=[_class_orders(group)],
    )


def _gap(own: Conditioning) -> str:
    return f"{own.gap:.2g} [{own.gap_low:.2g}, {own.gap_high:.2g}]"


def _class_orders(group: ResultSet) -> str:
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
