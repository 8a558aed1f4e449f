"""EmoDC's errors of many pictures: in memory, and as a shard's files in the store.

Timesteps stand beside the errors of each picture and not once per cell, because noise-aware
evaluation measures noisy pictures at later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.parquet import read_parquet, write_parquet

TRACE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("errors", pa.list_(pa.float32())),  # class-major, K x S
        ("timesteps", pa.list_(pa.int32())),  # S
    ]
)
PROMPTS_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("null", pa.list_(pa.float32())),  # S
        ("non_class", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, eq=False)
class Traces:
    """Errors under the class prompts.

    Attributes:
        ids: Sample ids, N.
        errors: d[image, class, step], float32 (N, K, S).
        timesteps: int32 (N, S).
    """

    ids: tuple[str, ...]
    errors: np.ndarray
    timesteps: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other; at least one."""
        ids = tuple(name for part in parts for name in part.ids)
        errors = np.concatenate([part.errors for part in parts])
        return cls(ids, errors, np.concatenate([part.timesteps for part in parts]))

    def ordered(self) -> "Traces":
        """The same, ordered by sample id."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        ids = tuple(self.ids[i] for i in order)
        return Traces(ids, self.errors[order], self.timesteps[order])

    def write(self, path: Path) -> None:
        """Write a shard's file."""
        flat = list(self.errors.reshape(len(self.ids), -1))
        columns = {"sample_id": self.ids, "errors": flat, "timesteps": list(self.timesteps)}
        write_parquet(path, pd.DataFrame(columns), TRACE_SCHEMA)

    @classmethod
    def read(cls, path: Path) -> "Traces | None":
        """Read a shard's file; None if it is absent, damaged or without rows of one shape."""
        table = read_parquet(path, TRACE_SCHEMA)
        if table is None or not len(table):
            return None
        timesteps, errors = _matrix(table["timesteps"]), _matrix(table["errors"])
        if timesteps is None or errors is None or errors.shape[1] % timesteps.shape[1]:
            return None
        shape = (len(table), -1, timesteps.shape[1])
        return cls(tuple(table["sample_id"].to_pylist()), errors.reshape(shape), timesteps)


@dataclass(frozen=True, eq=False)
class OtherPrompts:
    """Errors under the two prompts that name no class, at the timesteps and noise of the trace.

    Attributes:
        ids: Sample ids, N; some of the trace's.
        null: Under the null prompt, float32 (N, S).
        non_class: Under the non-class prompt, float32 (N, S).
    """

    ids: tuple[str, ...]
    null: np.ndarray
    non_class: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["OtherPrompts"]) -> "OtherPrompts":
        """One after the other; no part makes an empty one."""
        parts = [part for part in parts if part.ids]
        if not parts:
            return cls((), np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))
        ids = tuple(name for part in parts for name in part.ids)
        null = np.concatenate([part.null for part in parts])
        return cls(ids, null, np.concatenate([part.non_class for part in parts]))

    def write(self, path: Path) -> None:
        """Write a shard's file, also if none of the shard's samples is among them."""
        # As objects: an empty column of numbers is no column of lists.
        columns = {"null": list(self.null), "non_class": list(self.non_class)}
        frame = pd.DataFrame({"sample_id": self.ids, **columns}, dtype=object)
        write_parquet(path, frame, PROMPTS_SCHEMA)

    @classmethod
    def read(cls, path: Path) -> "OtherPrompts | None":
        """Read a shard's file; None if it is absent, damaged or has rows of several shapes."""
        table = read_parquet(path, PROMPTS_SCHEMA)
        if table is None:
            return None
        if not len(table):
            return cls.joined([])
        null, non_class = _matrix(table["null"]), _matrix(table["non_class"])
        if null is None or non_class is None or null.shape != non_class.shape:
            return None
        return cls(tuple(table["sample_id"].to_pylist()), null, non_class)


def _matrix(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of lists of one length as (N, length); None if they differ or are empty."""
    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = set(lists.value_lengths().to_pylist())
    if len(lengths) != 1 or not (length := lengths.pop()):
        return None
    return np.asarray(values).reshape(-1, length)
