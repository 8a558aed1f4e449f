"""Are the rows of a store what its config, data and checkpoints give? Some are computed anew.

Every file is read with the store's own checks first; these find what contradicts itself. What is
consistent and still wrong (another seed, another checkpoint's rows, invented numbers) is found by
computing rows again and comparing them with what is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from bench.classifiers import checkpoints
from bench.config import Config
from bench.data.open import open_dataset, with_lists
from bench.stats.proportions import clopper_pearson
from bench.store.cells import Cell, pictures_of
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep.plan import PlannedCell, make_plan
from bench.sweep.run import given_weights
from bench.sweep.worker import Worker
from bench.util import rng, runtime
from bench.util.errors import UserError
from bench.util.progress import Reporter

#: Logits of another processor may differ by this share of their range; on the same one by nothing.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Fault:
    """A row, or a whole cell, that is not what it should be.

    Attributes:
        cell: Classifier, perturbation and level.
        sample: The row's id; empty for a whole cell.
        what: What is wrong, or the name of the column.
        expected: As computed now; empty for a whole cell.
        got: As stored; empty for a whole cell.
    """

    cell: str
    sample: str
    what: str
    expected: str = ""
    got: str = ""


@dataclass
class Verified:
    """What was found.

    Attributes:
        rows: Rows in the cells that can be computed anew.
        checked: How many of them were.
        equal: How many of these are equal to the last bit.
        wrong: How many are wrong.
        faults: What is wrong, of rows and of whole cells.
        unknown: Cells that cannot be computed anew here, by reason.
        agreed: By id of a cell, how many of its rows were computed anew and are right.
    """

    rows: int = 0
    checked: int = 0
    equal: int = 0
    wrong: int = 0
    faults: list[Fault] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    agreed: dict[str, int] = field(default_factory=dict)

    @property
    def at_most(self) -> float | None:
        """Upper end of the 95 % interval (Clopper-Pearson) of the share of wrong rows."""
        return clopper_pearson(self.wrong, self.checked).high if self.checked else None

    @property
    def verdict(self) -> str:
        """In one line."""
        cells = sum(self.unknown.values())
        besides = f"; {cells} cells cannot be computed anew here" if cells else ""
        if self.at_most is None:
            found = f"{len(self.faults)} faults" if self.faults else "nothing contradicts itself"
            return f"{found}, and no row was computed anew{besides}"
        bound = f"with 95 % confidence at most {self.at_most:.2%} of {self.rows:,} rows are wrong"
        if self.faults:
            return f"NOT VERIFIED: {len(self.faults)} faults; {bound}{besides}"
        return (
            f"verified: {self.checked} rows computed anew agree, {self.equal} to the last bit; "
            f"{bound}{besides}"
        )


def verify(out: Path, reporter: Reporter, samples: int = 200, seed: int = 0) -> Verified:
    """Read every cell of a store, and compute some of its rows anew.

    Which rows agreed is kept in the store, if it can be written, until their cells change; one
    fault and none of them counts.

    Args:
        out: Folder of the run, with its checkpoints.
        reporter: Shows progress.
        samples: How many rows to compute anew, drawn uniformly from those that can be.
        seed: Names the draw.

    Raises:
        UserError: If there is no readable run.
    """
    store, found = Store(out), Verified()
    cells = store.planned()
    names = dict.fromkeys(cell.dataset for cell in cells)
    sides = {name: _Side.opened(store, name, found, reporter) for name in names}
    known: list[tuple[PlannedCell, pd.DataFrame, Worker]] = []
    with reporter.task("read", len(cells)) as task:
        for cell in cells:
            rows, side = _sound(store, cell, found), sides[cell.dataset]
            task.advance()
            if rows is None:
                continue
            reason = _unknown(side, cell)
            if side is None or reason:
                found.unknown[reason] = found.unknown.get(reason, 0) + 1
            elif cell.id not in side.plan or side.plan[cell.id].cell != cell:
                what = "is not what plan.json's config, the data and the checkpoints here give"
                found.faults.append(Fault(_named(cell), "", what))
            elif sorted(rows["sample_id"]) != sorted(side.plan[cell.id].sample_ids):
                found.faults.append(Fault(_named(cell), "", "has other samples than are planned"))
            else:
                known.append((side.plan[cell.id], rows, side.worker))
                _labels(side.plan[cell.id], rows, side.truth, found)
    _recompute(known, samples, seed, found, reporter)
    try:
        store.write_verified({} if found.faults else found.agreed)
    except OSError as error:
        reporter.say(f"not kept, as {out} cannot be written ({error.strerror})")
    return found


@dataclass(frozen=True)
class _Side:
    """One data set of a store, and what was to be measured on it.

    Attributes:
        config: The last run's on it.
        plan: What that plans, by the ids of cells.
        truth: Labels by sample.
        absent: Why classifiers cannot be opened here.
        worker: Computes rows.
    """

    config: Config
    plan: dict[str, PlannedCell]
    truth: dict[str, str]
    absent: dict[str, str]
    worker: Worker

    @classmethod
    def opened(cls, store: Store, name: str, found: Verified, reporter: Reporter) -> "_Side | None":
        """None if plan.json has no config of the data set, or one of another."""
        given = store.configs().get(name)
        if given is None:
            return None
        try:
            config = Config.model_validate(given)
        except ValidationError as error:
            path = store.root / "plan.json"
            raise UserError(f"{path} holds no config that can be read.", 1) from error
        opened = open_dataset(config.data, config.seed, reporter, config.clips)
        dataset = with_lists(opened, config.lists, reporter)
        if dataset.name != name:
            return None
        folders, absent = _checkpoints(config, dataset, store.root, found)
        kept = {own: spec for own, spec in config.classifiers.items() if own not in absent}
        here = config.model_copy(update={"classifiers": kept})
        weights = {key: Card.verified(folder).weights for key, folder in folders.items()}
        plan = make_plan(here, dataset, weights | given_weights(here))
        return cls(
            config,
            {planned.cell.id: planned for planned in plan},
            {s.id: s.label for split in ("val", "test") for s in dataset.samples(split)},
            absent,
            Worker(here, dataset, store.root, folders),
        )


def _unknown(side: _Side | None, cell: Cell) -> str:
    """Why a cell cannot be computed anew here; empty if it can."""
    if side is None:
        return f"plan.json has no config of {cell.dataset}"
    if cell.classifier not in side.config.classifiers:
        return "its classifier is not in plan.json's config"
    return side.absent.get(cell.classifier, "")


def _checkpoints(
    config: Config, dataset: Any, out: Path, found: Verified
) -> tuple[dict[tuple[str, int], Path], dict[str, str]]:
    """The checkpoints that are here, and why classifiers have none."""
    folders: dict[tuple[str, int], Path] = {}
    absent: dict[str, str] = {}
    for (name, seed), chain in checkpoints.recipes(config, dataset).items():
        folder = checkpoints.checkpoint_folder(out, chain[-1])
        if not folder.exists():
            absent[name] = f"the checkpoint of {name} is not here"
            continue
        try:
            Card.verified(folder, chain[-1])
        except UserError as error:
            found.faults.append(Fault(name, "", str(error)))
            absent[name] = f"the checkpoint of {name} is damaged"
            continue
        folders[name, seed] = folder
    for name, spec in config.classifiers.items():
        if spec.folder is not None:
            folders[name, config.seed] = spec.folder
        try:
            spec.check(name)
            spec.identity(name)
        except UserError as error:
            absent[name] = str(error)
    return {key: folder for key, folder in folders.items() if key[0] not in absent}, absent


def _sound(store: Store, cell: Cell, found: Verified) -> pd.DataFrame | None:
    """The rows of a cell, if its files pass the store's checks."""
    manifest = store.manifest(cell)
    reason = None if manifest is None else store.problem(manifest)
    if manifest is None:
        refused = store.refused.get(store.folder(cell) / "cell.json")
        if refused is None:
            found.unknown["it is not complete"] = found.unknown.get("it is not complete", 0) + 1
            return None
        reason = refused
    if reason is not None:
        found.faults.append(Fault(_named(cell), "", reason))
        return None
    assert manifest is not None
    return store.rows(manifest)


