"""`benchmarks.full_size` on shapes that a test can afford, and its arithmetic."""

from typing import Any

import numpy as np
import pytest
import torch

from emodc import EmoDC


@pytest.fixture
def script() -> Any:
    from benchmarks import full_size

    return full_size


def measured(script: Any, size: str = "tiny", **others: Any) -> Any:
    setting = script.Setting(
        size, 64, others.pop("precision", "float32"), "cpu", rows=9, repeats=2, **others
    )
    return script.measure(setting, side=64)


def test_precisions_measure_the_same_errors_up_to_rounding(script: Any) -> None:
    found = {name: measured(script, precision=name) for name in script.PRECISIONS}
    exact = found["float32"]
    assert exact.errors.shape == (7, 2)  # 2 micro-batches of 9 rows
    for figures in found.values():
        np.testing.assert_allclose(figures.errors, exact.errors, rtol=0.05)
        assert figures.flops == exact.flops
        assert figures.rows == 9 and figures.per_row == 1 and figures.memory > 0.1
    assert not np.array_equal(found["bfloat16"].errors, exact.errors)


def test_channels_last_changes_no_errors(script: Any) -> None:
    plain, switched = measured(script), measured(script, channels_last=True)
    np.testing.assert_allclose(switched.errors, plain.errors, rtol=1e-4)


def test_a_row_of_the_small_network_serves_all_classes(script: Any) -> None:
    figures = measured(script, "small")
    assert figures.errors.shape == (7, 18)
    assert figures.per_row == 7
    full, early = figures.cells(75, 20)[6:8]
    assert float(full) == pytest.approx(1 / (figures.encoding + 100 * figures.live), rel=0.01)
    assert float(early) == pytest.approx(1 / (figures.encoding + 20 * figures.live), rel=0.01)


def test_the_small_network_s_operations_are_those_of_its_convolutions(script: Any) -> None:
    """Per output element and input of a kernel, a multiplication and an addition."""
    setting = script.Setting("small", 64, "float32")
    model: EmoDC = script.classifier(setting)
    products: list[int] = []

    def count(module: torch.nn.Conv2d, _: Any, output: torch.Tensor) -> None:
        products.append(2 * output.numel() * module.weight[0].numel())

    picture = script.prepare(model.denoiser, model.evaluation, torch.rand(3, 64, 64), "a")
    compute = script.micro_batch(model, picture, 1)
    for module in model.denoiser.network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    compute()
    total = sum(products)
    assert (
        total < script.counted_flops(compute) < 1.1 * total
    )  # heads and timesteps multiply a little


def figures_of(script: Any, **others: Any) -> Any:
    given = {
        "rows": 64,
        "per_row": 1,
        "network": 0.002,
        "live": 0.003,
        "encoding": 0.1,
        "flops": 8e11,
        "peak": 8e14,
        "memory": 12.3456,
        "errors": np.ones((7, 1)),
        "device": "a device",
    }
    return script.Figures(**given | others)


def test_shares_and_rates_follow_from_seconds(script: Any) -> None:
    """8e11 operations in 2 ms are 4e14 per second: half of the peak."""
    figures = figures_of(script)
    assert figures.share == pytest.approx(0.5)
    assert figures.images_per_second(300) == pytest.approx(1.0)  # 0.1 s + 300 * 3 ms
    cells = dict(zip(script.COLUMNS, figures.cells(300, None), strict=True))
    assert cells == {
        "rows": "64",
        "ms": "2.000",
        "of peak": "50.0%",
        "TFLOP/s": "800",
        "live ms": "3.000",
        "enc ms": "100.0",
        "full/s": "0.455",  # 0.1 s + 700 * 3 ms
        "early/s": "1",
        "GiB": "12.35",
    }


def test_a_shared_trunk_pays_for_steps(script: Any) -> None:
    cells = dict(zip(script.COLUMNS, figures_of(script, per_row=7).cells(75, 30), strict=True))
    assert cells["ms"] == "0.286" and cells["live ms"] == "0.429"
    assert cells["full/s"] == "2.5"  # 0.1 s + 100 * 3 ms
    assert cells["early/s"] == "5.26"  # 0.1 s + 30 * 3 ms
    assert figures_of(script, per_row=7).cells(75, None)[7] == "-"


def test_the_peak_is_that_of_the_fastest_product(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0, 9, 10, 19, 20, 24, 30, 32, *(x for n in range(8) for x in (50 + n, 58 + n))])
    monkeypatch.setattr(script.time, "perf_counter", lambda: next(clock))
    peak = script.matmul_peak(torch.device("cpu"), torch.float32, side=10)
    assert peak == pytest.approx(2 * 10**3 / 2)  # 2 s; the first two products warm up


def test_memory_that_runs_out_halves_the_micro_batch(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = script.errors_of_rows

    def limited(denoiser: Any, noisy: Any, conditions: Any, chosen: Any, size: int) -> Any:
        if size > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(denoiser, noisy, conditions, chosen, size)

    monkeypatch.setattr(script, "errors_of_rows", limited)
    with pytest.warns(RuntimeWarning, match="out of memory with 9 rows"):
        figures = measured(script)
    assert figures.rows == 4
    assert figures.errors.shape == (7, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [(["--size", "small", "--pixels", "256"], "one size"), (["--precision", "float8"], "float8")],
)
def test_what_cannot_be_measured_is_refused(
    script: Any,
    given: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["full_size", *given])
    with pytest.raises(SystemExit):
        script.arguments()
    assert told in capsys.readouterr().err
