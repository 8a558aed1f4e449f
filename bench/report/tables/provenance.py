"""The data sets behind a report."""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

from bench.data.base import Split
from bench.perturb.listing import in_words, other_parameters
from bench.report.attributes import recorded
from bench.report.groups import Result, ResultSet
from bench.report.results import Results
from bench.report.spec import TableSpec, Value
from bench.report.tables.common import captioned, ending, sizes
from bench.store.cells import Conditioning
from bench.store.checkpoints import GATE_FACTOR
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
    about = (
        "Data sets: pictures in each split, and how many of the test split were measured on clean "
        "pictures; of the test split the fewest and most pictures of a class, the accuracy of "
        "guessing (chance) and of always naming the largest class (majority), and heights x "
        "widths; the attributes that its groups of pictures rest on. Counts and shares of the "
        "whole split, so without intervals."
    )
    parts = [about, *(["Test pictures per class: " + " ".join(listed)] if listed else [])]
    if unknown:
        parts.append(f"The store holds no record of {', '.join(unknown)}: from cells alone.")
    caption = " ".join([*parts, *ending(list(shown.values()), rows)])
    return TableSpec("datasets", "Data sets", caption, header, tuple(rows))


def _row(group: ResultSet, record: DatasetRecord | None) -> tuple[Value, ...]:
    clean = [r.metrics.n for r in group.results if r.cell.about.clean]
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
        parameters = result.manifest.inputs.get("perturbation")
        other = other_parameters(parameters) if isinstance(parameters, dict) else ""
        if other:
            rows[result.cell.perturbation.replace("_", " "), None, "", other] = None
    if not rows:
        return []
    about = (
        "What each corruption was made of, from the manifests of its cells: the preset that has "
        "it and the preset's version, the version of its pixels, and the constants at severities "
        "1, 2 and so on; a single value holds at all of them, and of long lists the ends and the "
        "count are given. Of attacks and of functions of a user's own, what they were set to. "
        "docs/corruptions.md says what they mean."
    )
    header = ("corruption", "preset", "version", "constants")
    return [TableSpec("constants", TITLE, about, header, tuple(rows))]


def presets_note(group: ResultSet, corruptions: Sequence[str]) -> str:
    """For captions over many corruptions: their presets; empty if no manifest has one."""
    known = _known(r for r in group.results if r.cell.perturbation in corruptions)
    presets = dict.fromkeys(preset for _, preset in known if preset)
    if not presets:
        return ""
    plural = "s" if len(presets) > 1 else ""
    return f' Preset{plural} {", ".join(presets)}; constants: table "{TITLE}".'


def constants_note(group: ResultSet, corruption: str) -> str:
    """For the caption of one corruption: preset, version and constants."""
    said = dict.fromkeys(
        (f"Preset {preset}, v" if preset else "V")
        + f"ersion {parameters.get('version')} of the corruption; {in_words(parameters)}"
        for parameters, preset in _known(
            r for r in group.results if r.cell.perturbation == corruption
        )
    )
    return "".join(f" {text}." for text in said)


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


def provenance_table(group: ResultSet) -> TableSpec:
    """What stands behind each classifier's numbers: checkpoint, steps, gate, class order."""
    header = ("classifier", "checkpoint", "steps", "gate d_p", "Base d_p", "d_n - d_p")
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
                _each(_gap(gate.conditioning) for gate in gates if gate.conditioning is not None),
            )
        )
    about = (
        "What stands behind the numbers: digest of the checkpoint, steps of a trace, and the gate, "
        f"which fails an EmoDC checkpoint whose d_p exceeds {GATE_FACTOR} times that of its Base. "
        "Conditioning fails if the interval of d_n - d_p on validation pictures (95%, Student's t) "
        "or that of the accuracy there (Wilson) reaches down to 0 or to chance. "
        f"{_class_orders(group)}"
    )
    return captioned(group, "provenance", "Provenance", about, group.results, header, rows)


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
