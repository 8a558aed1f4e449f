"""What a training step on Stable Diffusion 1.5's shapes takes: on paper, and measured.

    python -m benchmarks.full_step                       # three widths, and what a CPU says
    python -m benchmarks.full_step --width full --pixels 256 --trained lora --evaluate
    python -m benchmarks.full_step --width full --pixels 256 --batch 16 --trained lora all --paper
    python -m benchmarks.full_step --width full --pixels 256 --trained lora --kill

On paper a step is carried out with shapes alone: operations are counted, and the bytes that are
alive at once. Measured are the same step of `EmoDCTrainer`, on random weights in a process of its
own, and by how much its resident memory grew. Latents are given, as with `cache_latents`. With
--kill a process is killed (SIGKILL) in the middle of its second step, another one continues from
what it saved after the first, and the weights are compared with those that nothing disturbed.

    GFLOP     of a step; a multiplication and its addition are two
    GiB       at most alive at once: weights, gradients, averages, moments, activations
    s         of the second step
"""

import argparse
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from bench.util import rng, runtime
from benchmarks.full_size_networks import CLASSES, PROMPTS, latent_denoiser
from emodc import EmoDC, Evaluation
from emodc.diffusion.measuring import autocast
from emodc.selftest import patterns
from emodc.settings import Trained
from emodc.training.objectives import AMDiT, Base, Objective
from emodc.training.trainer import EmoDCTrainer, TrainConfig, choose_parameters

OBJECTIVES: dict[str, Objective] = {"base": Base(), "amdit": AMDiT(negatives=1, reduce="mean")}
GIB = 2**30


@dataclass(frozen=True)
class Step:
    """What is asked.

    Attributes:
        width: Of the networks; see `latent_denoiser`.
        pixels: Side of a picture.
        objective: A key of `OBJECTIVES`.
        trained: "lora" or "all".
        batch: Pictures of a step, in one part.
    """

    width: str = "eighth"
    pixels: int = 128
    objective: str = "base"
    trained: Trained = "all"
    batch: int = 2

    @property
    def config(self) -> TrainConfig:
        """How the step is trained: in bfloat16, with activations computed again."""
        return TrainConfig(
            objective=OBJECTIVES[self.objective],
            trained=self.trained,
            checkpointing=True,
            precision="bfloat16",
            null_share=0.0,
            non_class_share=0.0,
            steps=10,
        )

    @property
    def prompts(self) -> int:
        """Scored on each picture."""
        return 1 + (OBJECTIVES[self.objective].drawn or 0)


@dataclass(frozen=True)
class Taken:
    """What a step takes.

    Attributes:
        flops: Operations.
        memory: Bytes.
        seconds: None on paper.
        errors: Of evaluations afterwards, (pictures, classes, steps); None if none were asked for.
    """

    flops: float
    memory: float
    seconds: float | None = None
    errors: Any = None


class LiveBytes(TorchDispatchMode):
    """The bytes of tensors made while it is on, now and at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known = torch.utils.weak.WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Carry out an operation, and see what it made."""
        found = function(*arguments, **(options or {}))
        for one in tree_iter(found):
            if isinstance(one, Tensor):
                self._see(one.untyped_storage())
        return found

    def _see(self, storage: Any) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = _Freed(self, size)
        self.now += size
        self.most = max(self.most, self.now)


class _Freed:
    """Goes with its storage."""

    def __init__(self, live: LiveBytes, size: int) -> None:
        self.live, self.size = live, size

    def __del__(self) -> None:
        self.live.now -= self.size


