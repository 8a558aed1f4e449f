"""What a perturbation is; clean pictures, and kernels with severities or continuous levels."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from typing_extensions import override

from bench.perturb.corruptions import blur, noise
from bench.perturb.corruptions.loops import checked
from bench.store.cells import FAMILIES, FamilyName
from bench.util import rng
from bench.util.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.base import DataSet, Sample

SEVERITIES = (1, 2, 3, 4, 5)

#: Pictures in a pass of a network whose rows do not depend on each other, on a CPU.
ROWS = 8

Kernel = Callable[..., np.ndarray]
"""(pictures uint8 (N, H, W, 3), **constants[, draws]) -> uint8 (N, H, W, 3)."""


@dataclass(frozen=True)
class Batch:
    """Pictures to be perturbed.

    Attributes:
        pictures: uint8 RGB (H, W, 3) each, of any sizes, (N,); of clips (T, H, W, 3).
        ids: Of the rows that they become, (N,).
        labels: Names of their classes, (N,).
        notes: What a perturbation has to say of a row, by its id; it is written here.
        rule: What decides early on the pictures, for a perturbation that is aimed at it.
    """

    pictures: Sequence[np.ndarray]
    ids: Sequence[str]
    labels: Sequence[str]
    notes: dict[str, Any] = field(default_factory=dict)
    rule: Any = None


@dataclass(frozen=True)
class Address:
    """With a row's id and the perturbation, the address of all draws.

    Attributes:
        seed: Of the run, not of training: all trainings meet the same pictures.
        dataset: Name of the data set.
    """

    seed: int
    dataset: str


class Measurable(Protocol):
    """What perturbations ask of a classifier; see `bench.classifiers.base.Classifier`."""

    classes: tuple[str, ...]
    shares_batches: bool

    def attack_target(self, sample_id: str, every_step: bool = False, fresh: bool = False) -> Any:
        """A torch module that is differentiated: images -> logits.

        At every step of a classifier with steps, and with noise of its own each time, if asked.
        """

    def measure(self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Any = None) -> Any:
        """Logits, traces and costs of pictures."""

    def measure_views(self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Any) -> Any:
        """The same of several views of each picture."""


def filled(images: "Tensor", rows: int = ROWS) -> "Tensor":
    """At most `rows` images (N, 3, H, W) as a batch of `rows`: those beyond N repeat the last.

    Sums of batches of another size, or in another order of memory, differ in their last bits.
    """
    last = len(images) - 1
    return images[[min(row, last) for row in range(rows)]].contiguous()


class Perturbation(ABC):
    """What is done to which pictures before a classifier sees them, and how it is measured.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        family: Its label in tables, which `bench.store.cells.FAMILIES` describes.
        split: Whose pictures it is about.
        limit: Which field of a config's `perturbations` limits its samples; empty: none.
        evaluation_fields: What it alone reads of a classifier's plan of evaluation.
        shared: Whether its pictures are kept for the next classifier while a sweep lasts.
        clips_only: Whether it is about frames of clips, so that pictures do not meet it.
        source: Another classifier of the run whose answers it needs; empty: the one measured.
        queries: Gradients that each picture costs.
        every_step: Whether each gradient of a classifier with steps measures all of them.
        user_code: Whether planning imports and tries code of the user's.
        at_rule: Whether it is aimed at the rule that decides early, and has to know it.
    """

    name: str
    source: str = ""
    family: ClassVar[FamilyName]
    split: ClassVar[Literal["val", "test"]] = "test"
    limit: ClassVar[str] = ""
    evaluation_fields: ClassVar[frozenset[str]] = frozenset()
    shared: ClassVar[bool] = False
    clips_only: ClassVar[bool] = False
    user_code: ClassVar[bool] = False
    at_rule: ClassVar[bool] = False

    @property
    @abstractmethod
    def usual_levels(self) -> tuple[str, ...]:
        """The levels of a run that names none, as cells and tables have them."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What determines the pictures besides level and address; for cell ids and reports."""

    def inputs(self, level: str) -> dict[str, Any]:
        """The same at one level: what a cell's id digests of a perturbation."""
        return self.parameters() | {"severity": level}

    @abstractmethod
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """Perturbed pictures, uint8 (H, W, 3); each depends on itself, its id and address alone.

        Args:
            batch: The pictures.
            level: As cells and tables have it.
            address: With ids and level, the address of all draws.
            classifier: What is attacked; None where the perturbation is model-free.
        """

    def level(self, asked: Any) -> str:
        """A level that a config asks for, as cells and tables have it.

        Raises:
            ValueError: If there is no such level.
        """
        text = str(asked)
        if text not in self.usual_levels:
            what = FAMILIES[self.family].strength or "level"
            raise ValueError(
                f"{self.name} has no {what} {text}; it has {', '.join(self.usual_levels)}"
            )
        return text

    def missing(self) -> str:
        """What has to be installed before it can be applied, in a sentence; empty: nothing."""
        return ""

    def of_clips(self) -> "Perturbation":
        """The same of clips, `bench.perturb.clips`.

        Raises:
            UserError: If it is one of pictures alone.
        """
        raise UserError(f"{self.name} changes pictures, and a run with `clips` has none.")

    @property
    def of_pictures(self) -> "Perturbation":
        """What it is of pictures, for the perturbations that `of_clips` makes; else itself."""
        return self

    def read(
        self, dataset: "DataSet", sample: "Sample", level: str, address: Address
    ) -> np.ndarray:
        """What is perturbed of a sample: its picture (H, W, 3), or its clip (T, H, W, 3).

        Raises:
            UnreadablePicture: If it can no longer be read.
        """
        del level, address
        return dataset.shown(sample)

    @property
    def queries(self) -> int:
        """Gradients that each picture costs."""
        return 0

    @property
    def every_step(self) -> bool:
        """Whether each gradient of a classifier with steps measures all of them."""
        return self.queries == 1

    def looks(self, level: str) -> int:
        """How many pictures a classifier sees for a row."""
        del level
        return 1

    def rows(self, sample_ids: Sequence[str]) -> tuple[str, ...]:
        """Ids of the rows that samples become."""
        return tuple(sample_ids)

    def sample_of(self, row: str) -> str:
        """Which sample a row is about."""
        return row

    def measure(
        self,
        classifier: Measurable,
        pictures: Sequence[np.ndarray],
        ids: Sequence[str],
        level: str,
        address: Address,
        rule: Any,
    ) -> Any:
        """What a classifier says of perturbed pictures, a `bench.classifiers.base.Measurement`.

        Args:
            classifier: The classifier.
            pictures: From `apply`.
            ids: Of their rows.
            level: As of `apply`.
            address: As of `apply`.
            rule: What decides while measuring; None measures everything.
        """
        del level, address
        return classifier.measure(pictures, ids, rule)


