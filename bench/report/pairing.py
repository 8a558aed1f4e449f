"""What `bench compare` compares: a run, or one classifier of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.outcomes import Outcomes, recognised
from bench.report.results import checked, display_name, report_order
from bench.store.cells import Cell, Manifest, pictures_of
from bench.store.checkpoints import Bases
from bench.store.store import Store
from bench.util.errors import UserError, unknown


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        text: As typed.
        root: Folder of the run.
        classifier: The one that is meant; None for all of the run.
    """

    text: str
    root: Path
    classifier: str | None


def sides(first: str, second: str, out: Path) -> tuple[Side, Side]:
    """Both sides, from RUN, RUN:CLASSIFIER, or a classifier of the run in `out`.

    Raises:
        UserError: If there is no such run or classifier, or a run meets a single classifier.
    """
    one, other = _side(first, out), _side(second, out)
    if (one.classifier is None) == (other.classifier is None):
        return one, other
    run = one if one.classifier is None else other
    known = ", ".join(_classifiers(run.root))
    raise UserError(
        f"{run.text} is a whole run and the other side one classifier. Name a classifier of it, "
        f"too, as in {run.text}:CLASSIFIER; it has {known}."
    )


def _side(text: str, out: Path) -> Side:
    if _is_run(Path(text)):
        return Side(text, Path(text), None)
    folder, colon, name = text.rpartition(":")
    if colon and _is_run(Path(folder)):
        return Side(text, Path(folder), _known(name, Path(folder)))
    if colon or "/" in text or (Path(text).is_dir() and not _is_run(out)):
        raise UserError(f"{folder if colon else text} holds no run: no plan.json.")
    if not _is_run(out):
        raise UserError(
            f"{text} is no run, and neither is {out}, whose classifier it could be: no plan.json. "
            "Say where the run is with --out."
        )
    return Side(text, out, _known(text, out))


def _known(name: str, root: Path) -> str:
    known = _classifiers(root)
    if name not in known:
        raise unknown(f"classifier of {root}", name, known)
    return name


def _classifiers(root: Path) -> list[str]:
    return list(dict.fromkeys(cell.classifier for cell in Store(root).planned()))


def _is_run(folder: Path) -> bool:
    return (folder / "plan.json").is_file()


# ------------------------------------------------------------------------------------------------
# Cells of two sides, paired on identical samples; what cannot be paired says why.


#: What both must have been measured on. Samples are compared themselves, not by their digest.
_AGREE = {"data": "the contents of the data sets", "perturbation": "the perturbation's parameters"}


class Where(NamedTuple):
    """What two cells of one comparison share: all but the side and the training seed."""

    classifiers: tuple[str, str]  # A's and B's, the same name where runs are compared
    dataset: str
    run_seed: int
    family: str
    perturbation: str
    severity: str

    def __str__(self) -> str:
        """Such as "resnet18 on faces, gaussian_noise 3"."""
        who = " and ".join(dict.fromkeys(self.classifiers))
        return f"{who} on {self.dataset}, {self.pictures}"

    @property
    def pictures(self) -> str:
        """Such as "gaussian_noise 3", or "clean"."""
        return pictures_of(self.perturbation, self.family, self.severity)


@dataclass(frozen=True, eq=False)
class Pair:
    """The same cell of both sides, on identical samples.

    Attributes:
        where: Which cell.
        names: Of A's and B's classifier, as shown: a failed denoiser check says so.
        seeds: Training seeds, A's and B's of each pair.
        ids: Sample ids, (N,).
        labels: Their classes as numbers, (N,).
        first: Whether A recognises them, 1 or 0, (k, N), a row per pair of trainings.
        second: Whether B does, (k, N).
        drawn: Whether they are drawn faces.
    """

    where: Where
    names: tuple[str, str]
    seeds: tuple[tuple[int, int], ...]
    ids: NDArray[np.object_]
    labels: NDArray[np.int16]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    drawn: bool


@dataclass(frozen=True)
class Pairing:
    """What two sides have in common, and what not.

    Attributes:
        pairs: In report order.
        refused: Cells of both that cannot be compared, and why.
        alone: Number of planned cells (seeds counted once) that only A, and that only B has.
    """

    pairs: list[Pair] = field(default_factory=list)
    refused: dict[Where, str] = field(default_factory=dict)
    alone: tuple[int, int] = (0, 0)


class _Refusal(Exception):
    """Why a cell cannot be compared."""


def pair(first: Side, second: Side) -> Pairing:
    """Pair the cells of both sides by classifier, data set, perturbation, severity and run seed.

    Where classifiers are compared, A's stands for B's. Cells with several training seeds are
    compared on those that both have; a single training meets a single one of whatever seed.

    Raises:
        UserError: If nothing can be compared, with what is there.
    """
    stores = Store(first.root), Store(second.root)
    one, other = (
        _cells(store, side, (first, second))
        for store, side in zip(stores, (first, second), strict=True)
    )
    shared = [where for where in one if where in other]
    found = Pairing(alone=(len(one) - len(shared), len(other) - len(shared)))
    like: dict[str, Outcomes] = {}  # by family: cells of one mostly have the same samples
    bases = Bases.of(stores[0]), Bases.of(stores[1])
    for where in shared:
        try:
            found.pairs.append(_paired(where, stores, bases, (one[where], other[where]), like))
        except (_Refusal, UserError) as reason:
            found.refused[where] = str(reason)
    if not found.pairs:
        raise _nothing(first, second, one, other, found.refused)
    return found


