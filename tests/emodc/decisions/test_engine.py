"""How micro-batches are computed changes what they cost and not what they say."""

import dataclasses
import functools
from typing import Any

import pytest
import torch
from pipelines import PROMPTS, tiny

from emodc import EmoDC, Engine, Evaluation
from emodc.decisions.rules import FullGrid

PLAN = Evaluation(steps=6, precision="float32")
IDS = ["a", "b", "c"]
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")


@pytest.fixture
def model() -> EmoDC:
    return EmoDC(tiny("latent unet"), PROMPTS, PLAN).eval().requires_grad_(False)


@pytest.fixture
def pictures(images: torch.Tensor) -> torch.Tensor:
    return images[:3].float() / 255


def errors(model: EmoDC, pictures: torch.Tensor, engine: Engine) -> torch.Tensor:
    return model.decide(pictures, IDS, FullGrid(), engine=engine).trace.errors


def limit(
    model: EmoDC, monkeypatch: pytest.MonkeyPatch, most: int, error: RuntimeError
) -> list[int]:
    """Let memory suffice for `most` rows; returns the sizes that were tried."""
    plain, sizes = model.denoiser.predict, list[int]()

    def predict(noisy: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        sizes.append(len(noisy))
        if len(noisy) > most:
            raise error
        return plain(noisy, *others)

    monkeypatch.setattr(model.denoiser, "predict", predict)
    return sizes


@pytest.mark.parametrize("error", [CPU, torch.OutOfMemoryError("CUDA out of memory")])
def test_running_out_of_memory_halves_the_micro_batch(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    expected = model.decide(pictures, IDS, FullGrid(), engine=Engine(rows=4))
    sizes = limit(model, monkeypatch, most=5, error=error)
    with pytest.warns(RuntimeWarning, match="out of memory with") as told:
        verdict = model.decide(pictures, IDS, FullGrid(), engine=Engine(rows=16))
    assert len(told) == 2
    assert verdict.rows == 4
    assert sizes == [16, 8] + [4] * 14  # 3 pictures x 3 classes x 6 steps = 54 rows
    assert torch.equal(verdict.trace.errors, expected.trace.errors)


def test_one_row_that_does_not_fit_is_told(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(model, monkeypatch, most=0, error=CPU)
    with (
        pytest.warns(RuntimeWarning, match="going on with 1"),
        pytest.raises(MemoryError, match="smallest micro-batch"),
    ):
        model.decide(pictures, IDS, engine=Engine(rows=2))


def test_templates_stay_together(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = ("a photo of a {} face", "{} photo", "{}")
    model.prompts = dataclasses.replace(model.prompts, templates=templates)
    sizes = limit(model, monkeypatch, most=2, error=CPU)
    with (
        pytest.warns(RuntimeWarning, match="going on with 4") as told,
        pytest.raises(MemoryError, match="smallest micro-batch"),
    ):
        model.decide(pictures, IDS, engine=Engine(rows=8))
    assert sizes == [6, 3] and len(told) == 1


def test_other_errors_are_not_taken_for_it(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(model, monkeypatch, most=0, error=RuntimeError("mat1 and mat2 shapes differ"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        model.decide(pictures, IDS)


@pytest.mark.parametrize("switches", [{"channels_last": True}, {"fused_attention": False}])
def test_switches_change_no_more_than_rounding(
    model: EmoDC, pictures: torch.Tensor, switches: dict[str, bool]
) -> None:
    before = model.trace(pictures, IDS).errors
    torch.testing.assert_close(errors(model, pictures, Engine(rows=8, **switches)), before)
    assert torch.equal(model.trace(pictures, IDS).errors, before), "a switch stayed on"


def test_switches_reach_the_network(model: EmoDC, pictures: torch.Tensor) -> None:
    found = []

    def note(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        last = output.is_contiguous(memory_format=torch.channels_last)
        found.append((last, torch.backends.cuda.flash_sdp_enabled()))

    model.denoiser.network.conv_in.register_forward_hook(note)
    errors(model, pictures, Engine(rows=64))
    errors(model, pictures, Engine(rows=64, channels_last=True, fused_attention=False))
    assert found == [(False, True), (True, False)]


def test_compiling_without_a_compiler_names_the_switch(
    model: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="compile=True needs a C"):
        errors(model, pictures, Engine(compile=True))


def test_compiling_traces_one_static_shape(
    tiny_emodc: EmoDC, pictures: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the slow part, the making of machine code."""
    graphs = []

    def note(graph: Any, inputs: Any) -> Any:
        graphs.append([tuple(i.shape) for i in inputs if i.ndim == 4])
        return graph

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=note))
    tiny_emodc.evaluation = PLAN
    expected = errors(tiny_emodc, pictures, Engine(rows=8))
    compiled = errors(tiny_emodc, pictures, Engine(rows=8, compile=True))
    torch.testing.assert_close(compiled, expected)
    assert len(graphs) == 1 and {shape[0] for shape in graphs[0]} >= {8}
    errors(tiny_emodc, pictures, Engine(rows=8, compile=True))
    assert len(graphs) == 1, "compiled again for every call"
    assert "errors" not in vars(tiny_emodc.denoiser.unet), "it stayed compiled"


def test_a_micro_batch_has_rows() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Engine(rows=0)
