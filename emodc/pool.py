"""Pictures in work, and the one queue that their rows share.

Micro-batches are cut from the queue. A picture that has been decided makes room for the next one,
so micro-batches stay full until the last pictures; what room is left then is given to the cells
that these would visit next. Rows computed so in advance cost nothing, for their places would be
filled with copies; the rule sees them only when it asks for them, and they count only then.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emodc.active import Active, Row, look_at
from emodc.decide import Rule, visited
from emodc.engine import Engine, errors_of_rows, halved
from emodc.estimates import Floats
from emodc.orders import cell_weights
from emodc.prepared import noisy_rows, prepare

if TYPE_CHECKING:
    from emodc.classifier import EmoDC

#: Factors of errors, at least 0, of the shape of the timesteps (N, S) that they are for.
Weights = Callable[[NDArray[np.integer]], Floats]


class Pool:
    """Decides pictures together.

    Args:
        model: Measures.
        rule: Decides.
        engine: How micro-batches are computed.
        weights: Factors of errors by timestep.
        waiting: Pictures, float32 (3, H, W) in [0, 1], and their sample ids; taken as there is room
            for them.

    Attributes:
        size: Network rows of a micro-batch.
    """

    def __init__(
        self,
        model: "EmoDC",
        rule: Rule,
        engine: Engine,
        weights: Weights | None,
        waiting: Iterator[tuple[Tensor, str]],
    ) -> None:
        self.model, self.rule, self.weights, self.waiting = model, rule, weights, waiting
        self.size = engine.rows
        self._queue: deque[Row] = deque()
        self._admitted = 0
        self._shared_trunk = model.denoiser.shared_trunk
        self._templates = len(model.prompts.templates)
        self._width = 1 if self._shared_trunk else self._templates
        with model.autocast():
            self._conditions = model.conditions()[slice(model.prompts.null_index)]

    def run(self) -> Iterator[Active]:
        """Decide all pictures; yields each as it is decided."""
        while self._filled():
            start = time.perf_counter()
            rows = self._cut()
            try:
                errors = self._errors(rows)
            except RuntimeError as error:
                self.size = halved(self.size, error, self._width)
                self._queue.extendleft(reversed(rows))
                continue
            for row, found in zip(rows, errors, strict=True):
                row.active.file(row.cell, row.label, found)
            whole = {row.active: None for row in rows if not row.active.outstanding}
            decided = self._looked(list(whole))
            share = (time.perf_counter() - start) / len(rows)
            for row in rows:
                row.active.seconds += share
            yield from decided

    @property
    def _capacity(self) -> int:
        """Rows of a micro-batch; without a shared trunk each is a network row per template."""
        return max(1, self.size // self._width)

    def _filled(self) -> bool:
        """Prepare as many pictures as a full micro-batch needs; whether there is any row."""
        while len(self._queue) < self._capacity:
            found = next(self.waiting, None)
            if found is None:
                break
            self._admit(*found)
        return bool(self._queue)

    def _admit(self, image: Tensor, name: str) -> None:
        """Put a picture to work."""
        start = time.perf_counter()
        model = self.model
        plan, classes = model.evaluation, len(model.classes)
        picture = prepare(model.denoiser, plan, image.to(model.denoiser.device), name)
        grid = picture.timesteps.numpy()
        weights = None if self.weights is None else self.weights(grid[None])
        [factors] = cell_weights(weights, 1, len(grid))
        cells = visited(self.rule, grid, factors, plan.seed, name)
        active = Active(
            index=self._admitted,
            picture=picture,
            cells=cells,
            scale=factors[cells],
            looks=self.rule.looks(len(cells)),
            errors=np.full((classes, len(cells)), np.nan, np.float32),
            alive=np.ones(classes, bool),
            seen=np.zeros(classes, np.intp),
        )
        self._admitted += 1
        self._queue.extend(active.ask(active.next_look, self._shared_trunk))
        active.seconds = time.perf_counter() - start

    def _cut(self) -> list[Row]:
        """The rows of the next micro-batch, picture by picture."""
        rows = [self._queue.popleft() for _ in range(min(self._capacity, len(self._queue)))]
        room = self._capacity - len(rows)
        actives = dict.fromkeys(row.active for row in rows)
        for others, active in zip(range(len(actives), 0, -1), actives, strict=True):
            width = 1 if self._shared_trunk else int(active.alive.sum())
            count = min(active.asked + room // others // width, active.looks[-1])
            ahead = active.ask(count, self._shared_trunk)
            rows += ahead
            room -= len(ahead)
        return sorted(rows, key=lambda row: row.active.index)

    def _errors(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Errors of rows: of all classes (n, K), or of the row's own (n, 1)."""
        denoiser, plan = self.model.denoiser, self.model.evaluation
        parts = [
            self._noisy(active, [row.step for row in own])
            for active, own in groupby(rows, key=lambda row: row.active)
        ]
        noisy, times, noise = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        chosen = None
        if not self._shared_trunk:
            labels = torch.tensor([row.label for row in rows], device=noisy.device)
            templates = torch.arange(self._templates, device=noisy.device)
            chosen = labels[:, None] * self._templates + templates
        with self.model.autocast():
            errors = errors_of_rows(
                denoiser, (noisy, times, noise), self._conditions, chosen, self._capacity
            )
            errors = errors * denoiser.process.weight(times, plan.weighting)[:, None]
        by_template = errors.unflatten(1, (-1, self._templates))
        found: NDArray[np.float32] = by_template.mean(dim=2).float().cpu().numpy()
        return found

    def _noisy(self, active: Active, steps: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of one picture; classes at one step share its noise, which is drawn once."""
        unique = list(dict.fromkeys(steps))
        rows = noisy_rows(self.model.denoiser, self.model.evaluation, active.picture, unique)
        if len(unique) == len(steps):
            return rows
        at = torch.tensor([unique.index(step) for step in steps], device=rows[0].device)
        noisy, times, noise = (tensor[at] for tensor in rows)
        return noisy, times, noise

    def _looked(self, actives: list[Active]) -> list[Active]:
        """Look at pictures as often as what is measured allows; those decided."""
        decided: list[Active] = []
        while actives:
            due = [active for active in actives if active.next_look <= active.asked]
            for active in actives:
                if active.next_look > active.asked:
                    self._queue.extend(active.ask(active.next_look, self._shared_trunk))
            actives = []
            for _, group in groupby(sorted(due, key=_alike), key=_alike):
                own = list(group)
                for active, ended in zip(own, look_at(self.rule, own), strict=True):
                    (decided if ended else actives).append(active)
        return decided


def _alike(active: Active) -> tuple[int, int]:
    """Pictures of one key can be looked at together."""
    return active.next_look, len(active.cells)