def _cells(store: Store, side: Side, both: tuple[Side, Side]) -> dict[Where, list[Cell]]:
    found: dict[Where, list[Cell]] = {}
    for cell in report_order(store.planned()):
        if side.classifier not in (None, cell.classifier):
            continue
        if cell.about.place != "results":
            # Rows of a sequence are frames, which are no independent samples; continuous levels
            # would change the means over corruptions; the others are no results of the sweep.
            continue
        names = (both[0].classifier or cell.classifier, both[1].classifier or cell.classifier)
        level = cell.perturbation, cell.severity
        where = Where(names, cell.dataset, cell.run_seed, cell.family, *level)
        found.setdefault(where, []).append(cell)
    return found


def _paired(
    where: Where,
    stores: tuple[Store, Store],
    bases: tuple[Bases, Bases],
    cells: tuple[list[Cell], list[Cell]],
    like: dict[str, Outcomes],
) -> Pair:
    arms = [
        _manifests(store, own, name) for store, own, name in zip(stores, cells, "AB", strict=True)
    ]
    seeds = _seeds(arms[0], arms[1])
    chosen = [[arm[own[side]] for own in seeds] for side, arm in enumerate(arms)]
    _agree([*chosen[0], *chosen[1]])
    read: list[list[Outcomes]] = []
    for store, manifests in zip(stores, chosen, strict=True):
        read.append([])
        for manifest in manifests:
            like[where.family] = checked(store, manifest, like.get(where.family))
            read[-1].append(like[where.family])
    _identical([*read[0], *read[1]])
    some = read[0][0]
    shown = [
        display_name(name, (known.judged(manifest).gate for manifest in manifests))
        for name, known, manifests in zip(where.classifiers, bases, chosen, strict=True)
    ]
    return Pair(
        where,
        (shown[0], shown[1]),
        seeds,
        some.ids,
        some.labels,
        recognised(read[0]),
        recognised(read[1]),
        stores[0].is_drawn(chosen[0][0]),
    )


def _manifests(store: Store, cells: Sequence[Cell], name: str) -> dict[int, Manifest]:
    """The manifests of complete cells, by training seed."""
    found = {cell.seed: store.manifest(cell) for cell in cells}
    complete = {seed: manifest for seed, manifest in found.items() if manifest is not None}
    if not complete:
        raise _Refusal(f"not finished in {name}")
    return complete


def _seeds(first: dict[int, Manifest], second: dict[int, Manifest]) -> tuple[tuple[int, int], ...]:
    shared = sorted(first.keys() & second.keys())
    if shared:
        return tuple((seed, seed) for seed in shared)
    if len(first) == len(second) == 1:
        return ((next(iter(first)), next(iter(second))),)
    one, other = (", ".join(map(str, sorted(arm))) for arm in (first, second))
    raise _Refusal(f"no training seed in common: A has {one}, B has {other}")


def _agree(manifests: Sequence[Manifest]) -> None:
    for name, words in _AGREE.items():
        values = [manifest.inputs.get(name) for manifest in manifests]
        for value in values[1:]:
            if value != values[0]:
                raise _Refusal(f"{words} differ ({_contrast(values[0], value)})")


def _contrast(one: Any, other: Any) -> str:
    """What of two values differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = [k for k in {**one, **other} if one.get(k) != other.get(k)]
        return "; ".join(f"{k}: {_contrast(one.get(k), other.get(k))}" for k in names)
    return f"{one} in A, {other} in B"


def _identical(several: Sequence[Outcomes]) -> None:
    """Refuse unless all are of the same samples with the same labels."""
    first = several[0]
    for other in several[1:]:
        if other.ids is not first.ids and not np.array_equal(other.ids, first.ids):
            both = len(np.intersect1d(first.ids, other.ids))
            raise _Refusal(
                f"not the same samples: A has {len(first)}, B has {len(other)}, {both} are in both"
            )
        if first.classes == other.classes:
            differ = int((first.labels != other.labels).sum())
        else:
            differ = int((_names(first) != _names(other)).sum())
        if differ:
            raise _Refusal(f"{differ} of {len(first)} samples have different labels")


def _names(outcomes: Outcomes) -> NDArray[np.object_]:
    return np.array(outcomes.classes, object)[outcomes.labels]


def _nothing(
    first: Side,
    second: Side,
    one: dict[Where, list[Cell]],
    other: dict[Where, list[Cell]],
    refused: dict[Where, str],
) -> UserError:
    if refused:
        where, reason = next(iter(refused.items()))
        more = f" So are {len(refused) - 1} more cells." if len(refused) > 1 else ""
        return UserError(f"nothing can be compared: {where} is refused, {reason}.{more}")
    return UserError(
        f"{first.text} and {second.text} have no cell in common. {first.text} has {_content(one)}; "
        f"{second.text} has {_content(other)}. Two classifiers are compared by "
        "RUN:CLASSIFIER RUN:CLASSIFIER."
    )


def _content(cells: dict[Where, list[Cell]]) -> str:
    def listed(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    flat = [cell for own in cells.values() for cell in own]
    parts = (
        listed([cell.classifier for cell in flat]),
        f"on {listed([cell.dataset for cell in flat])}",
        f"under {listed([cell.perturbation for cell in flat])}",
        f"run seed {listed([str(cell.run_seed) for cell in flat])}",
    )
    return " ".join(parts)