def _labels(
    planned: PlannedCell, rows: pd.DataFrame, truth: dict[str, str], found: Verified
) -> None:
    for name, label in zip(rows["sample_id"], rows["label"], strict=True):
        right = truth.get(planned.perturbation.sample_of(name))
        if right != label:
            found.faults.append(Fault(_named(planned.cell), name, "label", str(right), label))


def _recompute(
    known: Sequence[tuple[PlannedCell, pd.DataFrame, Worker]],
    samples: int,
    seed: int,
    found: Verified,
    reporter: Reporter,
) -> None:
    """Draw rows uniformly, compute them, compare."""
    sizes = [len(rows) for _, rows, _ in known]
    found.rows = sum(sizes)
    draws = rng.generator(seed, "verify")
    chosen = np.sort(draws.choice(found.rows, min(samples, found.rows), replace=False))
    with reporter.task("compute anew", len(chosen)) as task, runtime.one_thread():
        start = 0
        for (planned, rows, worker), size in zip(known, sizes, strict=True):
            own = chosen[(chosen >= start) & (chosen < start + size)] - start
            start += size
            if len(own):
                _compare(planned, rows.iloc[own], worker, found)
                task.advance(len(own), _named(planned.cell))


def _compare(planned: PlannedCell, stored: pd.DataFrame, worker: Worker, found: Verified) -> None:
    computed = worker.rows(planned, list(stored["sample_id"])).set_index("sample_id")
    cell = _named(planned.cell)
    for row in stored.itertuples():
        found.checked += 1
        name = str(row.sample_id)
        if name not in computed.index:
            found.wrong += 1
            found.faults.append(Fault(cell, name, "its picture can no longer be read"))
            continue
        now = computed.loc[name]
        faults = [
            Fault(cell, name, column, _shown(new), _shown(old))
            for column, new, old in (
                ("logits", now["logits"], row.logits),
                ("d_p", now["d_p"], row.d_p),
                ("prediction", now["prediction"], row.prediction),
                ("evaluations", now["evaluations"], row.evaluations),
            )
            if not _close(new, old)
        ]
        same = all(
            _equal(now[column], getattr(row, column)) for column in ("logits", "d_p", "prediction")
        )
        found.equal += same and not faults
        found.wrong += bool(faults)
        found.faults += faults
        agreed = found.agreed.get(planned.cell.id, 0)
        found.agreed |= {} if faults else {planned.cell.id: agreed + 1}


def _nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _equal(one: Any, other: Any) -> bool:
    if _nothing(one) or _nothing(other):
        return _nothing(one) and _nothing(other)
    if isinstance(one, str):
        return bool(one == other)
    return np.array_equal(np.asarray(one, np.float32), np.asarray(other, np.float32))


def _close(one: Any, other: Any) -> bool:
    if _nothing(one) or _nothing(other) or isinstance(one, str):
        return _equal(one, other)
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    scale = float(np.ptp(a)) if a.ndim else abs(float(a))
    return bool(a.shape == b.shape and np.abs(a - b).max() <= TOLERANCE * max(scale, 1e-12))


def _shown(value: Any) -> str:
    if _nothing(value):
        return "nothing"
    if isinstance(value, str):
        return value
    return " ".join(f"{number:.6g}" for number in np.atleast_1d(np.asarray(value, np.float64)))


def _named(cell: Cell) -> str:
    return f"{cell.classifier} {pictures_of(cell.condition, cell.family, cell.severity)}"
