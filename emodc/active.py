"""A picture in work: what a rule has seen of it, and what it asks for next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodc.decide import TIE, Ints, Rule, Seen, look
from emodc.estimates import Bools, Floats
from emodc.prepared import Prepared


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
    outstanding: int = 0
    winner: int = TIE

    @property
    def next_look(self) -> int:
        """The cells that the next look needs."""
        return self.looks[self.turn]

    def ask(self, count: int, shared_trunk: bool) -> list["Row"]:
        """Rows of the cells up to `count` that were not asked for before."""
        labels = [None] if shared_trunk else np.flatnonzero(self.alive).tolist()
        rows = [Row(self, cell, label) for cell in range(self.asked, count) for label in labels]
        self.asked = max(self.asked, count)
        self.outstanding += len(rows)
        return rows

    def file(self, cell: int, label: int | None, found: NDArray[np.float32]) -> None:
        """Keep the errors of a row: of all classes (K,), or of one (1,)."""
        if label is None:
            self.errors[:, cell] = found
        else:
            self.errors[label, cell] = found[0]
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

    `label` is the class to be scored; None means all of them.
    """

    active: Active
    cell: int
    label: int | None

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
