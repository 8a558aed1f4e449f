"""What a trace's file keeps, and which files are read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.store.traces import INFO_KEY, TraceInfo, Traces
from bench.util.files import read_parquet, write_table

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


def through_a_file(traces: Traces, folder: Path) -> Traces | None:
    write_table(folder / "t.parquet", traces.table(), "errors.list.element")
    table = read_parquet(folder / "t.parquet")
    return None if table is None else Traces.of(table)


def test_everything_survives_with_what_was_not_measured(tmp_path: Path) -> None:
    traces = made()
    found = through_a_file(traces, tmp_path)
    assert found is not None and found.ids == traces.ids and found.info == traces.info
    np.testing.assert_array_equal(found.errors, traces.errors)
    np.testing.assert_array_equal(found.timesteps, traces.timesteps)
    assert not found.complete and not found.surprises
    ordered = found.ordered()
    assert ordered.ids == ("a", "b", "c", "d") and ordered.info == INFO
    assert Traces(("x",), found.errors[:1], found.timesteps[:1], INFO).complete
    assert made(kind="surprises").surprises


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    traces = made(dtype="float16")
    found = through_a_file(traces, tmp_path)
    assert pq.read_schema(tmp_path / "t.parquet").field("errors").type.value_type == pa.float16()
    assert found is not None and found.errors.dtype == np.float32
    np.testing.assert_array_equal(found.errors, traces.errors.astype(np.float16))


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
def test_a_file_that_is_not_what_it_says_is_not_read(described: str) -> None:
    table = made().table()
    assert Traces.of(table) is not None
    assert Traces.of(table.replace_schema_metadata({INFO_KEY: described})) is None
    assert Traces.of(table.replace_schema_metadata()) is None


def test_parts_that_agree_share_their_description() -> None:
    both = Traces.joined([made(), made()])
    assert both.info == INFO and both.errors.shape == (8, 2, 5)
    assert Traces.joined([made(), made(dtype="float16")]).info.dtype == "float16"
    with pytest.raises(ValueError, match="one kind"):
        Traces.joined([made(), made(model="others")])
