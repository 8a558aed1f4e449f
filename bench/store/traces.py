"""EmoDC's errors of many pictures: in memory, and as a shard's files in the store.

Timesteps stand beside the errors of each picture and not once per cell, because noise-aware
evaluation measures noisy pictures at later ones. A file says what its numbers are (`TraceInfo`);
docs/decisions.md describes it for readers without the bench.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

Dtype = Literal["float32", "float16"]

#: Where the schema's metadata have a file's `TraceInfo`, as JSON.
INFO_KEY = b"trace"

PROMPTS_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("null", pa.list_(pa.float32())),  # S
        ("non_class", pa.list_(pa.float32())),
    ]
)


class TraceInfo(BaseModel):
    """What the numbers of a trace are, and what they came from.

    Attributes:
        version: Of the file.
        kind: "errors" of noise prediction, or "surprises": NLL, -log p(class), of a picture.
        classes: Names along the class axis.
        weighting: Units of errors, as in `emodc.Evaluation`; empty for surprises.
        prediction: What the network predicts: epsilon, sample, v_prediction or flow; empty for
            surprises.
        precision: What the network computed in.
        dtype: What the file keeps errors in. Decisions in the rows were made before that rounding.
        model: Digest of the weights.
        config: Id of the cell, which digests everything that determines the numbers.
        seed: Addresses the noise of the steps, or the views.
        steps: S, of the full grid; for a discriminative classifier its views.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[2] = 2
    kind: Literal["errors", "surprises"]
    classes: tuple[str, ...]
    weighting: str = ""
    prediction: str = ""
    precision: str
    dtype: Dtype = "float32"
    model: str
    config: str = ""
    seed: int
    steps: int


@dataclass(frozen=True, eq=False)
class Traces:
    """Errors under the class prompts, or what stands in their place (`TraceInfo.kind`).

    Attributes:
        ids: Sample ids, N.
        errors: d[image, class, step], float32 (N, K, S); NaN where nothing was measured.
        timesteps: int32 (N, S); of views their numbers.
        info: What they are.
    """

    ids: tuple[str, ...]
    errors: np.ndarray
    timesteps: np.ndarray
    info: TraceInfo

    @property
    def complete(self) -> bool:
        """Whether every class was measured at every step, with finite numbers."""
        return bool(np.isfinite(self.errors).all())

    @property
    def surprises(self) -> bool:
        """Whether these are negative log-probabilities, and no noise-prediction errors."""
        return self.info.kind == "surprises"

    @classmethod
    def joined(cls, parts: Sequence["Traces"]) -> "Traces":
        """One after the other; at least one.

        Raises:
            ValueError: If they are not of one kind.
        """
        ids = tuple(name for part in parts for name in part.ids)
        errors = np.concatenate([part.errors for part in parts])
        timesteps = np.concatenate([part.timesteps for part in parts])
        return cls(ids, errors, timesteps, _common({part.info for part in parts}))

    def ordered(self) -> "Traces":
        """The same, ordered by sample id."""
        order = sorted(range(len(self.ids)), key=self.ids.__getitem__)
        ids = tuple(self.ids[i] for i in order)
        return Traces(ids, self.errors[order], self.timesteps[order], self.info)

    def table(self) -> pa.Table:
        """As a shard's file has them."""
        flat = self.errors.reshape(len(self.ids), -1).astype(self.info.dtype)
        columns = [pa.array(self.ids, pa.string()), _lists(flat), _lists(self.timesteps)]
        return pa.Table.from_arrays(columns, schema=_trace_schema(self.info))

    @classmethod
    def of(cls, table: pa.Table) -> "Traces | None":
        """From a shard's file.

        Returns:
            float32 errors whatever the file keeps; None if it is of another version, or without
            rows of one shape.
        """
        if not len(table):
            return None
        try:
            info = TraceInfo.model_validate_json((table.schema.metadata or {})[INFO_KEY])
        except (KeyError, ValueError):
            return None
        if not table.schema.equals(_trace_schema(info)):
            return None
        timesteps, errors = _matrix(table["timesteps"]), _matrix(table["errors"])
        if timesteps is None or errors is None or errors.shape[1] % timesteps.shape[1]:
            return None
        shaped = errors.astype(np.float32, copy=False).reshape(len(table), -1, timesteps.shape[1])
        if shaped.shape[1:] != (len(info.classes), info.steps):
            return None
        return cls(tuple(table["sample_id"].to_pylist()), shaped, timesteps, info)


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

    def table(self) -> pa.Table:
        """As a shard's file has them, also if none of the shard's samples is among them."""
        # As objects: an empty column of numbers is no column of lists.
        columns = {"null": list(self.null), "non_class": list(self.non_class)}
        frame = pd.DataFrame({"sample_id": self.ids, **columns}, dtype=object)
        table = pa.Table.from_pandas(frame, schema=PROMPTS_SCHEMA, preserve_index=False)
        return table.replace_schema_metadata()

    @classmethod
    def of(cls, table: pa.Table) -> "OtherPrompts | None":
        """From a shard's file; None if it has other columns or rows of several shapes."""
        if not table.schema.equals(PROMPTS_SCHEMA):
            return None
        if not len(table):
            return cls.joined([])
        null, non_class = _matrix(table["null"]), _matrix(table["non_class"])
        if null is None or non_class is None or null.shape != non_class.shape:
            return None
        return cls(tuple(table["sample_id"].to_pylist()), null, non_class)


def _trace_schema(info: TraceInfo) -> pa.Schema:
    return pa.schema(
        [
            ("sample_id", pa.string()),
            # class-major, K x S
            ("errors", pa.list_(pa.float16() if info.dtype == "float16" else pa.float32())),
            ("timesteps", pa.list_(pa.int32())),  # S
        ],
        {INFO_KEY: info.model_dump_json().encode()},
    )


def _common(infos: set[TraceInfo]) -> TraceInfo:
    """What is true of all parts.

    They may differ in what the files keep, for that may be changed while a cell is unfinished.
    """
    dtype: Dtype = "float16" if any(one.dtype == "float16" for one in infos) else "float32"
    alike = {one.model_copy(update={"dtype": dtype}) for one in infos}
    if len(alike) > 1:
        raise ValueError("these traces are not of one kind")
    return alike.pop()


def _lists(matrix: np.ndarray) -> pa.ListArray:
    """A column of the rows of (N, length). NaN stays NaN; by way of pandas it would be null."""
    ends = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(ends, np.ascontiguousarray(matrix).reshape(-1))


def _matrix(column: pa.ChunkedArray) -> np.ndarray | None:
    """A column of lists of one length as (N, length); None if they differ or are empty."""
    lists = column.combine_chunks()
    values = lists.flatten().to_numpy(zero_copy_only=False)
    lengths = set(lists.value_lengths().to_pylist())
    if len(lengths) != 1 or not (length := lengths.pop()):
        return None
    return np.asarray(values).reshape(-1, length)
