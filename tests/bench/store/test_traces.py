"""What a trace's file keeps, and which files are read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.store.traces import INFO_KEY, TraceInfo, Traces
from bench.util.files import write_parquet

INFO = TraceInfo(
    kind="errors",
    classes=("anger", "fear"),
    weighting="noise",
    prediction="epsilon",
    precision="bfloat16",
    model="weights",
    config="cell",
    seed=3,
    steps=5,
)


def made(**changes: object) -> Traces:
    """Four pictures; of the second one class left after two steps."""
    draws = np.random.default_rng(0)
    errors = draws.random((4, 2, 5)).astype(np.float32)
    errors[1, 0, 2:] = np.nan
    timesteps = draws.integers(0, 1000, (4, 5), dtype=np.int32)
    info = INFO.model_copy(update=changes)
    return Traces(("d", "a", "c", "b"), errors, timesteps, info)


def test_everything_survives_with_what_was_not_measured(tmp_path: Path) -> None:
    traces = made()
    traces.write(tmp_path / "t.parquet")
    found = Traces.read(tmp_path / "t.parquet")
    assert found is not None and found.ids == traces.ids and found.info == traces.info
    np.testing.assert_array_equal(found.errors, traces.errors)
    np.testing.assert_array_equal(found.timesteps, traces.timesteps)
    assert not found.complete and not found.surprises
    ordered = found.ordered()
    assert ordered.ids == ("a", "b", "c", "d") and ordered.info == INFO
    assert Traces(("x",), found.errors[:1], found.timesteps[:1]).complete
    assert made(kind="surprises").surprises


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    traces = made(dtype="float16")
    traces.write(tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").field("errors").type.value_type == pa.float16()
    found = Traces.read(tmp_path / "t.parquet")
    assert found is not None and found.errors.dtype == np.float32
    np.testing.assert_array_equal(found.errors, traces.errors.astype(np.float16))


def test_files_of_the_first_version_stay_readable(tmp_path: Path) -> None:
    traces = made()
    schema = pa.schema(
        [
            ("sample_id", pa.string()),
            ("errors", pa.list_(pa.float32())),
            ("timesteps", pa.list_(pa.int32())),
        ]
    )
    whole = np.nan_to_num(traces.errors)
    columns = {
        "sample_id": traces.ids,
        "errors": list(whole.reshape(4, -1)),
        "timesteps": list(traces.timesteps),
    }
    write_parquet(tmp_path / "t.parquet", pd.DataFrame(columns), schema)
    found = Traces.read(tmp_path / "t.parquet")
    assert found is not None and found.info is None and found.ids == traces.ids
    np.testing.assert_array_equal(found.errors, whole)


@pytest.mark.parametrize(
    "described",
    [
        INFO.model_dump_json().replace('"version":2', '"version":3'),
        INFO.model_dump_json().replace('"steps":5', '"steps":10'),
        INFO.model_dump_json().replace('"fear"', '"fear","joy"'),
        INFO.model_dump_json().replace('"float32"', '"float16"'),
        INFO.model_dump_json().replace('"kind"', '"sort"'),
        "{",
    ],
    ids=["later version", "other steps", "other classes", "other dtype", "other field", "cut"],
)
def test_a_file_that_is_not_what_it_says_is_not_read(tmp_path: Path, described: str) -> None:
    path = tmp_path / "t.parquet"
    made().write(path)
    assert Traces.read(path) is not None
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({INFO_KEY: described}), path)
    assert Traces.read(path) is None


def test_parts_that_agree_share_their_description() -> None:
    both = Traces.joined([made(), made()])
    assert both.info == INFO and both.errors.shape == (8, 2, 5)
    half = Traces.joined([made(), made(dtype="float16")]).info
    assert half is not None and half.dtype == "float16"
    assert Traces.joined([made(), made(model="others")]).info is None
    first = Traces(made().ids, made().errors, made().timesteps)
    assert Traces.joined([first, made()]).info is None
