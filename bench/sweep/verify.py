"""`bench verify` and `bench regress`: are results what they should be?

Of a store: are its rows what its config, data and checkpoints give? Every file is read with the
store's own checks first; these find what contradicts itself. What is consistent and still wrong
(another seed, another checkpoint's rows, invented numbers) is found by computing rows again and
comparing them with what is stored.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from bench.classifiers import checkpoints
from bench.config import Config, load
from bench.data.open import open_dataset, with_lists
from bench.perturb import Address, Batch
from bench.stats.proportions import clopper_pearson
from bench.store.cells import FAMILIES, Cell, pictures_of
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep.plan import PlannedCell, make_plan
from bench.sweep.run import given_weights, run
from bench.sweep.worker import Worker
from bench.util import files, rng, runtime
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
    sides = {name: _sides(store, name, found, reporter) for name in names}
    known: list[tuple[PlannedCell, pd.DataFrame, Worker]] = []
    with reporter.task("read", len(cells)) as task:
        for cell in cells:
            rows, (opened, reason) = _sound(store, cell, found), sides[cell.dataset]
            task.advance()
            if rows is None:
                continue
            side = next((own for own in opened if cell.id in own.plan), None)
            if side is None and not reason:
                side = opened[0]
            if side is not None:
                reason = side.unknown(cell)
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
    if not found.checked and not found.faults:
        return found
    try:
        store.write_verified({} if found.faults else found.agreed)
    except OSError as error:
        reporter.say(f"not kept, as {out} cannot be written ({error.strerror})")
    return found


@dataclass(frozen=True)
class _Side:
    """One data set of a store, and what a run was to measure on it.

    Attributes:
        config: The run's.
        dataset: Its name.
        plan: What that plans, by the ids of cells.
        truth: Labels by sample.
        absent: Why classifiers cannot be opened here.
        worker: Computes rows.
    """

    config: Config
    dataset: str
    plan: dict[str, PlannedCell]
    truth: dict[str, str]
    absent: dict[str, str]
    worker: Worker

    @classmethod
    def opened(cls, store: Store, config: Config, found: Verified, reporter: Reporter) -> "_Side":
        """Data, checkpoints and plan of a run, as its config finds them here.

        Raises:
            UserError: If its data are not here.
        """
        config = _on_a_device_here(config)
        opened = open_dataset(config.data, config.seed, reporter, config.clips)
        dataset = with_lists(opened, config.lists, reporter)
        folders, absent = _checkpoints(config, dataset, store.root, found)
        kept = {own: spec for own, spec in config.classifiers.items() if own not in absent}
        here = config.model_copy(update={"classifiers": kept})
        members = [own for own, _ in config.perturbations.members()]
        if any(own.source in absent for own in members):
            others = [own.name for own in members if own.source not in absent]
            here = here.select(perturbations=others or ["clean"])
        weights = {key: Card.verified(folder).weights for key, folder in folders.items()}
        plan = make_plan(here, dataset, weights | given_weights(here))
        return cls(
            config,
            dataset.name,
            {planned.cell.id: planned for planned in plan},
            {s.id: s.label for split in ("val", "test") for s in dataset.samples(split)},
            absent,
            Worker(here, dataset, store.root, folders),
        )

    def unknown(self, cell: Cell) -> str:
        """Why a cell cannot be computed anew here; empty if it can."""
        if cell.classifier not in self.config.classifiers:
            return "its classifier is not in plan.json's config"
        if cell.id in self.plan:
            return ""
        sources = {own.name: own.source for own, _ in self.config.perturbations.members()}
        source = self.absent.get(sources.get(cell.perturbation, ""), "")
        return self.absent.get(cell.classifier, source)


def _sides(store: Store, name: str, found: Verified, reporter: Reporter) -> tuple[list[_Side], str]:
    """A data set's side of each config, the last one first, and why one is missing."""
    sides, reason = list[_Side](), ""
    for given in store.all_configs(name):
        try:
            side = _Side.opened(store, Config.model_validate(given), found, reporter)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            reason = (
                f"plan.json has a config that this version does not read ({place}): give the "
                "run's command again, which finds its cells done"
            )
        except UserError as error:
            reason = str(error)
        else:
            sides += [side] if side.dataset == name else []
    return sides, reason if sides or reason else f"plan.json has no config of {name}"


def _on_a_device_here(config: Config) -> Config:
    """With the device of choice, if that of the run is not on this machine."""
    try:
        runtime.pick_device(config.execution.device)
    except UserError:
        usual = config.execution.model_copy(update={"device": "auto"})
        return config.model_copy(update={"execution": usual})
    return config


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
            fault = Fault(name, "", str(error))
            found.faults += [] if fault in found.faults else [fault]  # of another run's config
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


