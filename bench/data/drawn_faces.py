"""The embedded data set: drawn faces, generated on first use and cached on disk.

Train, validation and test are disjoint by identity. The set is never shipped and always the same:
a picture is a function of (seed, split, index, difficulty, set of expressions, domain).
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.data import faces
from bench.data.base import Sample, Split
from bench.data.drawn import RENDERER_VERSION, DrawnDataSet
from bench.errors import unknown


class DrawnFaces(DrawnDataSet):
    """Drawn faces of basic or compound expressions, 64x64.

    Args:
        sizes: Pictures per split.
        difficulty: A name in `faces.DIFFICULTIES`.
        seed: Another seed is another set of the same kind.
        expressions: A name in `faces.EXPRESSION_SETS`; no person is in two of these sets.
        domain: A name in `faces.DOMAINS`: the room and the camera.

    Raises:
        UserError: For a name that does not exist.
    """

    classes = faces.EXPRESSIONS
    kind = "drawn faces"
    chunk = 175

    def __init__(
        self,
        sizes: dict[Split, int],
        difficulty: str = "default",
        seed: int = 0,
        expressions: str = "basic",
        domain: str = "default",
    ) -> None:
        if expressions not in faces.EXPRESSION_SETS:
            raise unknown("set of expressions", expressions, faces.EXPRESSION_SETS)
        if difficulty not in faces.DIFFICULTIES:
            raise unknown("difficulty of drawn faces", difficulty, faces.DIFFICULTIES)
        self.difficulty, self.expressions = difficulty, expressions
        self.classes = faces.EXPRESSION_SETS[expressions]
        name = "faces" if expressions == "basic" else f"faces_{expressions}"
        name = name if difficulty == "default" else f"{name}_{difficulty}"
        super().__init__(name, sizes, seed, domain)

    def picture(self, sample: Sample) -> np.ndarray:
        """The picture, from the cache."""
        split, index = self._address(sample)
        picture: np.ndarray = self.pictures(split)[index]
        return picture

    def _face(self, sample: Sample) -> faces.Face:
        split, index = self._address(sample)
        return faces.sample_face(
            self.seed, split, index, self._difficulty, self.expressions, self._domain
        )

    def _drawing(self) -> list[object]:
        settings: list[object] = [
            RENDERER_VERSION, dataclasses.asdict(self._difficulty), self.seed
        ]  # fmt: skip
        # Defaults stay out: checkpoints are addressed by the digests of older sets.
        if self.expressions != "basic":
            settings.append(self.expressions)
        if self.domain != "default":
            settings.append(dataclasses.asdict(self._domain))
        return settings

    def _pictures_in(self, split: Split) -> int:
        return self.sizes[split]

    def _draw(self, split: Split) -> Callable[[range], np.ndarray]:
        return partial(
            faces.generate,
            self.seed,
            split,
            difficulty=self._difficulty,
            expressions=self.expressions,
            domain=self._domain,
        )

    @property
    def _difficulty(self) -> faces.Difficulty:
        return faces.DIFFICULTIES[self.difficulty]
