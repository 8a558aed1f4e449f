"""What a store holds, measured: metrics of every complete cell, and the cells still missing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.report.groups import Result, ResultSet
from bench.report.measures import measure
from bench.report.outcomes import Flips, Outcomes, flips_of
from bench.store.cells import FAMILIES, Cell, Gate, Manifest, pictures_of
from bench.store.checkpoints import Bases
from bench.store.store import Store
from bench.util.errors import UserError

_ORDER = list(FAMILIES)


@dataclass(frozen=True)
class Missing:
    """A planned cell that the report cannot use, and why."""

    cell: Cell
    name: str  # of the classifier, as shown
    reason: str

    def __str__(self) -> str:
        """One line for a list of missing cells."""
        cell = self.cell
        what = pictures_of(cell.condition, cell.family, cell.severity)
        where = f"{self.name} on {cell.dataset}, {what}, seed {cell.seed}"
        return f"{where}: {self.reason}"


@dataclass(frozen=True)
class Results:
    """Everything that a report shows.

    Attributes:
        complete: Results of the complete cells, in report order (`report_order`).
        missing: The other planned cells, in the same order.
        flips: The complete cells of perturbation sequences, in the same order.
        levels: Those of continuous levels, likewise.
        validation: Those of clean validation pictures, likewise.
        views: Those of views of clean test pictures, likewise.
        groups: The same results, one group per data set and run seed.
        refused: Why stored files are not believed, a sentence each; nothing of them is shown.
    """

    complete: tuple[Result, ...]
    missing: tuple[Missing, ...]
    groups: tuple[ResultSet, ...]
    flips: tuple[Flips, ...] = ()
    levels: tuple[Result, ...] = ()
    validation: tuple[Result, ...] = ()
    views: tuple[Result, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def finished(self) -> int:
        """Number of cells that are shown, or that what is shown rests on."""
        apart = (self.flips, self.levels, self.validation, self.views)
        return len(self.complete) + sum(map(len, apart))


def display_name(classifier: str, gates: Iterable[Gate | None]) -> str:
    """The classifier as every table, figure and file names it.

    An EmoDC checkpoint that is no longer a denoiser, or whose prompt does not matter, says so
    wherever its accuracy stands. One failed check among its cells marks all of them, for they
    share rows of tables.
    """
    known = [gate for gate in gates if gate is not None]
    failed = [] if all(gate.passed for gate in known) else ["gate"]
    if any(gate.conditioning is not None and not gate.conditioning.passed for gate in known):
        failed.append("conditioning")
    return f"{classifier} ({' and '.join(failed)} failed)" if failed else classifier


def read(root: Path) -> Results:
    """Read and measure all planned cells of the store at `root`.

    Raises:
        UserError: If there is no readable plan, or no planned cell is complete.
    """
    store = Store(root)
    planned = report_order(store.planned())
    bases = Bases.of(store)
    stored = {cell: store.manifest(cell) for cell in planned}
    manifests = {cell: own and bases.judged(own) for cell, own in stored.items()}
    names = _names(planned, manifests)
    measured, flips, missing = _measured(store, planned, names, manifests)
    complete = tuple(result for result in measured if result.cell.about.place == "results")
    if not complete:
        raise UserError(
            f"{root} holds no complete cell of the {len(planned)} planned, so there is nothing to "
            "report. The same `bench run` goes on where it stopped.",
            1,
        )
    apart = [result for result in measured if result.cell.about.place != "results"]
    groups = tuple(_with_apart(g, flips, apart) for g in _grouped(planned, names, complete, store))
    why = "no other cell of its data set and seed is finished"
    known = {group.key for group in groups}
    alone: list[Flips | Result] = [*apart, *flips]
    missing += [
        Missing(one.cell, one.name, why) for one in alone if _group_key(one.cell) not in known
    ]
    damaged = [one.reason for one in missing if str(root) in one.reason]
    return Results(
        complete,
        tuple(missing),
        groups,
        refused=tuple(dict.fromkeys([*damaged, *store.refused.values()])),
        flips=tuple(one for group in groups for one in group.flips),
        levels=tuple(one for group in groups for one in group.levels),
        validation=tuple(one for group in groups for one in group.validation),
        views=tuple(one for group in groups for one in group.views),
    )


def _measured(
    store: Store,
    planned: Sequence[Cell],
    names: dict[tuple[tuple[str, int], str], str],
    manifests: dict[Cell, Manifest | None],
) -> tuple[list[Result], list[Flips], list[Missing]]:
    """Every planned cell, as what it is or why it is missing."""
    measured: list[Result] = []
    flips: list[Flips] = []
    missing: list[Missing] = []
    like: dict[str, Outcomes] = {}  # by family: cells of one mostly have the same samples
    for cell in planned:
        manifest, name = manifests[cell], names[_group_key(cell), cell.classifier]
        if manifest is None:
            refused = store.refused.get(store.folder(cell) / "cell.json")
            missing.append(Missing(cell, name, refused or "not finished"))
            continue
        try:
            known = like.get(cell.family)
            outcomes = like[cell.family] = checked(store, manifest, known)
            if cell.about.place == "flips":
                flips.append(flips_of(manifest, name, outcomes))
            else:
                measured.append(Result(manifest, name, outcomes, measure(outcomes)))
        except (UserError, ValueError) as error:
            missing.append(Missing(cell, name, str(error)))
    return measured, flips, missing


def _with_apart(group: ResultSet, flips: Sequence[Flips], apart: Sequence[Result]) -> ResultSet:
    """The group with what it keeps apart from its results."""
    own = [result for result in apart if _group_key(result.cell) == group.key]
    return replace(
        group,
        flips=tuple(one for one in flips if _group_key(one.cell) == group.key),
        levels=_placed(own, "levels"),
        validation=_placed(own, "validation"),
        views=_placed(own, "views"),
    )


def _placed(results: Sequence[Result], place: str) -> tuple[Result, ...]:
    return tuple(result for result in results if result.cell.about.place == place)


def report_order(cells: Sequence[Cell]) -> list[Cell]:
    """Cells by classifier, data set, seed, family, perturbation and severity.

    Classifiers, data sets and perturbations keep the plan's order, in which they first occur;
    families go from clean over corruptions to attacks, severities and seeds upwards.
    """
    classifiers = list(dict.fromkeys(cell.classifier for cell in cells))
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    perturbations = list(dict.fromkeys(cell.perturbation for cell in cells))

    def key(cell: Cell) -> tuple[float, ...]:
        return (
            classifiers.index(cell.classifier),
            datasets.index(cell.dataset),
            cell.run_seed,
            cell.seed,
            _ORDER.index(cell.family),
            perturbations.index(cell.perturbation),
            cell.level,
        )

    return sorted(cells, key=key)


def checked(store: Store, manifest: Manifest, like: Outcomes | None) -> Outcomes:
    """The rows, refused unless they are what was promised."""
    return Outcomes.of(store.table(manifest), manifest.classes, like)


def _group_key(cell: Cell) -> tuple[str, int]:
    return cell.dataset, cell.run_seed


def _names(
    planned: Sequence[Cell], manifests: dict[Cell, Manifest | None]
) -> dict[tuple[tuple[str, int], str], str]:
    """Shown names by group and classifier."""
    gates: dict[tuple[tuple[str, int], str], list[Gate | None]] = {}
    for cell in planned:
        manifest = manifests[cell]
        known = gates.setdefault((_group_key(cell), cell.classifier), [])
        if manifest is not None:
            known.append(manifest.gate)
    return {key: display_name(key[1], known) for key, known in gates.items()}


def _grouped(
    planned: Sequence[Cell],
    names: dict[tuple[tuple[str, int], str], str],
    complete: Sequence[Result],
    store: Store,
) -> tuple[ResultSet, ...]:
    """One group per data set and run seed that has a complete cell."""
    keys = list(dict.fromkeys(_group_key(result.cell) for result in complete))
    groups = []
    for key in keys:
        cells = tuple(
            cell for cell in planned if _group_key(cell) == key and not cell.about.for_decisions
        )
        own = tuple(result for result in complete if _group_key(result.cell) == key)
        shown = {c.classifier: names[key, c.classifier] for c in cells}
        alone = sum(dataset == key[0] for dataset, _ in keys) == 1
        slug = key[0] if alone else f"{key[0]}-seed{key[1]}"
        drawn = any(store.is_drawn(result.manifest) for result in own)
        group = ResultSet(*key, slug, shown, cells, own, drawn)
        record = group.data_digest and store.dataset(group.dataset, group.data_digest)
        groups.append(replace(group, protocol=record.protocol) if record else group)
    return tuple(groups)
