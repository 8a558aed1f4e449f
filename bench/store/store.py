"""The store: what a sweep measured, and the only thing a report reads.

    OUT/plan.json                       the cells that this store stands for
    OUT/cells/<classifier>/<cell id>/   one cell; of two shards
        part-00000-of-00002.parquet     rows of a shard, immutable; of an attack, also what it did
        trace-00000-of-00002.parquet    EmoDC's errors of the same samples; with TTA the NLL
        prompts-00000-of-00002.parquet  under prompts that name no class; of a clean cell, for some
                                        of the samples
        cell.json                       manifest, written when the cell is complete
    OUT/failed/<cell id>-<shard>.json   why a shard could not be computed, where a run went on
    OUT/run.log                         what runs said, with the time; nothing reads it
    OUT/verified.json                   how many rows of which cells were computed anew and agreed
    OUT/datasets/<name>/<digest>.json   facts of a data set; the digest is `inputs["data"]` of its
                                        cells' manifests
    OUT/datasets/<name>/<digest>.parquet  labels and groups of its test samples

A cell id is a digest of everything that determines the result, so a changed config never meets
stale rows. Nothing is believed because of where it lies: every Parquet file of a cell says which
cell and shard it is of, the manifest has a SHA-256 of each of them, and all JSON has a checksum of
itself. Rows must also agree with themselves: predictions with logits, d_p with traces, labels with
the data set.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from bench.store import records as dataset_record
from bench.store.cells import SCHEMA, Cell, Gate, Manifest, has_other_prompts, identify, needs_trace
from bench.store.leases import Leases
from bench.store.records import DatasetRecord
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import LaterVersion, UserError
from bench.util.files import (
    parse_parquet,
    read_sealed,
    require_no_folder,
    write_json,
    write_sealed,
    write_table,
)

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

#: Further columns of a part, of a cell of an attack; see `bench.perturb.attacks.AttackFacts`.
ATTACK_SCHEMA = pa.schema(
    [
        ("forwards", pa.int32()),
        ("gradients", pa.int32()),
        ("zero", pa.int32()),
        ("broken", pa.int32()),
        ("first_hit", pa.int32()),
        ("rise", pa.float32()),
        ("believed", pa.bool_()),
    ]
)

#: Likewise, of some rows, null in the others; see `bench.perturb.attacks.base.packed_change`.
EXAMPLE_SCHEMA = pa.schema([("change", pa.list_(pa.int8())), ("largest", pa.float32())])

Kind = Literal["part", "trace", "prompts"]

_OTHER_PREDICTIONS = "has predictions that are not the highest of their logits"

#: Where the metadata of a Parquet file say what it is of, as JSON.
_OF = b"emodc_bench"


@dataclass(frozen=True)
class _Unfinished:
    """What is known of a cell that has no manifest yet."""

    cell: Cell
    inputs: dict[str, Any]
    shards: int
    files: None = None
    classes: tuple[str, ...] = ()


_Known = Manifest | _Unfinished


class Store:
    """The cells under one output folder.

    Attributes:
        root: The folder.
        refused: Why files were not believed that have been read, one sentence each.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refused: dict[Path, str] = {}
        self._known: dict[tuple[str, str], tuple[pa.Array, pa.Array] | None] = {}
        # Cells of a data set have the same samples in the same order: what one cell's were found
        # to be need not be found again for the next.
        self._labelled: dict[tuple[str, ...], tuple[pa.ChunkedArray, pa.ChunkedArray]] = {}
        self._distinct: dict[str, pa.ChunkedArray] = {}
        self._verified: dict[str, tuple[int, str]] | None = None

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
        *,
        shards: int = 1,
        classes: Sequence[str] = (),
        notes: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Store one shard: its rows and, for EmoDC, what they rest on. Rows last: they count.

        Args:
            cell: The cell.
            shard: Number of the shard.
            rows: As of `ROW_SCHEMA`; of an attack, also of `ATTACK_SCHEMA` and `EXAMPLE_SCHEMA`.
            traces: Of the same samples in the same order.
            others: Of some of them.
            shards: How many the cell has.
            classes: Names in logit order.
            notes: What else is to be known of how the shard was computed; see `notes`.
        """

        def write(kind: Kind, table: pa.Table, floats: str | None = None) -> None:
            of = _of(cell, kind, shard, shards) | ({"classes": list(classes)} if classes else {})
            of |= {"notes": dict(notes)} if notes else {}
            metadata = (table.schema.metadata or {}) | {_OF: json.dumps(of).encode()}
            path = self._file(cell, kind, shard, shards)
            write_table(path, table.replace_schema_metadata(metadata), floats)

        if traces is not None:
            write("trace", traces.table(), "errors.list.element")
        if others is not None:
            write("prompts", others.table())
        further = [s for s in (ATTACK_SCHEMA, EXAMPLE_SCHEMA) if set(s.names) <= set(rows.columns)]
        schema = pa.schema([*ROW_SCHEMA, *itertools.chain(*further)])
        table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
        write("part", table.replace_schema_metadata())
        self._failure(cell, shard, shards).unlink(missing_ok=True)

    def notes(self, cell: Cell, shards: int) -> dict[str, str]:
        """What was noted of the computing of a cell's shards."""
        found: dict[str, str] = {}
        for shard in range(shards):
            # What is damaged is told when the cell is read back.
            with contextlib.suppress(OSError, ValueError, AttributeError, pa.ArrowException):
                # Opened here: PyArrow takes a path with a colon for a URI.
                with pa.OSFile(str(self._file(cell, "part", shard, shards))) as file:
                    metadata = pq.read_schema(file).metadata or {}
                found |= json.loads(metadata.get(_OF, b"{}")).get("notes", {})
        return found

    def fail(self, cell: Cell, shard: int, shards: int, error: Exception) -> None:
        """Record why a shard could not be computed, until it can."""
        content = {
            "cell": cell.model_dump(),
            "shard": shard,
            "shards": shards,
            "error": f"{type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
        }
        write_json(self._failure(cell, shard, shards), content)

    def failed(self) -> list[str]:
        """Names of the shards that could not be computed, as of `bench.sweep.plan.Shard`."""
        return sorted(path.stem for path in (self.root / "failed").glob("*.json"))

    def failure(self, cell: Cell, shard: int, shards: int) -> str | None:
        """Why a shard could not be computed; None if it was not tried, or has rows."""
        try:
            content = json.loads(self._failure(cell, shard, shards).read_bytes())
            return str(content["error"])
        except OSError:
            return None
        except (ValueError, KeyError, TypeError):
            return "for an unknown reason: its record is damaged"

    def retry(self, cell: Cell, shard: int, shards: int) -> None:
        """Forget that a shard could not be computed."""
        self._failure(cell, shard, shards).unlink(missing_ok=True)

    def write_manifest(self, manifest: Manifest) -> None:
        """Declare a cell complete; of files as they are now, unless the manifest names them."""
        if manifest.files is None:
            files = {}
            for shard in range(manifest.shards):
                for kind in ("part", "trace", "prompts"):
                    path = self._file(manifest.cell, kind, shard, manifest.shards)
                    if path.exists():
                        require_no_folder(path)
                        files[path.name] = _sha256(path.read_bytes())
            manifest = manifest.model_copy(update={"files": files})
        write_sealed(self.folder(manifest.cell) / "cell.json", manifest.model_dump())

    def write_plan(self, cells: Sequence[Cell], config: dict[str, Any]) -> None:
        """Make `cells` what the store stands for, beside cells of other tables planned before.

        A cell planned again with other settings replaces its older self in reports, and with it
        all its training seeds: those of other settings have no place in one mean.
        """
        leases = Leases(self.root)
        with leases.awaited("plan"):  # two runs add to it one after the other
            self._write_plan(cells, config)
        leases.tidy()

    def _write_plan(self, cells: Sequence[Cell], config: dict[str, Any]) -> None:
        rows: dict[tuple[str, ...], list[Cell]] = {}  # in the order of tables
        try:
            before = self.planned()
        except LaterVersion:
            raise
        except UserError:  # nothing planned yet, or unreadable: start afresh
            before = []
        for cell in before:
            rows.setdefault(_row_key(cell), []).append(cell)
        for cell in cells:
            rows[_row_key(cell)] = []
        for cell in cells:
            rows[_row_key(cell)].append(cell)
        planned = [cell for row in rows.values() for cell in row]
        ids = {cell.id for cell in planned}
        runs = [own for own in self._runs() if ids & {*own["cells"]} and own["config"] != config]
        for name in dict.fromkeys(cell.dataset for cell in cells):
            its = [cell.id for cell in cells if cell.dataset == name]
            runs.append({"dataset": name, "config": config, "cells": its})
        content = {
            "schema_version": SCHEMA,
            "runs": runs,
            "cells": [cell.model_dump() for cell in planned],
        }
        write_sealed(self.root / "plan.json", content)

    def has(self, cell: Cell, shard: int, shards: int) -> bool:
        """Whether there are rows of a shard, sound or not."""
        return self._file(cell, "part", shard, shards).exists()

    def parts(self, cell: Cell, shards: int) -> set[int]:
        """Numbers of the shards that have rows, sound or not, where there are so many shards."""
        try:
            names = os.listdir(self.folder(cell))  # noqa: PTH208 (a million are planned)
        except OSError:
            return set()
        ending = f"-of-{shards:05d}.parquet"
        return {
            int(n[5 : -len(ending)]) for n in names if n.startswith("part-") and n.endswith(ending)
        }

    def write_verified(self, rows: Mapping[str, int]) -> None:
        """Keep how many rows of cells were computed anew and agreed, in place of what was kept.

        Args:
            rows: Their numbers by id of the cell; it counts while the cell's manifest is the same.
        """
        cells = {cell.id: cell for cell in self.planned()}
        found = {name: [n, self._digest(cells[name])] for name, n in rows.items() if name in cells}
        write_sealed(self.root / "verified.json", {"schema_version": SCHEMA, "cells": found})
        self._verified = None

    def verified(self, cell: Cell) -> int:
        """How many rows of a cell were computed anew and agreed, since it was last changed."""
        if self._verified is None:
            try:
                kept = read_sealed(self.root / "verified.json", SCHEMA)["cells"].items()
                self._verified = {name: (int(rows), of) for name, (rows, of) in kept}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                self._verified = {}
        rows, of = self._verified.get(cell.id, (0, ""))
        return rows if of == self._digest(cell) else 0

    def _digest(self, cell: Cell) -> str:
        """SHA-256 of a cell's manifest, which has that of each of its files."""
        return _sha256((self.folder(cell) / "cell.json").read_bytes())

    def write_dataset(self, record: DatasetRecord, samples: pd.DataFrame) -> None:
        """Store what is known of a data set (see `dataset_record.describe`), if it is news."""
        dataset_record.write(self.root, record, samples)

    def reopen(
        self,
        cell: Cell,
        inputs: dict[str, Any],
        shards: Sequence[tuple[int, int, Sequence[str] | None]],
    ) -> None:
        """Take back that a cell is complete, before any of its parts changes.

        Args:
            cell: The cell.
            inputs: What its id digests.
            shards: Those that will be measured, as (number, count, samples). Files of them that are
                not sound are removed, for without the manifest they might pass for sound, and those
                of other samples, unless these are None.
        """
        there = {count: self.parts(cell, count) for count in {count for _, count, _ in shards}}
        for number, count, samples in shards:
            if number not in there[count]:
                continue
            path = self._file(cell, "part", number, count)
            require_no_folder(path)
            stored = self.stored(cell, inputs, number, count)
            if stored is None or (samples is not None and stored != list(samples)):
                path.unlink(missing_ok=True)
        path = self.folder(cell) / "cell.json"
        require_no_folder(path)
        path.unlink(missing_ok=True)

    def forget(self, cell: Cell) -> None:
        """Delete all that is stored of a cell; the manifest first, so that nothing half counts."""
        path = self.folder(cell) / "cell.json"
        require_no_folder(path)
        path.unlink(missing_ok=True)
        shutil.rmtree(self.folder(cell), ignore_errors=True)

    # -- reading ---------------------------------------------------------------------------------

    def labels(self) -> dict[str, str]:
        """What configs call their classifiers in papers, by name; of some or none."""
        try:
            specs = [own for c in self.configs().values() for own in c["classifiers"].items()]
            return {name: str(own["label"]) for name, own in specs if own.get("label")}
        except (KeyError, TypeError, AttributeError):
            return {}

    def all_configs(self, dataset: str) -> list[dict[str, Any]]:
        """What the planned cells of a data set were measured with, the last run's config first."""
        return [own["config"] for own in self._runs()[::-1] if own["dataset"] == dataset]

    def _runs(self) -> list[dict[str, Any]]:
        """Data set, config and ids of the cells of each run, the last one at the end."""
        try:
            content = read_sealed(self.root / "plan.json", SCHEMA)
            if "runs" in content:
                return list(content["runs"])
            ids: dict[str, list[str]] = {}  # of a plan that has the last config alone
            for cell in content["cells"]:
                ids.setdefault(cell["dataset"], []).append(cell["id"])
            return [
                {"dataset": name, "config": config, "cells": ids.get(name, [])}
                for name, config in content["configs"].items()
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def configs(self) -> dict[str, dict[str, Any]]:
        """What each data set of the folder was last measured with; empty if it is not known."""
        return {own["dataset"]: own["config"] for own in self._runs()}

    def planned(self) -> list[Cell]:
        """The cells that this store stands for, finished or not.

        Raises:
            UserError: If there is no readable plan, or a later version of the bench wrote it.
        """
        path = self.root / "plan.json"
        if not path.exists():
            raise UserError(f"{self.root} holds no run: no plan.json. Start one with `bench run`.")
        try:
            return [Cell(**cell) for cell in read_sealed(path, SCHEMA)["cells"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.refused[path] = (
                f"{path} is not a readable plan ({_in_a_line(error)}). Run `bench run` again."
            )
            raise UserError(self.refused[path], 1) from error

    def unplanned(self) -> int:
        """Cells that were measured with other settings than the plan has now."""
        planned = {cell.id for cell in self.planned()}
        finished = self.root.glob("cells/*/*/cell.json")
        return sum(path.parent.name not in planned for path in finished)

    def is_drawn(self, manifest: Manifest) -> bool:
        """Whether a cell's pictures are drawn faces, which say nothing about real ones.

        Without a record of the data set its name tells.
        """
        name = manifest.cell.dataset
        record = self.dataset(name, manifest.inputs.get("data", ""))
        return name.startswith("faces") if record is None else record.synthetic

    def manifest(self, cell: Cell) -> Manifest | None:
        """The manifest of a complete cell, None if it is not complete or not this cell's.

        Raises:
            UserError: If a later version of the bench wrote it.
        """
        path = self.folder(cell) / "cell.json"
        if not path.exists():
            return None
        try:
            manifest = Manifest(**read_sealed(path, SCHEMA))
            if manifest.cell != cell:
                raise ValueError("it is another cell's")
            if cell.id != identify(cell.classifier, cell.dataset, manifest.inputs):
                raise ValueError("its id is not that of its inputs")
        except (OSError, ValueError) as error:  # a ValidationError is a ValueError
            self._refuse(path, _in_a_line(error))
            return None
        return manifest

    def of_id(self, classifier: str, name: str) -> Manifest | None:
        """The manifest of a complete cell by its id, whether it is still planned or not."""
        try:
            found = Manifest(
                **read_sealed(self.root / "cells" / classifier / name / "cell.json", SCHEMA)
            )
        except (OSError, ValueError):  # a ValidationError is a ValueError
            return None
        return self.manifest(found.cell) if found.cell.id == name else None

    def problem(self, manifest: Manifest, samples: Sequence[str] | None = None) -> str | None:
        """What is wrong with the files of a complete cell, in a sentence; None if nothing is.

        Args:
            manifest: Of the cell.
            samples: Those that it must have; None takes any.
        """
        try:
            parts = []
            for shard in range(manifest.shards):
                parts.append(self._rows(manifest, shard))
                self._whole(manifest, shard, parts[-1])
            names = self._joined(manifest, parts)["sample_id"].to_pylist()
        except UserError as error:
            return str(error)
        if samples is not None and sorted(names) != sorted(samples):
            return str(_wrong(self.folder(manifest.cell), "holds other samples than are planned"))
        return None

    def stored(
        self, cell: Cell, inputs: dict[str, Any], shard: int, shards: int
    ) -> list[str] | None:
        """The samples of a shard; None if its files are not sound.

        If the cell has a manifest, they must also be the files that it names.

        Args:
            cell: The cell.
            inputs: What its id digests.
            shard: Number of the shard.
            shards: How many the cell has.
        """
        manifest = self.manifest(cell)
        known: _Known = _Unfinished(cell, inputs, shards)
        if manifest is not None and manifest.shards == shards:
            known = manifest
        try:
            rows = self._rows(known, shard)
            self._whole(known, shard, rows)
        except UserError:
            return None
        names: list[str] = rows["sample_id"].to_pylist()
        return names

    def traces(self, manifest: Manifest) -> Traces | None:
        """All errors of a complete cell, ordered by sample id.

        Returns:
            None for a discriminative classifier, or if a trace is not sound: a report can do
            without, and says so (`refused`).
        """
        parts = []
        for shard in range(manifest.shards):
            try:
                part = self._traces(manifest, shard, self._rows(manifest, shard))
            except UserError as error:
                self._refuse(self._path(manifest, "trace", shard), error)
                return None
            if part is None:
                return None
            parts.append(part)
        try:
            return Traces.joined(parts).ordered()
        except ValueError:  # of several kinds or shapes
            return None

    def other_prompts(self, manifest: Manifest) -> OtherPrompts | None:
        """All errors of a complete cell under prompts that name no class; None if it has none."""
        try:
            read = [self._prompts(manifest, shard) for shard in range(manifest.shards)]
        except UserError as error:
            self._refuse(self.folder(manifest.cell) / "prompts", error)
            return None
        parts = [part for part in read if part is not None and part.ids]
        if not parts or None in read or len({part.null.shape[1] for part in parts}) > 1:
            return None
        return OtherPrompts.joined(parts)

    def dataset(self, name: str, digest: str) -> DatasetRecord | None:
        """The facts of a data set, None if they are absent or damaged: a report can do without."""
        try:
            return dataset_record.read(self.root, name, digest)
        except ValueError as error:
            self._refuse(self.root / "datasets" / name / digest, _in_a_line(error))
            return None

    def samples(self, name: str, digest: str) -> pd.DataFrame | None:
        """Labels and groups of a data set's test samples, ordered by id; None like `dataset`."""
        try:
            return dataset_record.read_samples(self.root, name, digest)
        except ValueError as error:
            self._refuse(self.root / "datasets" / name / digest, _in_a_line(error))
            return None

    def rows(self, manifest: Manifest) -> pd.DataFrame:
        """All rows of a complete cell, ordered by sample id.

        Raises:
            UserError: If a part is missing, damaged or another's, or contradicts itself.
        """
        frame = self.table(manifest).to_pandas(ignore_metadata=True)
        return frame.sort_values("sample_id", ignore_index=True)

    def table(self, manifest: Manifest) -> pa.Table:
        """All rows of a complete cell as they are stored (`ROW_SCHEMA`), in no order.

        Raises:
            UserError: As of `rows`.
        """
        return self._joined(
            manifest, [self._rows(manifest, shard) for shard in range(manifest.shards)]
        )

    def attacks(self, manifest: Manifest) -> pd.DataFrame | None:
        """What was seen during the attack of a complete cell, ordered by sample id.

        Returns:
            Columns `sample_id` and those of `ATTACK_SCHEMA`; None if a part has none, as those
            written before there were any.
        """
        table = self._further(manifest, ATTACK_SCHEMA)
        return None if table is None else table.to_pandas()

    def examples(self, manifest: Manifest) -> dict[str, tuple[np.ndarray, float]]:
        """What is kept of attacked pictures of a complete cell, by sample id, ids ascending.

        Returns:
            Packed changes (`bench.perturb.attacks.base.packed_change`); none of pictures that are
            not drawn or generated, and of a cell written before any were kept.
        """
        table = self._further(manifest, EXAMPLE_SCHEMA) if self.is_drawn(manifest) else None
        if table is None:
            return {}
        kept = table.filter(pc.is_valid(table["change"])).to_pydict()
        changes = (np.array(levels, np.int8) for levels in kept["change"])
        return dict(zip(kept["sample_id"], zip(changes, kept["largest"], strict=True), strict=True))

    def _further(self, manifest: Manifest, columns: pa.Schema) -> pa.Table | None:
        """Ids and further columns of all parts, ordered by sample id; None if a part has none."""
        schema, parts = pa.schema([ROW_SCHEMA.field("sample_id"), *columns]), []
        for shard in range(manifest.shards):
            table = self._read(manifest, "part", shard)
            if not set(schema.names) <= set(table.schema.names):
                return None
            parts.append(table.select(schema.names).replace_schema_metadata())
        return pa.concat_tables(parts).sort_by("sample_id")

    # -- what is believed ------------------------------------------------------------------------

    def _rows(self, manifest: _Known, shard: int) -> pa.Table:
        """The rows of a shard, if they agree with themselves."""
        path, cell = self._path(manifest, "part", shard), manifest.cell
        table = self._read(manifest, "part", shard)
        facts, examples = ATTACK_SCHEMA.names, EXAMPLE_SCHEMA.names
        if table.schema.names[len(ROW_SCHEMA) :] in (facts, examples, facts + examples):
            table = table.select(ROW_SCHEMA.names)
        if not table.schema.equals(ROW_SCHEMA):
            raise _wrong(path, "has other columns than rows have")
        classes = manifest.classes
        if manifest.files is None:
            classes = json.loads(table.schema.metadata[_OF]).get("classes", [])
        reason = _contradiction(table, classes) if len(table) and classes else None
        reason = reason or self._mislabelled(cell, manifest.inputs, table, path.name)
        if reason is not None:
            raise _wrong(path, reason)
        return table

    def _traces(self, manifest: _Known, shard: int, rows: pa.Table) -> Traces | None:
        """The trace of a shard with these rows, if they agree; None if it has none."""
        path = self._path(manifest, "trace", shard)
        if manifest.files is not None:
            expected = path.name in manifest.files
        else:
            measured = needs_trace(manifest.cell) or rows["d_p"].null_count < len(rows)
            expected = len(rows) > 0 and (measured or path.exists())
        if not expected:
            return None
        traces = Traces.of(self._read(manifest, "trace", shard))
        if traces is None:
            raise _wrong(path, "does not agree with its own description")
        if list(traces.ids) != rows["sample_id"].to_pylist():
            raise _wrong(path, "is of other samples than the rows")
        if not traces.surprises and not _d_p_fits(rows, traces):
            raise _wrong(path, "has other errors than d_p in the rows is the mean of")
        return traces

    def _prompts(self, manifest: _Known, shard: int, needed: bool = False) -> OtherPrompts | None:
        """The errors of a shard under other prompts; None if it has none and needs none."""
        path = self._path(manifest, "prompts", shard)
        if not needed and (manifest.files is None or path.name not in manifest.files):
            return None
        prompts = OtherPrompts.of(self._read(manifest, "prompts", shard))
        if prompts is None:
            raise _wrong(path, "has other columns than it should")
        return prompts

    def _whole(self, manifest: _Known, shard: int, rows: pa.Table) -> None:
        """Refuse a shard if anything that its rows rest on is not sound."""
        traces = self._traces(manifest, shard, rows)
        asked = traces is not None and has_other_prompts(manifest.cell, manifest.inputs)
        self._prompts(manifest, shard, asked)

    def _read(self, manifest: _Known, kind: Kind, shard: int) -> pa.Table:
        """A file of a cell, if it is whole and the one that was written."""
        path, known = self._path(manifest, kind, shard), manifest.files
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _wrong(path, f"cannot be read ({error.strerror})") from error
        if known is not None and not _same_bytes(content, known.get(path.name)):
            raise _wrong(path, "is not the file that was written: damaged, edited or another's")
        table = parse_parquet(content, verified=known is not None)
        if table is None:
            raise _wrong(path, "is damaged")
        try:
            of = json.loads((table.schema.metadata or {})[_OF])
            alike = _of(manifest.cell, kind, shard, manifest.shards).items() <= of.items()
        except (KeyError, ValueError, AttributeError, RecursionError):
            alike = False
        if not alike:
            raise _wrong(path, "is of another cell or shard")
        return table

    def _mislabelled(
        self, cell: Cell, inputs: dict[str, Any], table: pa.Table, part: str
    ) -> str | None:
        """How the labels differ from the data set's, as far as the store has them."""
        if table["label"].null_count:
            return "has rows without a label"
        known = None if cell.about.fits else self._labels(cell, inputs)
        if known is None:
            return None
        ids, labels = known
        names, key = table["sample_id"], (cell.dataset, str(inputs.get("data", "")), part)
        before = self._labelled.get((*key, cell.about.place))
        if before is not None and names.equals(before[0]) and table["label"].equals(before[1]):
            return None
        pictures = names
        if cell.about.repeated:  # a row is called after its picture
            pictures = pc.replace_substring_regex(names, r"#\d+$", "")
        place = pc.index_in(pictures, value_set=ids)
        if place.null_count:
            return "has samples that the data set has not"
        right = pa.chunked_array([labels]).take(place)
        if not right.equals(table["label"]):
            return "has other labels than the data set"
        self._labelled[*key, cell.about.place] = names, right
        return None

    def _labels(self, cell: Cell, inputs: dict[str, Any]) -> tuple[pa.Array, pa.Array] | None:
        key = cell.dataset, str(inputs.get("data", ""))
        if key not in self._known:
            samples = self.samples(*key)
            if samples is None:
                self._known[key] = None
            else:
                ids, labels = (pa.array(samples[c], pa.string()) for c in ("sample_id", "label"))
                self._known[key] = ids, labels
        return self._known[key]

    def _joined(self, manifest: Manifest, parts: Sequence[pa.Table]) -> pa.Table:
        """The rows of all shards: as many as were promised, each of another sample."""
        table = pa.concat_tables([part.replace_schema_metadata() for part in parts])
        names, dataset = table["sample_id"], manifest.cell.dataset
        known = dataset in self._distinct and names.equals(self._distinct[dataset])
        distinct = len(table) if known else pc.count_distinct(names).as_py()
        if distinct == len(table):
            self._distinct[dataset] = names
        if not len(table) == distinct == manifest.n:
            raise _wrong(
                self.folder(manifest.cell),
                f"holds {len(table)} rows of {distinct} samples, promised {manifest.n}",
            )
        return table

    def _refuse(self, path: Path, reason: str | Exception) -> None:
        """Remember why a file is not believed."""
        known = isinstance(reason, UserError)
        self.refused[path] = str(reason if known else _wrong(path, f"is not believed: {reason}"))

    def _failure(self, cell: Cell, shard: int, shards: int) -> Path:
        return self.root / "failed" / f"{cell.id}-{shard:05d}-of-{shards:05d}.json"

    def _path(self, manifest: _Known, kind: Kind, shard: int) -> Path:
        return self._file(manifest.cell, kind, shard, manifest.shards)

    def _file(self, cell: Cell, kind: Kind, shard: int, shards: int) -> Path:
        # With their number: two runs that cut a cell otherwise do not write one another's files.
        return self.folder(cell) / f"{kind}-{shard:05d}-of-{shards:05d}.parquet"


def _of(cell: Cell, kind: Kind, shard: int, shards: int) -> dict[str, Any]:
    return {"cell": cell.id, "kind": kind, "shard": shard, "shards": shards}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _same_bytes(content: bytes, expected: str | None) -> bool:
    """Whether a file's content is that of a SHA-256."""
    return expected == _sha256(content)


def _wrong(path: Path, reason: str) -> UserError:
    return UserError(f"{path} {reason}. The same `bench run` measures the cell again.", 1)


def _in_a_line(error: Exception) -> str:
    """Why something could not be read, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def _contradiction(rows: pa.Table, classes: Sequence[str]) -> str | None:
    """How logits and predictions contradict each other."""
    lengths = pc.list_value_length(rows["logits"])
    if lengths.null_count or not pc.all(pc.equal(lengths, len(classes))).as_py():
        return f"has logits that are not of {len(classes)} classes"
    logits = rows["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    logits = logits.reshape(len(rows), -1)
    codes = pc.index_in(rows["prediction"], value_set=pa.array(classes, pa.string()))
    said = pc.fill_null(codes, -1).to_numpy()
    undecided = said < 0
    chosen = logits[np.arange(len(said)), said]
    chosen[undecided] = np.inf
    # All others are lower; NaN never is. On the whole matrix: it has few columns.
    lower = np.count_nonzero(logits < chosen[:, None])
    if undecided.any():
        null = rows["prediction"].is_null().to_numpy()
        unclear = logits[undecided]
        highest = unclear == unclear.max(axis=1, keepdims=True)  # NaN is none
        if not null[undecided].all() or (highest.sum(axis=1) == 1).any():
            return _OTHER_PREDICTIONS
        lower -= np.count_nonzero(unclear < np.inf)
    agree = lower == np.count_nonzero(~undecided) * (len(classes) - 1)
    return None if agree else _OTHER_PREDICTIONS


def _d_p_fits(rows: pa.Table, traces: Traces) -> bool:
    """Whether d_p is the mean of the right class's errors, wherever all of them were measured."""
    known = pa.array(traces.info.classes, pa.string())
    codes = pc.index_in(rows["label"], value_set=known)
    if codes.null_count:
        return False
    labels = codes.to_numpy()
    right = traces.errors[np.arange(len(labels)), labels].mean(axis=1, dtype=np.float64)
    d_p = rows["d_p"].to_numpy(zero_copy_only=False).astype(np.float64)
    whole = np.isfinite(right)
    rounding = 1e-3 if traces.info.dtype == "float16" else 1e-5
    return bool(np.isclose(d_p[whole], right[whole], rtol=rounding, atol=1e-7).all())


def _row_key(cell: Cell) -> tuple[str, ...]:
    # Another number of views replaces the older: they answer the same question.
    severity = "" if cell.about.augmented else cell.severity
    where = cell.classifier, cell.dataset, cell.family, cell.perturbation, severity
    return *where, str(cell.run_seed)
