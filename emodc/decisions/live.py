"""Decisions while measuring: how a network is run, and what each picture asks for next.

Micro-batches have few shapes, and which one a row is in depends on its picture alone, so that on a
CPU the result of a row does not depend on its neighbours, to the last bit: matrix products of one
shape add in one order. It also is what `torch.compile` with static shapes and a GPU's kernels ask
for.
"""

import contextlib
import os
import shutil
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from emodc.analysis import Bools, Floats
from emodc.decisions.decide import TIE, Decisions, Ints, Rule, Seen, cell_weights, look, visited
from emodc.diffusion.denoiser import Conditions, Denoiser, Picture, as_tensors, pixel_address
from emodc.diffusion.measuring import Prepared, Trace, in_units, noisy_rows, prepare
from emodc.diffusion.noise_aware import Noised
from emodc.settings import EngineSettings

if TYPE_CHECKING:
    from emodc.classifier import EmoDC


@dataclass(frozen=True)
class Engine(EngineSettings):
    """How micro-batches are computed. What they are computed in is `Evaluation.precision`.

    Attributes:
        fused_attention: Let PyTorch choose a fused kernel for scaled dot-product attention;
            otherwise it is written out as matrix products.
    """

    fused_attention: bool = True

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"a micro-batch has at least one row, not {self.rows}")

    @contextlib.contextmanager
    def applied(self, denoiser: Denoiser) -> Iterator[None]:
        """Run `denoiser` with these switches; afterwards they are off.

        Raises:
            ValueError: If it is to be compiled on a CPU without a C++ compiler.
        """
        network, name = denoiser.network, denoiser.network_method
        with contextlib.ExitStack() as undo:
            if not self.fused_attention:
                undo.enter_context(sdpa_kernel(SDPBackend.MATH))
            if self.channels_last:
                network.to(memory_format=torch.channels_last)
                undo.callback(network.to, memory_format=torch.contiguous_format)
            if self.compile:
                require_compiler(denoiser.device)
                setattr(network, name, torch.compile(getattr(network, name), dynamic=False))
                undo.callback(delattr, network, name)
            yield


def errors_of_rows(
    denoiser: Denoiser,
    rows: Noised,
    conditions: Conditions,
    chosen: Tensor | None,
    size: int,
) -> Tensor:
    """Errors of at most `size` rows, computed as exactly `size`: the last one is repeated.

    Args:
        denoiser: Scores the rows.
        rows: n noisy pictures.
        conditions: Of P prompts.
        chosen: The prompts of each row, int64 (n, M); all if None.
        size: Rows of the micro-batch.

    Returns:
        float32 (n, M).
    """
    count = len(rows.noisy)
    padded = torch.arange(size, device=rows.noisy.device).clamp_max(count - 1)
    if chosen is not None:
        chosen = chosen[padded]
    noisy, times, target = rows.noisy[padded], rows.timesteps[padded], rows.target[padded]
    return denoiser.errors(noisy, times, target, conditions, chosen)[:count]


def halved(size: int, error: RuntimeError, least: int = 1) -> int:
    """The size of the next micro-batches after `error`; says that it was halved.

    Args:
        size: Network rows of the micro-batch that failed.
        error: Why it did.
        least: Network rows that stay together: the templates of a class.

    Raises:
        RuntimeError: The error itself, if memory was not what ran out.
        MemoryError: If there is nothing left to halve.
    """
    if not _out_of_memory(error):
        raise error
    if size < 2 * least:
        raise MemoryError(
            "there is not enough memory for even the smallest micro-batch, one picture at one "
            "step. Use a smaller network, bfloat16, fewer templates, or a device with more memory."
        ) from error
    warnings.warn(
        f"out of memory with {size} rows at a time: going on with {size // 2}. Set Engine(rows="
        f"{size // 2}) to begin there.",
        RuntimeWarning,
        stacklevel=2,
    )
    return size // 2


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether a CUDA or CPU allocator had nothing left; the latter has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def require_compiler(device: torch.device) -> None:
    """Refuse to compile for a CPU without a C++ compiler.

    Raises:
        ValueError: Naming the compiler that is looked for.
    """
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ValueError(
            f"compile=True needs a C++ compiler on a CPU, and {compiler!r} is not there. Install "
            "one, name yours in the environment variable CXX, or leave `compile` off."
        )


