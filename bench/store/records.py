"""What a store keeps of a data set: its facts, and the labels and groups of its test samples.

With them a report can describe the data and split results by group without opening the data set,
which may lie on another machine.
"""

import contextlib
import hashlib
from collections import Counter
from pathlib import Path
from typing import get_args

import pandas as pd
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.data.base import DataSet, Split
from bench.util.files import read_parquet, read_sealed, write_parquet, write_sealed

SCHEMA = 2


class DatasetRecord(BaseModel):
    """The facts of a data set.

    Attributes:
        name: How tables call it.
        digest: Of samples, labels, splits and pictures; `inputs["data"]` of its cells' manifests.
            A limit of a run chooses among the test samples and leaves it as it is.
        kind: What it is, in words.
        protocol: Which pictures and whose split, in a few words; empty if that goes without saying.
        synthetic: Whether its pictures are generated; no evidence about real faces.
        classes: Class names, in table order.
        counts: Samples of each class in each split; 0 for a class that a split lacks.
        height: Smallest and largest height of a test picture, pixels.
        width: Smallest and largest width of a test picture, pixels.
        groups: Values of each group attribute, in table order.
        skipped: Number of files left out because they could not be read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    digest: str
    kind: str
    protocol: str = ""
    synthetic: bool
    classes: list[str]
    counts: dict[Split, dict[str, int]]
    height: tuple[int, int]
    width: tuple[int, int]
    groups: dict[str, list[str]]
    skipped: int


def describe(dataset: DataSet) -> tuple[DatasetRecord, pd.DataFrame]:
    """The record of a data set, and a table of its test samples.

    Returns:
        The record; and a row per test sample, ordered by id: `sample_id`, `label`, and a column
        per group attribute, missing where the attribute does not apply to the sample.
    """
    counts = {}
    for split in get_args(Split):
        found = Counter(sample.label for sample in dataset.samples(split))
        counts[split] = {label: found[label] for label in dataset.classes}
    samples = sorted(dataset.samples("test"), key=lambda sample: sample.id)
    heights, widths = zip(*(dataset.size(sample) for sample in samples), strict=True)
    record = DatasetRecord(
        name=dataset.name,
        digest=dataset.digest,
        kind=dataset.kind,
        protocol=dataset.protocol,
        synthetic=dataset.synthetic,
        classes=list(dataset.classes),
        counts=counts,
        height=(min(heights), max(heights)),
        width=(min(widths), max(widths)),
        groups={name: list(values) for name, values in dataset.group_values.items()},
        skipped=len(dataset.skipped),
    )
    groups = [dataset.groups(sample) for sample in samples]
    columns: dict[str, list[str | None]] = {
        "sample_id": [sample.id for sample in samples],
        "label": [sample.label for sample in samples],
    }
    columns |= {name: [group.get(name) for group in groups] for name in record.groups}
    return record, pd.DataFrame(columns, dtype=object)


def write(root: Path, record: DatasetRecord, samples: pd.DataFrame) -> None:
    """Write both under `root`, unless they are there already. The record last: it counts."""
    schema = _schema(record)
    table = pa.Table.from_pandas(samples, schema=schema, preserve_index=False)
    with contextlib.suppress(ValueError):
        stored = read_samples(root, record.name, record.digest)
        same = stored is not None and table.equals(pa.Table.from_pandas(stored, schema=schema))
        if same and read(root, record.name, record.digest) == record:
            return
    path = _file(root, record.name, record.digest, "parquet")
    write_parquet(path, samples, schema)
    content = {
        "record": record.model_dump(mode="json"),
        "samples": _sha256(path),
        "schema_version": SCHEMA,
    }
    write_sealed(_file(root, record.name, record.digest, "json"), content)


def read(root: Path, name: str, digest: str) -> DatasetRecord | None:
    """The record of a data set, None if there is none.

    Raises:
        ValueError: If it is damaged or another's.
        UserError: If a later version of the bench wrote it.
    """
    found = _read(root, name, digest)
    return None if found is None else found[0]


def read_samples(root: Path, name: str, digest: str) -> pd.DataFrame | None:
    """The table of a data set's test samples, as of `describe`; None and raises like `read`."""
    found = _read(root, name, digest)
    if found is None:
        return None
    record, checksum = found
    path = _file(root, name, digest, "parquet")
    if not path.is_file() or _sha256(path) != checksum:
        raise ValueError(f"{path.name} is missing, or is not the file that was written")
    table = read_parquet(path, _schema(record))
    if table is None:
        raise ValueError(f"{path.name} is damaged")
    return table.to_pandas(ignore_metadata=True)


def _read(root: Path, name: str, digest: str) -> tuple[DatasetRecord, str] | None:
    """A record, and the checksum of the table beside it."""
    path = _file(root, name, digest, "json")
    if not path.exists():
        return None
    try:
        content = read_sealed(path, SCHEMA)
        record = DatasetRecord.model_validate(content["record"])
        if (record.name, record.digest) != (name, digest):
            raise ValueError("it is another data set's")
        return record, content["samples"]
    except (OSError, KeyError, ValidationError) as error:
        raise ValueError("it does not read as a record of a data set") from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _schema(record: DatasetRecord) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in ("sample_id", "label", *record.groups)])


def _file(root: Path, name: str, digest: str, suffix: str) -> Path:
    # The name is that of a folder, so it can be one here whatever characters it has.
    return root / "datasets" / name / f"{digest}.{suffix}"
