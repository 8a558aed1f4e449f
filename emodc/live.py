"""Decisions made live: only what a rule asks for is measured.

    pictures -> cells up to the next look, surviving classes -> rows -> micro-batches -> look -> ...

Looks are those of `emodc.decide`: on the same errors, live and replay decide alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from emodc.decide import TIE, Decisions, Rule
from emodc.engine import Engine
from emodc.estimates import Floats
from emodc.evaluation import Trace
from emodc.images import Picture, as_tensors, pixel_address
from emodc.pool import Pool, Weights

if TYPE_CHECKING:
    from emodc.classifier import EmoDC


@dataclass(frozen=True)
class Verdict:
    """What a rule decided of B pictures, and what it took.

    Attributes:
        labels: Names of the winning classes, B; None for a tie.
        decisions: Winners, evaluations and steps; see `emodc.decide.Decisions`.
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


def decide(
    model: "EmoDC",
    images: Tensor | Sequence[Picture],
    ids: Sequence[str] | None,
    rule: Rule,
    engine: Engine,
    weights: Weights | None,
) -> Verdict:
    """See `EmoDC.decide`."""
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