# ------------------------------------------------------------------------------------------------
# The regression subset: a small fixed run against committed golden results.
#
# Pixels and counts must be the same to the last bit. Errors and accuracies may differ by a stated
# tolerance, because processors add in different orders.


GOLDEN = Path("results/regression/golden.json")

#: Largest accepted difference of each measured figure. An attack amplifies rounding: a gradient
#: near zero changes sign between processors, so its figures may move further.
GOLDEN_TOLERANCES = {"accuracy": 0.03, "d_p": 1e-3, "mean_logit": 0.02}
ATTACK_TOLERANCES = {"accuracy": 0.08, "d_p": 2e-2, "mean_logit": 0.4}


def regress(update: bool = False) -> list[str]:
    """Run the subset; with `update`, make its results the golden ones.

    Returns:
        One sentence per result that moved; empty if all is as it was.

    Raises:
        UserError: If the golden results or the reference checkpoints are missing.
    """
    runtime.keep_freed_memory()
    config = load(Path("regression.yaml"))
    found = {"pixels": _golden_pixels(config), "cells": _golden_cells(config)}
    if update:
        root = files.find(Path("results/regression"))
        if root is None:
            raise UserError("golden results can only be rewritten in a clone of the repository.")
        changes = golden_changes(_golden(), found) if (root / GOLDEN.name).exists() else []
        files.write_json(root / GOLDEN.name, found)
        return changes
    return golden_changes(_golden(), found)


def golden_changes(golden: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What moved between two results, as sentences."""
    changes = []
    for part in ("pixels", "cells"):
        for name in sorted(golden[part].keys() | found[part].keys()):
            before, after = golden[part].get(name), found[part].get(name)
            if before is None or after is None:
                changes.append(f"{name}: {'appeared' if before is None else 'is gone'}")
            elif part == "pixels" and before != after:
                changes.append(f"pixels of {name}: {before} -> {after} (must be identical)")
            elif part == "cells":
                tolerances = ATTACK_TOLERANCES if "/255" in name else GOLDEN_TOLERANCES
                changes += [f"{name}: {change}" for change in _moved(before, after, tolerances)]
    return changes


def _moved(
    before: dict[str, Any], after: dict[str, Any], tolerances: dict[str, float]
) -> list[str]:
    moved = []
    for figure in before.keys() | after.keys():
        old, new = before.get(figure), after.get(figure)
        tolerance = tolerances.get(figure)
        if old == new:
            continue
        if tolerance is None or old is None or new is None:
            moved.append(f"{figure} {old} -> {new} (must be identical)")
        elif not abs(new - old) <= tolerance:  # a NaN is a change too
            moved.append(f"{figure} {old} -> {new} (moved by {new - old:+.6f}, may {tolerance})")
    return sorted(moved)


def _golden() -> dict[str, Any]:
    path = files.find(GOLDEN)
    if path is None:
        raise UserError(f"there is no {GOLDEN}; write it with `bench regress --update`.")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _golden_pixels(config: Config) -> dict[str, str]:
    """Checksums of the pictures, clean and corrupted."""
    dataset = open_dataset(config.data, config.seed)
    samples = dataset.samples("test")
    checksums = {}
    address = Address(config.seed, dataset.name)
    for perturbation, levels in config.perturbations.members():
        if not FAMILIES[perturbation.family].model_free:
            continue  # adversarial pixels hang on gradients, which processors round differently
        for level in levels:
            total = hashlib.sha256()
            for sample in samples:
                batch = Batch([dataset.picture(sample)], [sample.id], [sample.label])
                total.update(perturbation.apply(batch, level, address, None)[0].tobytes())
            checksums[f"{perturbation.name} {level}"] = total.hexdigest()[:16]
    return checksums


def _golden_cells(config: Config) -> dict[str, dict[str, Any]]:
    """The figures of every cell."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        store = run(config, Path(folder), Reporter())
        for cell in store.planned():
            manifest = store.manifest(cell)
            assert manifest is not None
            rows = store.rows(manifest)
            # A tie is None, which equals no label.
            correct = np.mean(rows["label"].to_numpy() == rows["prediction"].to_numpy())
            d_p = rows["d_p"].astype(float).mean()
            figures[f"{cell.classifier} {cell.perturbation} {cell.severity}"] = {
                "n": len(rows),
                "classes": manifest.classes,
                "accuracy": round(float(correct), 6),
                "d_p": None if manifest.gate is None else round(float(d_p), 6),
                "mean_logit": round(float(rows["logits"].map(lambda x: x.max()).mean()), 5),
                "evaluations": int(rows["evaluations"].sum()),
            }
    return figures