# ------------------------------------------------------------------------------------------------
# A picture in work: what a rule has seen of it, and what it asks for next
# ------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Active:
    """A picture in work. Its S' cells stand in the order of visiting.

    Attributes:
        index: Position among the pictures.
        picture: The encoded picture.
        cells: Positions in its grid, (S',).
        scale: Weights, (S',).
        looks: Counts of cells at which the rule looks.
        errors: Of all that was measured, float32 (K, S').
        alive: Classes in question, (K,).
        seen: Cells that the rule asked for, of each class, (K,).
        seconds: Spent so far.
        turn: Number of the next look.
        asked: Cells that rows were made for; more than the next look needs where a micro-batch
            had room.
        width: Classes that a row of its next cells scores.
        outstanding: Rows that are not measured yet.
        winner: Of the last look; the decision once it is decided.
    """

    index: int
    picture: Prepared
    cells: Ints
    scale: Floats
    looks: tuple[int, ...]
    errors: NDArray[np.float32]
    alive: Bools
    seen: Ints
    seconds: float = 0.0
    turn: int = 0
    asked: int = 0
    width: int = 0
    outstanding: int = 0
    winner: int = TIE

    @property
    def next_look(self) -> int:
        """The cells that the next look needs."""
        return self.looks[self.turn]

    def ask(self, count: int, each: Sequence[tuple[int, ...]]) -> list["Row"]:
        """Rows of the cells up to `count` that were not asked for before.

        Args:
            count: Cells.
            each: The classes of each row of a cell.
        """
        rows = [Row(self, cell, labels) for cell in range(self.asked, count) for labels in each]
        self.asked = max(self.asked, count)
        self.outstanding += len(rows)
        return rows

    def file(self, cell: int, labels: tuple[int, ...], found: NDArray[np.float32]) -> None:
        """Keep the errors of a row, (M,), of its M classes."""
        self.errors[list(labels), cell] = found
        self.outstanding -= 1

    def known(self, count: int) -> NDArray[np.float32]:
        """What the rule may know of the first `count` cells, (K, count); NaN for the rest."""
        return np.where(self.seen[:, None] > np.arange(count), self.errors[:, :count], np.nan)

    def on_grid(self) -> NDArray[np.float32]:
        """All that the rule asked for, float32 (K, S) on the grid; NaN elsewhere."""
        grid = np.full((len(self.errors), len(self.picture.timesteps)), np.nan, np.float32)
        grid[:, self.cells] = self.known(len(self.cells))
        return grid


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a micro-batch: a cell of a picture, by order of visiting.

    `labels` are the classes to be scored.
    """

    active: Active
    cell: int
    labels: tuple[int, ...]

    @property
    def step(self) -> int:
        """The cell's position in the grid."""
        return int(self.active.cells[self.cell])


def look_at(rule: Rule, actives: list[Active]) -> list[bool]:
    """Let the rule look at pictures with equally many cells, seen and in all.

    Returns:
        Which are decided.
    """
    count = actives[0].next_look
    for active in actives:
        active.seen[active.alive] = count
    scale = np.stack([active.scale for active in actives])
    seen = Seen(
        np.stack([active.known(count) for active in actives]).astype(np.float64)
        * scale[:, None, :count],
        np.stack([active.alive for active in actives]),
        np.stack([active.picture.timesteps.numpy()[active.cells] for active in actives]),
        scale,
    )
    stay, winners, decided = look(rule, seen, count == actives[0].looks[-1])
    for row, active in enumerate(actives):
        active.alive, active.winner = stay[row], int(winners[row])
        active.turn += 1
    return decided.tolist()


