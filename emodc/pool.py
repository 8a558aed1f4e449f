"""Pictures in work, and the one queue that their rows share.

Micro-batches are cut from the queue. A picture that has been decided makes room for the next one,
so micro-batches stay full until the last pictures.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodc.decide import TIE, Ints, Rule, Seen, kept_cells, look, visited
from emodc.engine import Engine, errors_of_rows, halved
from emodc.estimates import Bools, Floats
from emodc.prepared import Prepared, noisy_rows, prepare

if TYPE_CHECKING:
    from emodc.classifier import EmoDC

#: Factors of errors, at least 0, of the shape of the timesteps (N, S) that they are for.
Weights = Callable[[NDArray[np.integer]], Floats]


@dataclass(eq=False)
class Active:
    """A picture in work.

    Attributes:
        index: Position among the pictures.
        picture: The encoded picture.
        cells: Positions in its grid, in the order of visiting, (S',).
        times: Timesteps of `cells`.
        scale: Weights of `cells`.
        looks: Counts of cells at which the rule looks.
        errors: float32 (K, S), on the grid; NaN where nothing was measured.
        alive: Classes in question, (K,).
        seen: Steps at which each class was measured, (K,).
        seconds: Spent so far.
        turn: Number of the next look.
        pending: Rows that are asked for and not yet measured.
        winner: Of the last look; the decision once it is decided.
    """

    index: int
    picture: Prepared
    cells: Ints
    times: NDArray[np.integer]
    scale: Floats
    looks: tuple[int, ...]
    errors: NDArray[np.float32]
    alive: Bools
    seen: Ints
    seconds: float = 0.0
    turn: int = 0
    pending: int = 0
    winner: int = TIE

    @property
    def key(self) -> tuple[int, int]:
        """Pictures of the same key can be looked at together."""
        return self.looks[self.turn], len(self.cells)

    def visited_errors(self) -> Floats:
        """Weighted errors up to the next look, float64 (K, n), in the order of visiting."""
        count = self.looks[self.turn]
        return self.errors[:, self.cells[:count]].astype(np.float64) * self.scale[:count]


@dataclass(frozen=True, eq=False)
class _Row:
    """A row of a micro-batch: a picture at a step; `label` None means all its classes."""

    active: Active
    step: int
    label: int | None = None


class Pool:
    """The pictures in work, and the queue of their rows."""

    def __init__(
        self,
        model: "EmoDC",
        rule: Rule,
        engine: Engine,
        weights: Weights | None,
        waiting: Iterator[tuple[Tensor, str]],
    ) -> None:
        self.model, self.rule, self.engine, self.weights = model, rule, engine, weights
        self.waiting, self.size = waiting, engine.rows
        self.queue: deque[_Row] = deque()
        self.admitted = 0
        with self.model.autocast():
            self.conditions = model.conditions()[slice(model.prompts.null_index)]

    def run(self) -> Iterator[Active]:
        """Decide all pictures; yields each as it is decided."""
        while self._filled():
            rows = [self.queue.popleft() for _ in range(min(self._capacity, len(self.queue)))]
            start = time.perf_counter()
            try:
                errors = self._errors(rows)
            except RuntimeError as error:
                self.size = halved(self.size, error)
                self.queue.extendleft(reversed(rows))
                continue
            decided = self._keep(rows, errors)
            share = (time.perf_counter() - start) / len(rows)
            for row in rows:
                row.active.seconds += share
            yield from decided

    @property
    def _templates(self) -> int:
        return len(self.model.prompts.templates)

    @property
    def _capacity(self) -> int:
        """Rows of the queue that make a micro-batch: a class has a network row per template."""
        shared = self.model.denoiser.shared_trunk
        return self.size if shared else max(1, self.size // self._templates)

    def _filled(self) -> bool:
        """Prepare as many pictures as a full micro-batch needs; whether there is any row."""
        while len(self.queue) < self._capacity:
            found = next(self.waiting, None)
            if found is None:
                break
            self._admit(*found)
        return bool(self.queue)

    def _admit(self, image: Tensor, name: str) -> None:
        """Put a picture to work."""
        start = time.perf_counter()
        model = self.model
        plan, classes = model.evaluation, len(model.classes)
        picture = prepare(model.denoiser, plan, image.to(model.denoiser.device), name)
        grid = picture.timesteps.numpy()
        weights = None if self.weights is None else self.weights(grid[None])
        [kept] = kept_cells(weights, 1, len(grid))
        cells = visited(self.rule, kept, plan.seed, name)
        active = Active(
            index=self.admitted,
            picture=picture,
            cells=cells,
            times=grid[cells],
            scale=np.ones(len(cells)) if weights is None else weights[0, cells].astype(np.float64),
            looks=self.rule.looks(len(cells)),
            errors=np.full((classes, len(grid)), np.nan, np.float32),
            alive=np.ones(classes, bool),
            seen=np.zeros(classes, np.intp),
        )
        self.admitted += 1
        active.seconds = time.perf_counter() - start
        self._ask(active)

    def _ask(self, active: Active) -> None:
        """Queue what a picture needs for its next look."""
        count = active.looks[active.turn]
        first = active.looks[active.turn - 1] if active.turn else 0
        steps = active.cells[first:count].tolist()
        if self.model.denoiser.shared_trunk:
            rows = [_Row(active, step) for step in steps]
        else:
            labels = np.flatnonzero(active.alive).tolist()
            rows = [_Row(active, step, label) for step in steps for label in labels]
        active.seen[active.alive] = count
        active.pending = len(rows)
        self.queue.extend(rows)

    def _errors(self, rows: list[_Row]) -> NDArray[np.float32]:
        """Errors of queued rows: of all classes (n, K), or of the row's own (n, 1)."""
        model = self.model
        denoiser, plan = model.denoiser, model.evaluation
        parts = [
            _noisy(model, active, [row.step for row in own])
            for active, own in groupby(rows, key=lambda row: row.active)
        ]
        noisy, times, noise = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        chosen = None
        if not denoiser.shared_trunk:
            labels = torch.tensor([row.label for row in rows], device=noisy.device)
            templates = torch.arange(self._templates, device=noisy.device)
            chosen = labels[:, None] * self._templates + templates
        with model.autocast():
            errors = errors_of_rows(
                denoiser,
                (noisy, times, noise),
                self.conditions,
                chosen,
                self._capacity,
            )
            errors = errors * denoiser.process.weight(times, plan.weighting)[:, None]
        by_template = errors.unflatten(1, (-1, self._templates))
        found: NDArray[np.float32] = by_template.mean(dim=2).float().cpu().numpy()
        return found

    def _keep(self, rows: list[_Row], errors: NDArray[np.float32]) -> list[Active]:
        """File errors, and look at the pictures that have all they asked for; those decided."""
        for row, found in zip(rows, errors, strict=True):
            active = row.active
            if row.label is None:
                active.errors[active.alive, row.step] = found[active.alive]
            else:
                active.errors[row.label, row.step] = found[0]
            active.pending -= 1
        ready = {row.active: None for row in rows if not row.active.pending}
        alike = groupby(sorted(ready, key=lambda a: a.key), key=lambda a: a.key)
        return [active for _, actives in alike for active in self._decided(list(actives))]

    def _decided(self, ready: list[Active]) -> list[Active]:
        """Look at pictures with equally many cells, seen and in all; the others go on."""
        seen = Seen(
            np.stack([active.visited_errors() for active in ready]),
            np.stack([active.alive for active in ready]),
            np.stack([active.times for active in ready]),
            np.stack([active.scale for active in ready]),
        )
        stay, winners, done = look(self.rule, seen, seen.n == ready[0].looks[-1])
        for row, active in enumerate(ready):
            active.alive, active.winner = stay[row], int(winners[row])
            if not done[row]:
                active.turn += 1
                self._ask(active)
        return [active for active, end in zip(ready, done, strict=True) if end]


def _noisy(model: "EmoDC", active: Active, steps: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of one picture; classes at one step share its noise, which is drawn once."""
    unique = list(dict.fromkeys(steps))
    rows = noisy_rows(model.denoiser, model.evaluation, active.picture, unique)
    if len(unique) == len(steps):
        return rows
    at = torch.tensor([unique.index(step) for step in steps], device=rows[0].device)
    noisy, times, noise = (tensor[at] for tensor in rows)
    return noisy, times, noise
