"""The store: what a sweep measured, and the only thing a report reads.

    OUT/plan.json                                     the cells that this store stands for
    OUT/cells/<classifier>/<cell id>/cell.json        manifest, written when the cell is complete
    OUT/cells/<classifier>/<cell id>/part-00000.parquet    rows of one shard, immutable
    OUT/cells/<classifier>/<cell id>/trace-00000.parquet   EmoDC's errors of the same samples

A cell id is a digest of everything that determines the result, so a changed config never meets
stale rows. Parts carry a checksum per column chunk (Parquet) and are read back before they count.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bench.errors import UserError
from bench.files import atomic, write_json

SCHEMA = 2

ROW_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.string()),
        ("prediction", pa.string()),  # null: a tie, which counts as an error
        ("logits", pa.list_(pa.float32())),
        ("d_p", pa.float32()),  # EmoDC's error under the right prompt; null for the others
        ("evaluations", pa.int32()),
        ("seconds", pa.float32()),
    ]
)
TRACE_SCHEMA = pa.schema(
    [("sample_id", pa.string()), ("errors", pa.list_(pa.float32()))]  # class-major, K x S
)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Gate(_Record):
    """Whether an EmoDC checkpoint is still a denoiser: its d_p against 1.2 x its Base's."""

    passed: bool
    d_p: float
    base_d_p: float | None


class Cell(_Record):
    """One (classifier, data set, perturbation, severity or eps, seed): the unit of a table.

    `seed` is that of training. `run_seed` is that of data, perturbations and evaluation noise: only
    cells that share it were measured on the same pictures under the same noise. A run with a single
    seed uses it for both.
    """

    id: str
    classifier: str
    dataset: str
    perturbation: str
    family: Literal["clean", "corruption", "attack"]
    severity: str  # "0" for clean, "1".."5" for a corruption, "4/255" for an attack
    seed: int
    run_seed: int

    @model_validator(mode="before")
    @classmethod
    def _single_seed(cls, content: Any) -> Any:
        if isinstance(content, dict) and "seed" in content:
            return {"run_seed": content["seed"]} | content
        return content

    @property
    def level(self) -> float:
        """Severity or eps as a number, for ordering and plotting."""
        numerator, _, denominator = self.severity.partition("/")
        return float(numerator) / float(denominator or 1)


class Manifest(_Record):
    """What stands behind the rows of a complete cell.

    Attributes:
        schema_version: Of this record.
        cell: The cell.
        classes: Class names in logit order.
        n: Number of rows.
        shards: Number of parts.
        checkpoint: Digest of the weights.
        gate: None for a discriminative classifier.
        timesteps: Of the trace; empty for a discriminative classifier.
        validation: Figures of the checkpoint on the validation split, as its card has them:
            `accuracy`, and for EmoDC `d_p`. Empty for a classifier that was not trained here.
        training: What made the weights: the checkpoint's recipe less what describes the data, for
            EmoDC with a list `stages`, and the `seconds` it took, earlier stages included. Empty
            for a classifier that was not trained here.
        inputs: Everything that the cell id digests.
        environment: Versions of libraries, kind of device.
    """

    schema_version: int = SCHEMA
    cell: Cell
    classes: list[str]
    n: int
    shards: int
    checkpoint: str
    gate: Gate | None
    timesteps: list[int]
    validation: dict[str, float]
    training: dict[str, Any]
    inputs: dict[str, Any]
    environment: dict[str, str]


