"""Attacks on classifiers that draw noise anew, judged on several draws (noise policy B).

EmoDC's noise is a public bank by default: the attacker knows it, and the verdict is a function of
the picture (policy A). Under this policy each query of the attack draws its own noise, and so does
each of the verdicts, of which there are ten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from bench.perturb.attacks.base import Attack
from bench.perturb.base import Address, Batch, Measurable, Perturbation

DRAWS = 10


@dataclass(frozen=True)
class FreshNoise(Perturbation):
    """Rows are verdicts: `draws` of each picture, each on noise of its own.

    Attributes:
        attack: What is done to the pictures; None leaves them clean, which says what the same
            number of draws costs without an attack.
        draws: Verdicts on each picture.
    """

    attack: Attack | None = None
    draws: int = DRAWS
    family = "draws"
    limit = "attack_limit"

    @property
    def name(self) -> str:  # type: ignore[override]
        """The attack's."""
        return "clean" if self.attack is None else self.attack.name

    @property
    def source(self) -> str:  # type: ignore[override]
        """The attack's."""
        return "" if self.attack is None else self.attack.source

    @property
    def evaluation_fields(self) -> frozenset[str]:  # type: ignore[override]
        """The attack's."""
        return frozenset() if self.attack is None else self.attack.evaluation_fields

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The attack's."""
        return ("0",) if self.attack is None else self.attack.usual_levels

    @property
    def queries(self) -> int:
        """A row's share of the attack's."""
        return 0 if self.attack is None else -(-self.attack.queries // self.draws)

    @property
    def every_step(self) -> bool:
        """Whether the attack asks for every step."""
        return self.attack is not None and self.attack.every_step

    @override
    def level(self, asked: Any) -> str:
        return super().level(asked) if self.attack is None else self.attack.level(asked)

    @override
    def parameters(self) -> dict[str, Any]:
        own = {"name": self.name} if self.attack is None else self.attack.parameters()
        return own | {"noise": "fresh", "draws": self.draws}

    @override
    def rows(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"{name}#{draw}" for name in sample_ids for draw in range(self.draws))

    @override
    def sample_of(self, row: str) -> str:
        return row.rpartition("#")[0]

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """A picture is attacked once for all of its rows in a batch."""
        if self.attack is None:
            return list(batch.pictures)
        places: dict[str, int] = {}
        for place, row in enumerate(batch.ids):
            places.setdefault(self.sample_of(row), place)
        once = Batch(
            [batch.pictures[place] for place in places.values()],
            list(places),
            [batch.labels[place] for place in places.values()],
        )
        changed = self.attack.applied(once, level, address, classifier, fresh=True)
        found = dict(zip(places, changed, strict=True))
        return [found[self.sample_of(row)] for row in batch.ids]