@dataclass(frozen=True)
class Clean(Perturbation):
    """Pictures as they are: of the test split."""

    name: str = "clean"
    family: ClassVar[FamilyName] = "clean"
    evaluation_fields = frozenset({"other_prompts"})

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """The single one."""
        return ("0",)

    def parameters(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    @override
    def of_clips(self) -> Perturbation:
        return self

    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        """The pictures themselves."""
        return list(batch.pictures)


@dataclass(frozen=True)
class Validation(Clean):
    """Pictures of the validation split as they are; decision rules are fitted on them."""

    family = "validation"
    split = "val"
    evaluation_fields = frozenset()

    def parameters(self) -> dict[str, Any]:
        """Name and split."""
        return {"name": self.name, "split": "val"}


class ModelFree(Perturbation):
    """A perturbation that changes pictures of one size together, for all classifiers alike."""

    shared = True

    @abstractmethod
    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        """Perturbed pictures, uint8 (N, H, W, 3), of pictures of one size."""

    @override
    def of_clips(self) -> Perturbation:
        from bench.perturb.clips import CorruptedFrames

        return CorruptedFrames(self)

    @override
    def apply(
        self, batch: Batch, level: str, address: Address, classifier: Measurable | None
    ) -> list[np.ndarray]:
        places: dict[tuple[int, ...], list[int]] = {}
        for place, picture in enumerate(batch.pictures):
            places.setdefault(picture.shape, []).append(place)
        found = list(batch.pictures)
        for own in places.values():
            pictures = np.stack([batch.pictures[i] for i in own])
            changed = self.changed(pictures, level, address, [batch.ids[i] for i in own])
            for place, picture in zip(own, changed, strict=True):
                found[place] = picture
        return found


def _one_id_each(pictures: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """The batch, if it is one, and has as many ids as pictures."""
    if len(ids) != len(pictures):
        raise ValueError(
            f"There are {len(pictures)} pictures but {len(ids)} sample ids: one each is needed."
        )
    return checked(pictures)


@dataclass(frozen=True)
class Corruption(ModelFree):
    """A model-free change of pictures at their native size, with severities from 1 on.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        kernel: See `bench.perturb.corruptions`.
        levels: The kernel's constants at severities 1, 2, ...
        random: Whether the kernel draws.
        version: Raise when the same picture becomes another one.
        needs: Says what has to be installed before the kernel can run; empty: nothing.
    """

    name: str
    kernel: Kernel
    levels: tuple[Mapping[str, Any], ...]
    random: bool = False
    version: int = 1
    needs: Callable[[], str] | None = None
    family = "corruption"

    def __call__(
        self, picture: np.ndarray, severity: int, *, seed: int, dataset: str, sample_id: str
    ) -> np.ndarray:
        """One corrupted picture, uint8 (H, W, 3); see `batch`."""
        ids = [sample_id]
        batch = self.batch(picture[None], severity, seed=seed, dataset=dataset, sample_ids=ids)
        one: np.ndarray = batch[0]
        return one

    def batch(
        self,
        pictures: np.ndarray,
        severity: int,
        *,
        seed: int,
        dataset: str,
        sample_ids: Sequence[str],
        threads: int = 1,
    ) -> np.ndarray:
        """Corrupted pictures; the pixels of each depend on itself, its id, address and severity.

        Args:
            pictures: uint8 RGB (N, H, W, 3).
            severity: From 1 on; 0 returns the pictures unchanged.
            seed: Run seed.
            dataset: Name of the data set.
            sample_ids: Of the pictures, (N,).
            threads: How many share the pictures; kernels release the interpreter's lock.

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            ValueError: The pictures are no such batch, or ids and pictures differ in number.
        """
        pictures = _one_id_each(pictures, sample_ids)
        if severity == 0:
            return pictures

        def corrupt(part: slice) -> np.ndarray:
            constants = dict(self.levels[severity - 1])
            if self.random:
                constants["draws"] = [
                    rng.generator(seed, dataset, sample_id, self.name, severity)
                    for sample_id in sample_ids[part]
                ]
            return self.kernel(pictures[part], **constants)

        size = max(1, -(-len(pictures) // threads))
        parts = [slice(first, first + size) for first in range(0, len(pictures), size)]
        if len(parts) <= 1:
            return corrupt(slice(None))
        with ThreadPoolExecutor(len(parts)) as pool:
            return np.concatenate(list(pool.map(corrupt, parts)))

    @override
    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        return self.batch(
            pictures, int(level), seed=address.seed, dataset=address.dataset, sample_ids=ids
        )

    @property
    def severities(self) -> tuple[int, ...]:
        """1, 2, ..."""
        return tuple(range(1, len(self.levels) + 1))

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """All severities."""
        return tuple(map(str, self.severities))

    @override
    def missing(self) -> str:
        return "" if self.needs is None else self.needs()

    def with_constants(self, name: str, constants: Mapping[str, Any]) -> "Corruption":
        """The same under another name and with other constants.

        Args:
            name: Of the new one.
            constants: Some of the kernel's, by name: a list of one per severity, or one for all.

        Raises:
            ValueError: If the kernel has no such constant or refuses a value, or lists differ in
                length.
        """
        usual, known = self.levels, [key for key in self.levels[0] if key != "parts"]
        for key in constants:
            if key not in known:
                which = ", ".join(known) or "none, as it is a mix of others"
                raise ValueError(f"{self.name} has no constant {key!r}; it has {which}")
        given = {k: _given(k, v, [level[k] for level in usual]) for k, v in constants.items()}
        counts = {len(values) for values in given.values() if isinstance(values, list)}
        count = max(counts or {len(usual)})
        if len(counts) > 1 or (count > len(usual) and len(given) < len(known)):
            raise ValueError(
                "a list of constants has one value per severity, and all lists the same number; "
                f"those that are not given have {len(usual)}"
            )
        spread = {k: v if isinstance(v, list) else [v] * count for k, v in given.items()}
        levels = tuple(
            {**usual[min(i, len(usual) - 1)], **{key: own[i] for key, own in spread.items()}}
            for i in range(count)
        )
        changed = replace(self, name=name, levels=levels)
        probe = np.full((1, 48, 40, 3), 128, np.uint8)
        for severity in () if self.missing() else changed.severities:
            try:
                changed.batch(probe, severity, seed=0, dataset="", sample_ids=["0"])
            except Exception as error:
                raise ValueError(f"severity {severity} is refused: {error}") from error
        return changed

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels, for cell ids and table footers."""
        single = all(len(level) == 1 for level in self.levels)
        levels = [next(iter(lv.values())) if single else dict(lv) for lv in self.levels]
        return {"name": self.name, "levels": levels, "version": self.version}


def _given(name: str, value: Any, usual: Sequence[Any]) -> Any:
    """A constant as a kernel takes it: a list with one value per severity, or one for all."""
    several = isinstance(usual[0], tuple)  # numbers at a single severity
    nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
    if isinstance(value, list) and (nested or not several):
        if not value:
            raise ValueError(f"{name} has no value")
        return [_given(name, one, usual) for one in value]
    if isinstance(value, list):
        return tuple(_given(name, one, usual[0]) for one in value)
    whole = all(isinstance(one, int) for one in usual)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"{name} is a {'whole number' if whole else 'number'}, not {value!r}")
    return value if whole else float(value)


# ------------------------------------------------------------------------------------------------
# Continuous levels: noise by sigma or by signal-to-noise ratio, blur by sigma. A level is a
# physical quantity and no rank of a table, so any number of them can be asked for.
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Continuous(ModelFree):
    """A perturbation whose strength is a number of a user's choice.

    Attributes:
        name: As in configs and tables; it addresses the draws.
        kernel: (pictures uint8 (N, H, W, 3), level[, draws]) -> uint8 (N, H, W, 3).
        levels: Those of a run that names none, mild to strong.
        bounds: The least and the greatest level that is accepted.
        meaning: What a level is, in a few words.
        unit: Of a level, in severities; "dB" says that lower is harder
            (`bench.store.cells.Cell.level`).
        random: Whether the kernel draws.
        version: Raise when the same picture becomes another one.
    """

    name: str
    kernel: Callable[..., np.ndarray]
    levels: tuple[float, ...]
    bounds: tuple[float, float]
    meaning: str
    unit: str = ""
    random: bool = False
    version: int = 1
    family = "level"

    @property
    def usual_levels(self) -> tuple[str, ...]:
        """Mild to strong."""
        return tuple(map(self.level, self.levels))

    def level(self, asked: float) -> str:
        """A level as cells and tables have it, such as "0.05" or "30 dB"; six digits count.

        Raises:
            ValueError: The level is out of bounds.
        """
        low, high = self.bounds
        if not low <= asked <= high:
            raise ValueError(
                f"A level of {self.name} ({self.meaning}) is from {low:g} to {high:g}, not "
                f"{asked:g}."
            )
        return f"{asked + 0.0:g} {self.unit}".strip()

    def batch(
        self,
        pictures: np.ndarray,
        severity: str,
        *,
        seed: int,
        dataset: str,
        sample_ids: Sequence[str],
    ) -> np.ndarray:
        """Perturbed pictures; each depends on its own pixels, its address and the severity.

        Args:
            pictures: uint8 RGB (N, H, W, 3).
            severity: From `level`.
            seed: Run seed.
            dataset: Name of the data set.
            sample_ids: Of the pictures, (N,).

        Returns:
            uint8 (N, H, W, 3).

        Raises:
            ValueError: The pictures are no such batch, or ids and pictures differ in number.
        """
        pictures = _one_id_each(pictures, sample_ids)
        level = float(severity.removesuffix(self.unit))
        if not self.random:
            return self.kernel(pictures, level)
        draws = [rng.generator(seed, dataset, name, self.name, severity) for name in sample_ids]
        return self.kernel(pictures, level, draws)

    @override
    def changed(
        self, pictures: np.ndarray, level: str, address: Address, ids: Sequence[str]
    ) -> np.ndarray:
        return self.batch(
            pictures, level, seed=address.seed, dataset=address.dataset, sample_ids=ids
        )

    def parameters(self) -> dict[str, Any]:
        """What determines the pixels besides the severity, for cell ids."""
        return {"name": self.name, "version": self.version}


def noise_by_snr(
    pictures: np.ndarray, decibels: float, draws: Sequence[np.random.Generator]
) -> np.ndarray:
    """Add white noise of a variance that is a share of the picture's own mean power.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        decibels: Mean of the picture's squared values on [0, 1], over the variance of the noise
            before it is clipped and rounded. A black picture has no power and stays as it is.
        draws: One generator per picture.

    Returns:
        uint8 (N, H, W, 3).
    """
    # Integers, so that the sum is exact in any order.
    squares = np.square(pictures, dtype=np.int64).sum(axis=(1, 2, 3), keepdims=True)
    power = squares / (255.0**2 * pictures[0].size)
    return noise.white_noise(pictures, np.sqrt(power / 10 ** (decibels / 10)), draws)


#: By name.
CONTINUOUS: dict[str, Continuous] = {
    one.name: one
    for one in (
        Continuous(
            "gaussian_noise_sigma",
            noise.white_noise,
            (0.02, 0.05, 0.1, 0.2, 0.3),
            (0.001, 1),
            "standard deviation of the noise on the range [0, 1]",
            random=True,
        ),
        Continuous(
            "gaussian_blur_sigma",
            blur.gaussian_blur,
            (0.5, 1, 2, 4),
            (0.1, 100),
            "standard deviation in pixels of the picture",
        ),
        Continuous(
            "gaussian_noise_snr",
            noise_by_snr,
            (30, 20, 10, 0),
            (-20, 60),
            "mean power of the picture over the variance of the noise, in dB",
            unit="dB",
            random=True,
        ),
    )
}