# ------------------------------------------------------------------------------------------------
# Pictures in work, and the queues that their rows share: one for each number of classes that a row
# scores.
#
# Micro-batches are cut from a queue. A picture that has been decided makes room for the next one,
# so micro-batches stay full until the last pictures; what room is left then is given to the cells
# that these would visit next. Rows computed so in advance cost nothing: their places would be
# filled with copies; the rule sees them only when it asks for them, and they count only then.


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
        self._queues: dict[int, deque[Row]] = {}
        self._admitted = 0
        self._shared_trunk = model.denoiser.shared_trunk
        self._templates = len(model.prompts.templates)
        self._width = 1 if self._shared_trunk else self._templates
        self._scored = _scored_together(len(model.classes), model.denoiser)
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
                self._queues[len(rows[0].labels)].extendleft(reversed(rows))
                continue
            for row, found in zip(rows, errors, strict=True):
                row.active.file(row.cell, row.labels, found)
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
        while all(len(queue) < self._capacity for queue in self._queues.values()):
            found = next(self.waiting, None)
            if found is None:
                break
            self._admit(*found)
        return any(self._queues.values())

    def _ask(self, active: Active, count: int) -> list[Row]:
        """Rows of a picture's cells up to `count`, of the classes that are in question."""
        alive = np.flatnonzero(active.alive).tolist()
        if not self._shared_trunk:
            return active.ask(count, [(label,) for label in alive])
        if active.width == len(active.alive):
            return active.ask(count, [tuple(range(active.width))])
        return active.ask(count, [(*alive, *alive[-1:] * (active.width - len(alive)))])

    def _width_of(self, active: Active) -> int:
        """How many classes a row of a picture scores."""
        alive = int(active.alive.sum())
        return next(w for w in self._scored if w >= alive) if self._shared_trunk else 1

    def _put(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._queues.setdefault(len(row.labels), deque()).append(row)

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
        active.width = self._width_of(active)
        self._put(self._ask(active, active.next_look))
        active.seconds = time.perf_counter() - start

    def _cut(self) -> list[Row]:
        """The rows of the next micro-batch, picture by picture."""
        queue = max(self._queues.values(), key=len)
        rows = [queue.popleft() for _ in range(min(self._capacity, len(queue)))]
        room = self._capacity - len(rows)
        actives = dict.fromkeys(row.active for row in rows)
        for others, active in zip(range(len(actives), 0, -1), actives, strict=True):
            each = 1 if self._shared_trunk else int(active.alive.sum())
            count = min(active.asked + room // others // each, active.looks[-1])
            ahead = self._ask(active, count)
            rows += ahead
            room -= len(ahead)
        return sorted(rows, key=lambda row: row.active.index)

    def _errors(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Errors of rows of as many classes, (n, M)."""
        denoiser, plan = self.model.denoiser, self.model.evaluation
        parts = [
            self._noisy(active, [row.step for row in own])
            for active, own in groupby(rows, key=lambda row: row.active)
        ]
        found = Noised(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        chosen = None
        if len(rows[0].labels) < len(self.model.classes):
            labels = torch.tensor([row.labels for row in rows], device=found.noisy.device)
            templates = torch.arange(self._templates, device=found.noisy.device)
            chosen = (labels[..., None] * self._templates + templates).flatten(1)
        with self.model.autocast():
            errors = errors_of_rows(denoiser, found, self._conditions, chosen, self._capacity)
            errors = in_units(denoiser, plan, errors, found)
        by_template = errors.unflatten(1, (-1, self._templates))
        means: NDArray[np.float32] = by_template.mean(dim=2).float().cpu().numpy()
        return means

    def _noisy(self, active: Active, steps: list[int]) -> Noised:
        """Rows of one picture; classes at one step share its noise, which is drawn once."""
        unique = list(dict.fromkeys(steps))
        rows = noisy_rows(self.model.denoiser, self.model.evaluation, active.picture, unique)
        if len(unique) == len(steps):
            return rows
        at = torch.tensor([unique.index(step) for step in steps], device=rows.noisy.device)
        return Noised(*(tensor[at] for tensor in rows))

    def _looked(self, actives: list[Active]) -> list[Active]:
        """Look at pictures as often as what is measured allows; those decided."""
        decided: list[Active] = []
        while actives:
            due = [active for active in actives if active.next_look <= active.asked]
            for active in actives:
                if active.next_look > active.asked:
                    self._put(self._ask(active, active.next_look))
            actives = []
            for _, group in groupby(sorted(due, key=_alike), key=_alike):
                own = list(group)
                for active, ended in zip(own, look_at(self.rule, own), strict=True):
                    (decided if ended else actives).append(active)
                    width = self._width_of(active)
                    if width < active.width:  # what was measured ahead had another shape
                        active.width, active.asked = width, int(active.seen.max())
        return decided


def _scored_together(classes: int, denoiser: Denoiser) -> list[int]:
    """How many of K classes a row of a shared trunk may score.

    Powers of 2 and all of them: each one is a shape of micro-batches that a compiler compiles and
    that pictures have to fill. Only all in a control, where one more costs nothing.
    """
    fewer = (classes - 1).bit_length() if denoiser.predicts_noise else 0
    return [*(2**power for power in range(1, fewer)), classes]


def _alike(active: Active) -> tuple[int, int]:
    """Pictures of one key can be looked at together."""
    return active.next_look, len(active.cells)


# ------------------------------------------------------------------------------------------------
# Decisions made live: only what a rule asks for is measured.
#
#     pictures -> cells up to the next look, surviving classes -> rows -> micro-batches -> look ->
#     ...
#
# Looks are those of `emodc.decisions.decide`: on the same errors, live and replay decide alike.


@dataclass(frozen=True)
class Verdict:
    """What a rule decided of B pictures, and what it took.

    Attributes:
        labels: Names of the winning classes, B; None for a tie.
        decisions: Winners, evaluations and steps; see `emodc.decisions.decide.Decisions`.
        trace: All that was measured; NaN elsewhere.
        seconds: Of each picture (B,): its share of the micro-batches it had rows in, by rows, and
            its own encoding.
        rows: Size of the last micro-batch: what is left of `Engine.rows` when memory ran out.
    """

    labels: tuple[str | None, ...]
    decisions: Decisions
    trace: Trace
    seconds: Floats
    rows: int

    def __str__(self) -> str:
        """A line per picture, such as "0: happiness, 84 evaluations at 12 steps, 0.031 s"."""
        each = zip(
            self.labels, self.decisions.evaluations, self.decisions.steps, self.seconds, strict=True
        )
        return "\n".join(
            f"{i}: {label or 'tie'}, {count} evaluations at {steps} steps, {seconds:.3f} s"
            for i, (label, count, steps, seconds) in enumerate(each)
        )


def decide(
    model: "EmoDC",
    images: Tensor | Sequence[Picture],
    ids: Sequence[str] | None,
    rule: Rule,
    engine: Engine,
    weights: Weights | None,
) -> Verdict:
    """Decide pictures while they are measured; the body of `EmoDC.decide`."""
    count, classes, steps = len(images), len(model.classes), model.evaluation.steps
    if ids is not None and len(ids) != count:
        raise ValueError(f"{count} images but {len(ids)} sample ids")
    pool = Pool(model, rule, engine, weights, _named(images, ids))
    winner, seen = np.full(count, TIE, np.intp), np.zeros((count, classes), np.intp)
    errors = np.full((count, classes, steps), np.nan, np.float32)
    timesteps, seconds = torch.zeros((count, steps), dtype=torch.int64), np.zeros(count)
    with torch.no_grad(), engine.applied(model.denoiser):
        for done in pool.run():
            winner[done.index], seen[done.index] = done.winner, done.seen
            errors[done.index], timesteps[done.index] = done.on_grid(), done.picture.timesteps
            seconds[done.index] = done.seconds
    return Verdict(
        labels=tuple(None if w == TIE else model.classes[w] for w in winner.tolist()),
        decisions=Decisions(winner, seen),
        trace=Trace(torch.from_numpy(errors), timesteps, model.classes),
        seconds=seconds,
        rows=pool.size,
    )


def _named(
    images: Tensor | Sequence[Picture], ids: Sequence[str] | None
) -> Iterator[tuple[Tensor, str]]:
    """Pictures as tensors with their names, each when its turn comes."""
    for index in range(len(images)):
        [picture] = as_tensors(images[index : index + 1])
        yield picture, pixel_address(picture) if ids is None else ids[index]