class Store:
    """The cells under one output folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cell: Cell) -> Path:
        """Where the cell's files are."""
        return self.root / "cells" / cell.classifier / cell.id

    # -- writing ---------------------------------------------------------------------------------

    def write_part(
        self, cell: Cell, shard: int, rows: pd.DataFrame, errors: np.ndarray | None
    ) -> None:
        """Store one shard: its rows and, for EmoDC, errors float32 (N, K, S)."""
        folder = self.folder(cell)
        if errors is not None:
            flat = list(errors.reshape(len(errors), -1))
            trace = pd.DataFrame({"sample_id": rows["sample_id"], "errors": flat})
            _write(folder / f"trace-{shard:05d}.parquet", trace, TRACE_SCHEMA)
        _write(folder / f"part-{shard:05d}.parquet", rows, ROW_SCHEMA)

    def write_manifest(self, manifest: Manifest) -> None:
        """Declare a cell complete."""
        write_json(self.folder(manifest.cell) / "cell.json", manifest.model_dump())

    def write_plan(self, cells: Sequence[Cell], config: dict[str, Any]) -> None:
        """Make `cells` what the store stands for, beside cells of other tables planned before.

        A cell planned again with other settings replaces its older self in reports.
        """
        try:
            kept = {_row_key(cell): cell for cell in self.planned()}
        except UserError:  # nothing planned yet, or a plan that cannot be read: start afresh
            kept = {}
        kept |= {_row_key(cell): cell for cell in cells}
        content = {"schema_version": SCHEMA, "config": config}
        content["cells"] = [cell.model_dump() for cell in kept.values()]
        write_json(self.root / "plan.json", content)

    def reopen(self, cell: Cell) -> None:
        """Take back that a cell is complete, before any of its parts changes."""
        (self.folder(cell) / "cell.json").unlink(missing_ok=True)

    # -- reading ---------------------------------------------------------------------------------

    def planned(self) -> list[Cell]:
        """The cells that this store stands for, finished or not.

        Raises:
            UserError: If there is no readable plan.
        """
        path = self.root / "plan.json"
        if not path.exists():
            raise UserError(f"{self.root} holds no run: no plan.json. Start one with `bench run`.")
        try:
            return [Cell(**cell) for cell in json.loads(path.read_text())["cells"]]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is not a readable plan ({error}). Run `bench run` again.", 1
            ) from error

    def manifest(self, cell: Cell) -> Manifest | None:
        """The manifest of a complete cell, None if it is not complete."""
        try:
            text = (self.folder(cell) / "cell.json").read_text()
            return Manifest.model_validate_json(text)
        except (OSError, ValidationError):
            return None

    def part(self, cell: Cell, shard: int) -> pd.DataFrame | None:
        """The rows of one shard, None if they are absent or damaged."""
        rows = _read(self.folder(cell) / f"part-{shard:05d}.parquet", ROW_SCHEMA)
        return None if rows is None else rows.to_pandas()

    def whole_part(self, cell: Cell, shard: int) -> pd.DataFrame | None:
        """Like `part`, and None also if the trace that the rows rest on is absent or damaged."""
        rows = self.part(cell, shard)
        if rows is None or rows["d_p"].isna().all():
            return rows
        trace = _read(self.folder(cell) / f"trace-{shard:05d}.parquet", TRACE_SCHEMA)
        if trace is None or trace["sample_id"].to_pylist() != list(rows["sample_id"]):
            return None
        return rows

    def is_whole(self, manifest: Manifest) -> bool:
        """Whether every part of a complete cell, and its trace, can still be read."""
        cell = manifest.cell
        return all(self.whole_part(cell, shard) is not None for shard in range(manifest.shards))

    def rows(self, manifest: Manifest) -> pd.DataFrame:
        """All rows of a complete cell, ordered by sample id.

        Raises:
            UserError: If a part is missing or damaged.
        """
        parts = []
        for shard in range(manifest.shards):
            part = self.part(manifest.cell, shard)
            if part is None:
                path = self.folder(manifest.cell) / f"part-{shard:05d}.parquet"
                raise UserError(
                    f"{path} is missing or damaged. The same `bench run` computes it again.", 1
                )
            parts.append(part)
        return pd.concat(parts, ignore_index=True).sort_values("sample_id", ignore_index=True)


def _row_key(cell: Cell) -> tuple[str, str, str, str, int, int]:
    where = cell.classifier, cell.dataset, cell.perturbation, cell.severity
    return *where, cell.seed, cell.run_seed


def _write(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic(path) as scratch:
        pq.write_table(table, scratch, compression="zstd", write_page_checksum=True)


def _read(path: Path, schema: pa.Schema) -> pa.Table | None:
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.names == schema.names else None
