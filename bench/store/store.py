"""The store: what a sweep measured, and the only thing a report reads.

    OUT/plan.json                                     the cells that this store stands for
    OUT/cells/<classifier>/<cell id>/cell.json        manifest, written when the cell is complete
    OUT/cells/<classifier>/<cell id>/part-00000.parquet    rows of one shard, immutable
    OUT/cells/<classifier>/<cell id>/trace-00000.parquet   EmoDC's errors of the same samples; of
                                                           views their surprises
    OUT/cells/<classifier>/<cell id>/prompts-00000.parquet under prompts that name no class; of a
                                                           clean cell, for some of the samples
    OUT/datasets/<name>/<digest>.json                 facts of a data set; the digest is
    OUT/datasets/<name>/<digest>.parquet              `inputs["data"]` of its cells' manifests;
                                                      labels and groups of its test samples

A cell id is a digest of everything that determines the result, so a changed config never meets
stale rows. Parts carry a checksum per column chunk (Parquet) and are read back before they count.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from bench.store import records as dataset_record
from bench.store.cells import SCHEMA, Cell, Gate, Manifest, has_other_prompts, needs_trace
from bench.store.records import DatasetRecord
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import UserError
from bench.util.files import read_parquet, write_json, write_parquet

__all__ = ["ROW_SCHEMA", "SCHEMA", "Cell", "Gate", "Manifest", "Store", "has_other_prompts"]

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


class Store:
    """The cells under one output folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, cell: Cell) -> Path:
        """Where the cell's files are."""
        return self.root / "cells" / cell.classifier / cell.id

    # -- writing ---------------------------------------------------------------------------------

    def write_part(
        self,
        cell: Cell,
        shard: int,
        rows: pd.DataFrame,
        traces: Traces | None = None,
        others: OtherPrompts | None = None,
    ) -> None:
        """Store one shard: its rows and, for EmoDC, what they rest on. Rows last: they count."""
        if traces is not None:
            traces.write(self._file(cell, "trace", shard))
        if others is not None:
            others.write(self._file(cell, "prompts", shard))
        write_parquet(self._file(cell, "part", shard), rows, ROW_SCHEMA)

    def write_manifest(self, manifest: Manifest) -> None:
        """Declare a cell complete."""
        write_json(self.folder(manifest.cell) / "cell.json", manifest.model_dump())

    def write_plan(self, cells: Sequence[Cell], config: dict[str, Any]) -> None:
        """Make `cells` what the store stands for, beside cells of other tables planned before.

        A cell planned again with other settings replaces its older self in reports, and with it
        all its training seeds: those of other settings have no place in one mean.
        """
        rows: dict[tuple[str, ...], list[Cell]] = {}  # in the order of tables
        with contextlib.suppress(UserError):  # nothing planned yet, or unreadable: start afresh
            for cell in self.planned():
                rows.setdefault(_row_key(cell), []).append(cell)
        for cell in cells:
            rows[_row_key(cell)] = []
        for cell in cells:
            rows[_row_key(cell)].append(cell)
        content = {"schema_version": SCHEMA, "config": config}
        content["cells"] = [cell.model_dump() for row in rows.values() for cell in row]
        write_json(self.root / "plan.json", content)

    def write_dataset(self, record: DatasetRecord, samples: pd.DataFrame) -> None:
        """Store what is known of a data set (see `dataset_record.describe`), if it is news."""
        dataset_record.write(self.root, record, samples)

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

    def is_drawn(self, manifest: Manifest) -> bool:
        """Whether a cell's pictures are drawn faces, which say nothing about real ones.

        Stores of before data sets had records go by the data set's name.
        """
        name = manifest.cell.dataset
        record = self.dataset(name, manifest.inputs.get("data", ""))
        return name.startswith("faces") if record is None else record.synthetic

    def manifest(self, cell: Cell) -> Manifest | None:
        """The manifest of a complete cell, None if it is not complete."""
        try:
            text = (self.folder(cell) / "cell.json").read_text()
            return Manifest.model_validate_json(text)
        except (OSError, ValidationError):
            return None

    def part(self, cell: Cell, shard: int) -> pd.DataFrame | None:
        """The rows of one shard, None if they are absent or damaged."""
        rows = read_parquet(self._file(cell, "part", shard), ROW_SCHEMA)
        return None if rows is None else rows.to_pandas()

    def whole_part(self, cell: Cell, shard: int, others: bool = False) -> pd.DataFrame | None:
        """Like `part`, and None also if what the rows rest on is absent or damaged.

        Args:
            cell: The cell.
            shard: Number of the shard.
            others: Whether an EmoDC's shard has errors under the other prompts, too.
        """
        rows = self.part(cell, shard)
        if rows is None or rows.empty or not (needs_trace(cell) or rows["d_p"].notna().any()):
            return rows
        traces = Traces.read(self._file(cell, "trace", shard))
        if traces is None or list(traces.ids) != list(rows["sample_id"]):
            return None
        if others and OtherPrompts.read(self._file(cell, "prompts", shard)) is None:
            return None
        return rows

    def is_whole(self, manifest: Manifest) -> bool:
        """Whether every part of a complete cell, and what it rests on, can still be read."""
        cell, others = manifest.cell, has_other_prompts(manifest.cell, manifest.inputs)
        shards = range(manifest.shards)
        return all(self.whole_part(cell, shard, others) is not None for shard in shards)

    def traces(self, manifest: Manifest) -> Traces | None:
        """All errors of a complete cell, ordered by sample id.

        Returns:
            None for a discriminative classifier, or if a trace is absent, damaged or of a later
            version: a report can do without.
        """
        files = [self._file(manifest.cell, "trace", shard) for shard in range(manifest.shards)]
        read = [Traces.read(path) for path in files]
        parts = [part for part in read if part is not None]
        if not parts or len(parts) < len(read) or len({p.errors.shape[1:] for p in parts}) > 1:
            return None
        return Traces.joined(parts).ordered()

    def other_prompts(self, manifest: Manifest) -> OtherPrompts | None:
        """All errors of a complete cell under prompts that name no class; None if it has none."""
        files = [self._file(manifest.cell, "prompts", shard) for shard in range(manifest.shards)]
        read = [OtherPrompts.read(path) for path in files]
        parts = [part for part in read if part is not None and part.ids]
        if not parts or None in read or len({part.null.shape[1] for part in parts}) > 1:
            return None
        return OtherPrompts.joined(parts)

    def dataset(self, name: str, digest: str) -> DatasetRecord | None:
        """The facts of a data set, None if they are absent or damaged: a report can do without."""
        return dataset_record.read(self.root, name, digest)

    def samples(self, name: str, digest: str) -> pd.DataFrame | None:
        """Labels and groups of a data set's test samples, ordered by id; None like `dataset`."""
        return dataset_record.read_samples(self.root, name, digest)

    def rows(self, manifest: Manifest) -> pd.DataFrame:
        """All rows of a complete cell, ordered by sample id.

        Raises:
            UserError: If a part is missing or damaged.
        """
        return self.table(manifest).to_pandas().sort_values("sample_id", ignore_index=True)

    def table(self, manifest: Manifest) -> pa.Table:
        """All rows of a complete cell as they are stored (`ROW_SCHEMA`), in no order.

        Raises:
            UserError: If a part is missing or damaged.
        """
        parts = []
        for shard in range(manifest.shards):
            path = self._file(manifest.cell, "part", shard)
            part = read_parquet(path, ROW_SCHEMA)
            if part is None:
                raise UserError(
                    f"{path} is missing or damaged. The same `bench run` computes it again.", 1
                )
            parts.append(part)
        return pa.concat_tables(parts)

    def _file(self, cell: Cell, kind: Literal["part", "trace", "prompts"], shard: int) -> Path:
        return self.folder(cell) / f"{kind}-{shard:05d}.parquet"


def _row_key(cell: Cell) -> tuple[str, ...]:
    # Another number of views replaces the older: they answer the same question.
    severity = "" if cell.about.augmented else cell.severity
    where = cell.classifier, cell.dataset, cell.family, cell.perturbation, severity
    return *where, str(cell.run_seed)
