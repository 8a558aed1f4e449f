"""A cell's rows as columns of numbers: what every metric of a report is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench import stats as metrics
from bench.store.cells import Cell, Manifest
from bench.util.errors import UserError

TIE = -1


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a classifier said of N samples, in the order of sample ids.

    Classes are numbers here, positions in `classes`: a report reads millions of rows, and names
    would be compared as text for every metric. Nothing outside a report sees these numbers.

    Attributes:
        classes: Class names, K.
        ids: Sample ids, (N,), ascending and distinct.
        labels: int16 (N,), positions in `classes`.
        predictions: int16 (N,), positions in `classes`; `TIE` for no decision.
        logits: float32 (N, K); not finite where the classifier gave nothing usable.
        d_p: EmoDC's error under the right prompt, float32 (N,); NaN where there is none.
        evaluations: Network evaluations, float32 (N,); NaN where unknown.
        seconds: float32 (N,); NaN where unknown.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.object_]
    labels: NDArray[np.int16]
    predictions: NDArray[np.int16]
    logits: NDArray[np.float32]
    d_p: NDArray[np.float32]
    evaluations: NDArray[np.float32]
    seconds: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.ids)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which samples are recognised, (N,)."""
        return self.labels == self.predictions

    @cached_property
    def without_number(self) -> int:
        """How many samples have no decision because logits are NaN or infinite."""
        undecided = self.predictions == TIE
        return int((~np.isfinite(self.logits[undecided].max(axis=1, initial=-np.inf))).sum())

    @classmethod
    def of(cls, table: pa.Table, classes: Sequence[str], like: Self | None = None) -> Self:
        """From rows of the store (`bench.store.store.ROW_SCHEMA`), in any order.

        Args:
            table: The rows.
            classes: The classifier's class names, in logit order.
            like: Another cell's outcomes; equal ids are kept once in memory.

        Raises:
            UserError: If samples repeat, a name is not a class or rows lack logits.
        """
        if table["label"].null_count:
            raise UserError("holds rows without a label")
        table = table.take(pc.sort_indices(table["sample_id"]))
        ids = table["sample_id"].to_numpy(zero_copy_only=False)
        if like is not None and len(like) == len(ids) and bool((like.ids == ids).all()):
            ids = like.ids
        elif len(ids) > 1 and bool((ids[1:] == ids[:-1]).any()):
            distinct = len(set(ids))
            raise UserError(f"holds {len(ids)} rows of {distinct} samples")
        return cls(
            tuple(classes),
            ids,
            _codes(table["label"], classes),
            _codes(table["prediction"], classes),
            _matrix(table["logits"], len(classes)),
            *(_numbers(table[name]) for name in ("d_p", "evaluations", "seconds")),
        )

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of the samples: a mask (N,) or ascending positions."""
        columns = ("ids", "labels", "predictions", "logits", "d_p", "evaluations", "seconds")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def among(self, ids: NDArray[np.object_]) -> Self:
        """Those of the samples that `ids` names."""
        if ids is self.ids:
            return self
        wanted = set(ids)  # np.isin sorts objects, which takes hundreds of times as long
        return self.at(np.fromiter((name in wanted for name in self.ids), np.bool_, len(self)))

    def label(self, sample_id: str) -> str:
        """The class of a sample."""
        return self.classes[self.labels[self._row(sample_id)]]

    def decision(self, sample_id: str) -> str | None:
        """The predicted class of a sample; None is a tie."""
        code = int(self.predictions[self._row(sample_id)])
        return None if code == TIE else self.classes[code]

    def _row(self, sample_id: str) -> int:
        return int(np.searchsorted(self.ids, sample_id))


def shared_samples(several: Sequence[Outcomes]) -> list[Outcomes]:
    """Each reduced to the samples that occur in all."""
    first = several[0]
    if all(same_samples(other.ids, first.ids) for other in several):
        return list(several)
    shared = np.array(sorted(set.intersection(*(set(other.ids) for other in several))), object)
    return [other.among(shared) for other in several]


def same_samples(ids: NDArray[np.object_], others: NDArray[np.object_]) -> bool:
    """Whether two columns of ids are equal."""
    return ids is others or np.array_equal(ids, others)


def recognised(several: Sequence[Outcomes]) -> NDArray[np.float64]:
    """1 where a sample is recognised, else 0, (k, N), for k outcomes of the same samples."""
    return np.stack([one.right for one in several]).astype(np.float64)


def _codes(names: pa.ChunkedArray, classes: Sequence[str]) -> NDArray[np.int16]:
    """Positions in `classes`, `TIE` for null."""
    codes = pc.index_in(names, value_set=pa.array(classes, pa.string()), skip_nulls=True)
    strange = pc.and_(pc.is_null(codes), pc.is_valid(names))
    if pc.any(strange).as_py():
        found = sorted(set(names.filter(strange).to_pylist()))
        raise UserError(f"not among the classes {', '.join(classes)}: {', '.join(found)}")
    return pc.fill_null(codes, TIE).to_numpy().astype(np.int16)


def _matrix(lists: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    lengths = pc.list_value_length(lists)
    if len(lists) and pc.min_max(pc.fill_null(lengths, -1)).as_py() != {"min": width, "max": width}:
        raise UserError(f"holds rows that have not {width} logits")
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(-1, width)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Nulls become NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


# ------------------------------------------------------------------------------------------------
# Cells of perturbation sequences: how often decisions change from frame to frame.
#
# Frames of a picture hang together, so no metric of independent samples is made of their rows: the
# unit is the picture, and what it counts is its share of frames at which the decision changes.


@dataclass(frozen=True, eq=False)
class Flips:
    """A complete cell of a sequence.

    Attributes:
        manifest: What stands behind it.
        name: Of the classifier, as shown.
        ids: Of the pictures, (N,), ascending.
        shares: Of each picture's frames, those at which the decision changes, (N,) in [0, 1].
    """

    manifest: Manifest
    name: str
    ids: NDArray[np.object_]
    shares: NDArray[np.float64]

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell


def flips_of(manifest: Manifest, name: str, outcomes: Outcomes) -> Flips:
    """Of a cell whose rows are frames; a picture that lacks one is left out.

    Raises:
        UserError: If no picture has all its frames.
    """
    sequence = manifest.inputs["perturbation"]
    expected = list(range(len(sequence["frames"])))
    rows: dict[str, list[tuple[int, int]]] = {}
    for frame, decision in zip(outcomes.ids, outcomes.predictions, strict=True):
        sample_id, _, number = frame.rpartition("#")
        rows.setdefault(sample_id, []).append((int(number), int(decision)))
    whole = {
        one: [d for _, d in own] for one, own in rows.items() if _flips_numbers(own) == expected
    }
    if not whole:
        raise UserError("holds no picture with all its frames")
    ids = sorted(whole)
    decisions = np.array([whole[one] for one in ids])
    shares = metrics.flip_shares(decisions, noise=sequence["noise"])
    return Flips(manifest, name, np.array(ids, object), shares)


def shared(several: Sequence[Flips]) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The pictures that all have, (N,), and their shares, (len(several), N)."""
    common = set.intersection(*(set(one.ids) for one in several))
    kept = [np.array([name in common for name in one.ids], bool) for one in several]
    shares = np.stack([one.shares[mask] for one, mask in zip(several, kept, strict=True)])
    return several[0].ids[kept[0]], shares


def _flips_numbers(frames: Sequence[tuple[int, int]]) -> list[int]:
    return [number for number, _ in frames]