def on_paper(step: Step) -> Taken:
    """A step with shapes alone."""
    config = step.config
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
        denoiser = latent_denoiser(step.width, step.pixels).train()
        with _staying():
            parameters = choose_parameters(denoiser, config.trained, config.lora_rank)
        denoiser.network.enable_gradient_checkpointing()
        optimizer = torch.optim.AdamW(parameters, foreach=False)
        averages = [parameter.detach().clone() for parameter in parameters]
        rows, side = step.batch * step.prompts, step.pixels // 8
        noisy, noise = torch.randn(rows, 4, side, side), torch.randn(rows, 4, side, side)
        tokens = torch.zeros(len(PROMPTS.texts()), 77, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            with autocast("bfloat16", torch.device("cpu")):
                trains, plainly = step.trained == "all", torch.autocast("cpu", enabled=False)
                with torch.set_grad_enabled(trains), plainly:  # as the denoiser encodes them
                    texts = denoiser.text_encoder(tokens).last_hidden_state
                chosen = texts[torch.zeros(rows, dtype=torch.long)]
                output = denoiser.network(noisy, torch.zeros(rows), chosen).sample
            (output.float() - noise).square().mean().backward()
            if step.trained == "lora":  # encoded once, before the first step
                flops = counter.get_total_flops() - _text_flops(denoiser, tokens)
            else:
                flops = counter.get_total_flops()
        optimizer.step()
        del averages
    return Taken(float(flops), float(live.most))


def _text_flops(denoiser: Any, tokens: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser.text_encoder(tokens)
    return int(counter.get_total_flops())


@contextmanager
def _staying() -> Iterator[None]:
    """Adapters are moved to their layer's device, where they are: a shape cannot be moved."""
    with mock.patch.object(torch.nn.Module, "to", lambda module, *_, **__: module):
        yield


def measured(step: Step, evaluate: bool = False) -> Taken:
    """The same of a real step; the second of two, as the first makes the optimiser's moments."""
    if step.width != "tiny":
        measured(replace(step, width="tiny"))  # what libraries load, and keep
    before = _resident()
    trainer, take = _begun(step)
    take()
    start = time.perf_counter()
    with FlopCounterMode(display=False) as counter:
        take()
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    errors = None
    if evaluate:
        plan = Evaluation(steps=2, low=0, high=1000, precision="bfloat16")
        model = EmoDC(trainer.finish(), PROMPTS, plan).eval()
        with torch.no_grad():
            errors = model.trace(patterns(2, step.pixels), ["a", "b"]).errors.float().numpy()
    return Taken(float(counter.get_total_flops()), float(memory), seconds, errors)


def _begun(step: Step) -> tuple[EmoDCTrainer, Callable[[], Any]]:
    """A training at its start, and what carries out one step."""
    with rng.fenced("full step"):
        denoiser = latent_denoiser(step.width, step.pixels)
        trainer = EmoDCTrainer(denoiser, PROMPTS, step.config)
    side = step.pixels // 8
    latents = torch.randn(step.batch, 4, side, side, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(step.batch) % len(CLASSES)
    return trainer, partial(trainer.step, latents, labels, encoded=True)


def survives(step: Step, folder: Path) -> bool:
    """Whether a training that is killed in its second step ends with the undisturbed weights.

    Raises:
        RuntimeError: If it ended before it was killed.
    """

    def apart(call: Callable[..., Any], *arguments: Any) -> Any:
        with ProcessPoolExecutor(1, runtime.PROCESSES) as process:
            return process.submit(call, step, *arguments).result()

    saved, undisturbed = folder / "state.pt", apart(second_step)
    try:
        apart(_killed, saved)
    except BrokenProcessPool:
        return bool(undisturbed == apart(second_step, saved))
    raise RuntimeError("the second step ended before the process was killed")


def second_step(step: Step, saved: Path | None = None) -> str:
    """Digest of the weights after two steps; the first of them may be saved."""
    trainer, take = _begun(step)
    if saved is None:
        take()
    else:
        trainer.load_state_dict(torch.load(saved, weights_only=True))
    take()
    state, total = trainer.state_dict(), sha256()
    for weight in (*state["parameters"], *state["averages"]):
        total.update(weight.contiguous().numpy().tobytes())
    return total.hexdigest()


def _killed(step: Step, saved: Path) -> None:
    """Save what one step makes, and be killed in the next one, between gradients and weights."""
    trainer, take = _begun(step)
    take()
    torch.save(trainer.state_dict(), saved)
    register_optimizer_step_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    take()


def _resident() -> float:
    """Bytes of this process in memory now."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def apart() -> Iterator[ProcessPoolExecutor]:
    """A process whose peak is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        yield process


def main() -> None:
    """Print a line per step: on paper, measured, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", nargs="+", default=["quarter", "half"])
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[2])
    parser.add_argument("--trained", nargs="+", choices=["lora", "all"], default=["all"])
    parser.add_argument("--paper", action="store_true", help="measure nothing")
    parser.add_argument("--evaluate", action="store_true", help="2 x 7 x 2 evaluations afterwards")
    parser.add_argument("--kill", action="store_true", help="measure nothing; kill, and continue")
    asked = parser.parse_args()
    if not asked.kill:
        print(f"{'':36}{'GFLOP':>10}{'counted':>10}{'GiB':>8}{'measured':>10}{'ratio':>7}{'s':>8}")
    ways = product(asked.width, asked.trained, OBJECTIVES, asked.batch)
    for width, trained, objective, batch in ways:
        step = Step(width, asked.pixels, objective, trained, batch)
        name = f"{width}, {step.pixels} px, {trained}, {objective}, {batch}"
        if asked.kill:
            with TemporaryDirectory() as folder:
                same = survives(step, Path(folder))
            print(f"{name:36}killed and continued: {'the same' if same else 'OTHER'} weights")
            continue
        paper = on_paper(step)
        line = f"{name:36}{paper.flops / 1e9:10.1f}"
        if asked.paper:
            print(f"{line}{'':10}{paper.memory / GIB:8.2f}", flush=True)
            continue
        with apart() as process:
            found = process.submit(measured, step, asked.evaluate).result()
        print(
            f"{line}{found.flops / 1e9:10.1f}{paper.memory / GIB:8.2f}"
            f"{found.memory / GIB:10.2f}{found.memory / paper.memory:7.2f}{found.seconds:8.1f}",
            flush=True,
        )
        if found.errors is not None:
            print(f"  errors {found.errors.shape}: mean {found.errors.mean():.4f}", flush=True)


if __name__ == "__main__":
    from benchmarks import full_step  # by this name other processes find what is in it

    full_step.main()
