"""Decisions replayed from stored traces: what a rule would have decided, and at which cost.

No network is loaded: everything follows from traces. `bench.rules` lists the rules,
`bench.report.replay` replays them and compares them with the full decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from bench.report.outcomes import AccuracyEstimate, Difference, Number
from bench.report.present import Column, Line, fitted, say
from bench.report.replay import Compared, TraceReader, TraceSource, aligned, compare, replayable
from bench.report.results import display_name, report_order
from bench.report.spec import DRAWN, TableSpec, Value
from bench.rules import RULES, DecisionConfig, SequentialDecision, rule_named
from bench.store.cells import Cell, Manifest
from bench.store.checkpoints import Bases
from bench.store.store import Store
from bench.util.errors import UserError, unknown
from bench.util.section import from_yaml, sentences
from emodc.decisions.fit import TimestepWeights

#: What `bench decide` replays where no rule is named.
EVERY_RULE: tuple[DecisionConfig, ...] = (*RULES.values(), SequentialDecision(bet="bounded"))


def chosen_rules(names: Sequence[str], options: Sequence[str]) -> list[DecisionConfig]:
    """The rules that flags stand for.

    Args:
        names: Of `RULES` or of plugins; all of `RULES` if there are none.
        options: FIELD=VALUE, of a single rule.

    Raises:
        UserError: For a name, field or value that does not exist, or fields of several rules.
    """
    rules = [rule_named(name) for name in dict.fromkeys(names)]
    if not options:
        return rules or list(EVERY_RULE)
    if len(set(names)) != 1:
        raise UserError("-o sets fields of a single rule; name it with --rule.")
    rule = rules[0]
    fields: dict[str, Any] = {}
    known = sorted(set(type(rule).model_fields) - {"kind"})
    for option in options:
        field, value = _field(option)
        if field not in known:
            if not known:
                raise UserError(f"The rule {names[0]} has no fields, so there is no {field!r}.")
            raise unknown(f"field of {names[0]}", field, known)
        if field in fields:
            raise UserError(f"-o {field} is given twice.")
        fields[field] = value
    try:
        return [type(rule).model_validate(fields)]
    except ValidationError as error:
        raise UserError(f"--rule {names[0]}: {sentences(error)}.") from error


def _field(option: str) -> tuple[str, Any]:
    name, equals, value = option.partition("=")
    if not equals or not name.strip():
        raise UserError(f"-o {option}: expected FIELD=VALUE, such as -o delta=0.05.")
    try:
        return name.strip(), from_yaml(value)
    except ValueError as error:
        raise UserError(f"-o {option}: {value!r} is not a value.") from error


# ------------------------------------------------------------------------------------------------
# The same pictures and weights under other evaluation noise: what a nested comparison hides.
#
# A rule sees some of the errors that the full decision is made of, so the two agree more often than
# two decisions on independent noise would.


_SAME = {
    "data": "the contents of the data sets differ",
    "weights": "the weights differ",
    "perturbation": "the perturbation's parameters differ",
}
#: Settings of an evaluation that may differ: the noise, and what has no part in a full decision.
_MAY_DIFFER = ("noise_seed", "other_prompts", "attack_steps")


def counterparts(
    other: TraceReader, manifests: Sequence[Manifest], sources: Sequence[TraceSource]
) -> list[TraceSource]:
    """The other run's traces of the same trainings and pictures, aligned with each other.

    Args:
        other: The other run.
        manifests: One classifier's trainings on one cell's pictures.
        sources: Their traces, aligned.

    Returns:
        One per source, on the pictures that both runs have.

    Raises:
        UserError: If a training is not there, was measured on other pictures, by other settings or
            under the same noise.
    """
    found = []
    for manifest, source in zip(manifests, sources, strict=True):
        twin = _twin(other, manifest)
        read, run = other.read(twin), other.store.root
        shared = np.array(sorted(set(source.ids) & set(read.ids)), object)
        if not len(shared):
            raise UserError(f"{run} has none of its pictures", 1)
        read, own = read.among(shared), source.among(shared)
        if not np.array_equal(read.labels, own.labels):
            raise UserError(f"{run} has other labels of its pictures", 1)
        if np.array_equal(read.errors, own.errors):
            way_out = "measure it with another `evaluation.noise_seed`"
            if own.views:
                way_out = "augmented pictures follow the run's `seed`"
            raise UserError(f"{run} was measured under the same noise; {way_out}", 1)
        found.append(read)
    return aligned(found)


def _twin(other: TraceReader, manifest: Manifest) -> Manifest:
    cell, inputs = manifest.cell, manifest.inputs
    alike = ("classifier", "dataset", "family", "perturbation", "severity", "seed")
    reason = "has no such complete cell"
    for planned in other.cells:
        twin = None
        if all(getattr(planned, name) == getattr(cell, name) for name in alike):
            twin = other.store.manifest(planned)
        if twin is None:
            continue
        different = [
            why for name, why in _SAME.items() if twin.inputs.get(name) != inputs.get(name)
        ]
        if _settings(twin) != _settings(manifest):
            different.append("the settings of evaluation differ in more than the noise")
        if not cell.about.model_free:
            different.append("attacks follow the noise, so the attacked pictures differ")
        elif not cell.about.clean and planned.run_seed != cell.run_seed:
            different.append("the run seeds differ, and with them the perturbed pictures")
        if not different:
            return twin
        reason = f"cannot be compared: {'; '.join(different)}"
    raise UserError(f"{other.store.root} {reason}", 1)


def _settings(manifest: Manifest) -> dict[str, Any]:
    evaluation = manifest.inputs.get("evaluation") or {}
    return {name: value for name, value in evaluation.items() if name not in _MAY_DIFFER}


# ------------------------------------------------------------------------------------------------
# What `bench decide` replays: chosen classifiers and pictures of a run, under chosen rules.


#: Which timesteps count how much, of what validation traces teach.
Weights = Literal["weights", "range"]

#: Which rules are replayed on a trace.
Rules = Callable[[TraceSource], Sequence[DecisionConfig]]

ALL = "all"


@dataclass(frozen=True)
class Place:
    """One classifier on one cell's pictures.

    Attributes:
        name: Of the classifier, as shown: a failed denoiser check says so.
        cell: The cell of its first training.
        rules: What was replayed there.
    """

    name: str
    cell: Cell
    rules: tuple[Compared, ...]

    @property
    def pictures(self) -> str:
        """Such as "clean" or "gaussian_noise 5"."""
        return _pictures(self.cell)


@dataclass(frozen=True)
class Session:
    """Everything that was replayed.

    Attributes:
        root: The run.
        other: The run whose full decisions rest on other noise; None if there is none.
        weights: What weighs timesteps; None if nothing does.
        places: In report order.
        notes: What could not be replayed, or only in part, and why.
        drawn: Whether pictures are drawn faces.
    """

    root: Path
    other: Path | None
    weights: Weights | None
    places: tuple[Place, ...]
    notes: tuple[str, ...]
    drawn: bool


@dataclass
class _Asked:
    reader: TraceReader
    rules: Rules
    weights: Weights | None
    other: TraceReader | None
    notes: dict[str, list[str]] = field(default_factory=dict)  # by what is missing, from whom

    def note(self, what: str, who: str) -> None:
        names = self.notes.setdefault(what, [])
        if who not in names:
            names.append(who)

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{', '.join(names)}: {what}." for what, names in self.notes.items())


def replay_run(
    root: Path,
    rules: Rules,
    classifiers: Sequence[str] = (),
    pictures: Sequence[str] = ("clean",),
    weights: Weights | None = None,
    other: Path | None = None,
) -> Session:
    """Replay rules on the traces of a run.

    Args:
        root: Folder of the run.
        rules: Those for a classifier with a trace like this one.
        classifiers: Only these; all that have traces if there are none.
        pictures: Perturbations, "clean" among them, or one severity as NAME:SEVERITY; or `ALL`.
        weights: What weighs timesteps.
        other: Folder of a run on the same pictures under other noise.

    Raises:
        UserError: For an unknown name, or if nothing can be replayed.
    """
    store = Store(root)
    reader = TraceReader(store)
    cells = [cell for cell in report_order(reader.cells) if _decided(cell)]
    chosen = _chosen(cells, classifiers, pictures, root)
    twins = None if other is None else TraceReader(Store(other))
    if twins is not None and not twins.cells:  # a folder without a run says so here
        raise UserError(f"{other} has no cells.")
    asked = _Asked(reader, rules, weights, twins)
    places, drawn = [], False
    bases = Bases.of(store)
    for own in chosen:
        found = [bases.judged(m) for m in map(store.manifest, own) if m is not None]
        if not any(map(replayable, found)):
            continue
        try:
            places.append(_place(asked, found))
            drawn = drawn or store.is_drawn(found[0])
        except UserError as reason:
            asked.note(str(reason).removesuffix("."), f"{own[0].classifier} on {_pictures(own[0])}")
    if not places:
        raise _nothing(root, asked)
    return Session(root, other, weights, tuple(places), asked.sentences, drawn)


def _decided(cell: Cell) -> bool:
    """Whether rules are replayed on it; rows of sequences are frames."""
    return not cell.about.fits and not cell.about.repeated


def _chosen(
    cells: Sequence[Cell], classifiers: Sequence[str], pictures: Sequence[str], root: Path
) -> list[list[Cell]]:
    """The cells that are asked for, trainings of one classifier together, in report order."""
    known = list(dict.fromkeys(cell.classifier for cell in cells))
    for name in classifiers:
        if name not in known:
            raise unknown(f"classifier of {root}", name, known)
    levels = dict.fromkeys(n for c in cells for n in (c.perturbation, _typed(c)))
    for name in pictures:
        if name != ALL and name not in levels:
            raise unknown(f"perturbation of {root}", name, [ALL, *levels])
    found: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        wanted = {ALL, cell.perturbation, _typed(cell)} & set(pictures)
        if wanted and (not classifiers or cell.classifier in classifiers):
            key = (*_key(cell), cell.run_seed)
            found.setdefault(key, []).append(cell)
    return list(found.values())


def _key(cell: Cell) -> tuple[object, ...]:
    return cell.classifier, cell.dataset, cell.family, cell.perturbation, cell.severity


def _typed(cell: Cell) -> str:
    return f"{cell.perturbation}:{cell.severity}"


def _pictures(cell: Cell) -> str:
    return cell.perturbation if cell.about.clean else f"{cell.perturbation} {cell.severity}"


def _place(asked: _Asked, manifests: Sequence[Manifest]) -> Place:
    sources = aligned([asked.reader.read(manifest) for manifest in manifests])
    cell = manifests[0].cell
    name = display_name(cell.classifier, (manifest.gate for manifest in manifests))
    weights = None if asked.weights is None else [_weights(s, asked.weights) for s in sources]
    rules = asked.rules(sources[0])
    rules = [rule for rule in rules if not _lacks_fit(asked, rule, sources, cell.classifier)]
    if not rules:
        raise UserError("none of the rules is left", 1)
    independent = None
    if asked.other is not None:
        independent = counterparts(asked.other, manifests, sources)
        sources = [source.among(independent[0].ids) for source in sources]
    return Place(name, cell, tuple(compare(sources, rules, weights, independent)))


def _weights(source: TraceSource, which: Weights) -> TimestepWeights:
    if source.fit is None:
        raise UserError(
            "no complete cell of validation pictures teaches weights of timesteps; `bench run` "
            "measures it"
        )
    return source.fit.weights if which == "weights" else source.fit.range


def _lacks_fit(
    asked: _Asked, rule: DecisionConfig, sources: Sequence[TraceSource], classifier: str
) -> bool:
    """Whether a rule cannot be replayed for want of a fit; what it does without one is noted."""
    if not isinstance(rule, SequentialDecision) or all(source.fit for source in sources):
        return False
    absent = "no complete cell of validation pictures with a trace"
    if rule.bet == "bounded":
        asked.note(f"{absent}, so the bounded test has no bound and is left out", classifier)
        return True
    if rule.use_profile and not sources[0].together:
        asked.note(f"{absent}, so the sequential test has no gap profile", classifier)
    return False


def _nothing(root: Path, asked: _Asked) -> UserError:
    if asked.notes:
        return UserError(f"{root}: nothing can be replayed. {' '.join(asked.sentences)}", 1)
    return UserError(
        f"{root} holds no complete cell with a trace among those chosen. EmoDCs have traces of all "
        "pictures, other classifiers of clean pictures after `bench run steps`.",
        1,
    )


# ------------------------------------------------------------------------------------------------
# As a table, as JSON and on a terminal
# ------------------------------------------------------------------------------------------------

_DIGITS = 6


def table(session: Session) -> TableSpec:
    """All rules as one table, for the renderers of the report."""
    rows = [(place, rule) for place in session.places for rule in place.rules]
    several = any(rule.seeds > 1 for _, rule in rows)
    other = any(rule.independent is not None for _, rule in rows)
    header = (
        *("classifier", "pictures", "rule", "n"),
        *(["seeds"] if several else []),
        *("agreement %", "accuracy %", "less full"),
        *(["agreement, other noise %"] if other else []),
        *("evaluations/image", "% of full", "steps/image", "GFLOPs/image"),
    )
    body: list[tuple[Value, ...]] = [
        (
            *(place.name, place.pictures, rule.label, str(rule.n)),
            *([str(rule.seeds)] if several else []),
            *(rule.agreement, rule.accuracy, rule.difference),
            *([rule.independent] if other else []),
            *(rule.evaluations, rule.share, rule.passes, rule.flops),
        )
        for place, rule in rows
    ]
    return TableSpec("decisions", "Decisions", about(session), header, tuple(body))


def about(session: Session) -> str:
    """Whatever is needed to read the numbers."""
    parts = [
        "Rules replayed on stored traces. Agreement: with the full decision, by the lowest "
        f"{'weighted ' if session.weights else ''}mean error over all steps; less full: accuracy "
        "less that of the full decision, in points, on the same pictures.",
        "Evaluations: one class at one step; of a classifier that scores all classes at once, one "
        "pass. Steps are passes where classes share them, and augmented pictures where a "
        "classifier has no steps.",
        "95% intervals: Wilson's of shares, paired ones of differences, bootstraps over pictures "
        "of costs; a cost that is the same for all has none.",
    ]
    if session.weights:
        parts.append(f"Weights of timesteps: {session.weights}, learned on validation pictures.")
    if session.other is not None:
        parts.append(
            f"Agreement, other noise: with the full decisions of {session.other}, of the same "
            "pictures under another seed; the row of all steps says how far two full decisions "
            "agree."
        )
    return " ".join([*parts, *session.notes, *([DRAWN] if session.drawn else [])])


def as_json(session: Session) -> dict[str, Any]:
    """Everything for programs: shares and differences as fractions."""
    return {
        "run": str(session.root),
        "independent": None if session.other is None else str(session.other),
        "weights": session.weights,
        "rows": [
            {
                "classifier": place.cell.classifier,
                "dataset": place.cell.dataset,
                "run_seed": place.cell.run_seed,
                "family": place.cell.family,
                "perturbation": place.cell.perturbation,
                "severity": place.cell.severity,
                **_row(rule),
            }
            for place in session.places
            for rule in place.rules
        ],
        "notes": list(session.notes),
    }


def _row(rule: Compared) -> dict[str, Any]:
    return {
        "rule": rule.decision.model_dump(mode="json"),
        "label": rule.label,
        "n": rule.n,
        "seeds": rule.seeds,
        "agreement": _bounded(rule.agreement),
        "accuracy": _bounded(rule.accuracy),
        "difference": _bounded(rule.difference),
        "agreement_other_noise": _bounded(rule.independent),
        "evaluations": _bounded(rule.evaluations),
        "share_of_full": _bounded(rule.share, 100),
        "steps": _bounded(rule.passes),
        "gflops": _bounded(rule.flops),
    }


def _bounded(
    value: AccuracyEstimate | Difference | Number | None, unit: float = 1
) -> dict[str, float | None] | None:
    if value is None:
        return None
    interval = value.interval
    return {
        "value": round(value.value / unit, _DIGITS),
        "low": None if interval is None else round(interval.low / unit, _DIGITS),
        "high": None if interval is None else round(interval.high / unit, _DIGITS),
    }


# ------------------------------------------------------------------------------------------------
# Compared rules on a screen.


_COLUMNS = (
    Column("n", 6),
    Column("agreement %"),
    Column("accuracy %", 2),
    Column("less full", 3),
    Column("other noise %", 1),
    Column("evaluations", 1),
    Column("% of full", 2),
    Column("steps", 4),
    Column("GFLOPs", 5),
)
_ABOUT = (
    "Agreement with the full decision, accuracy and its difference from the full decision's in "
    "points, cost per picture; 95% intervals."
)
_OTHER = "Other noise: agreement with the full decisions of"


def show(session: Session, console: Console) -> None:
    """Print a table per classifier; plain lines where nobody looks."""
    if console.is_terminal:
        for name, own in groupby(session.places, lambda place: place.name):
            lines = _lines(list(own))
            console.print(fitted(name, "rule", _COLUMNS, lines, console.width))
            console.print()
        other = [] if session.other is None else [f"{_OTHER} {session.other}."]
        about = [_ABOUT, *other, *([DRAWN] if session.drawn else [])]
        say(console, " ".join(about), "dim", wrap=True)
    else:
        for place in session.places:
            for rule in place.rules:
                say(console, _line(place, rule))
    for note in session.notes:
        say(console, note, "yellow", wrap=console.is_terminal)


def _lines(places: Sequence[Place]) -> list[Line]:
    found: list[Line] = []
    for place in places:
        found.append(f"{place.pictures}, {place.cell.dataset}")
        found += [
            (
                rule.label,
                (
                    str(rule.n),
                    rule.agreement,
                    rule.accuracy,
                    _short(rule.difference),
                    rule.independent,
                    rule.evaluations,
                    rule.share,
                    rule.passes,
                    rule.flops,
                ),
            )
            for rule in place.rules
        ]
    return found


def _short(difference: Difference | None) -> str | None:
    """Without the words, for which a screen has no room."""
    return None if difference is None else f"{difference.number} {difference.range}"


def _line(place: Place, rule: Compared) -> str:
    apart = "" if rule.difference is None else f", less full {_short(rule.difference)} points"
    other = "" if rule.independent is None else f", other noise {rule.independent} %"
    flops = "" if rule.flops is None else f", {rule.flops} GFLOPs"
    agreement = "" if rule.agreement is None else f"agreement {rule.agreement} %, "
    return (
        f"{place.name}, {place.cell.dataset}, {place.pictures}, {rule.label}: "
        f"{agreement}accuracy {rule.accuracy} %{apart}{other}, "
        f"{rule.evaluations} evaluations ({rule.share} % of full), {rule.passes} steps{flops}, "
        f"n {rule.n}{f', {rule.seeds} training seeds' if rule.seeds > 1 else ''}"
    )
