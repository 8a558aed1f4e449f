"""The code path of `benchmarks.full_size` on shapes that a test can afford."""

import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16-weights"])
def test_the_full_size_benchmark_runs_on_tiny_shapes(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks.full_size import measure

    line = measure("tiny", precision, images=2, steps=2, rows=9)
    assert "errors (2, 7, 2)" in line and "finite True" in line and "peak RSS" in line
    assert "benchmarks.full_size" in sys.modules
