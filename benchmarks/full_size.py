"""What an evaluation costs live, and what share of the device's arithmetic that is.

    python -m benchmarks.full_size --compile --evaluations 75
    python -m benchmarks.full_size --size small --evaluations 75 --steps 20

Networks have random weights: "full" is Stable Diffusion 1.5's shapes, "small" the default network,
"tiny" is for tests. Every setting runs in a process of its own, so that each has its own peak of
memory. On a GPU nothing else changes. On a CPU, full size takes minutes: ask for fewer `--rows`.

    ms        of an evaluation in the network: median over micro-batches, warm
    of peak   the network's share of TFLOP/s, the rate of large matrix products in the same dtype
    live ms   of an evaluation in the live engine: noise, queue and looks as well
    enc ms    of encoding a picture, once
    full/s    pictures per second at seven classes and 100 steps: 1 / (encoding + live evaluations)
    early/s   the same at the mean `--evaluations` of a sequential test. A network with a shared
              trunk ("small") pays for steps, whatever classes are left: give the mean `--steps`
    GiB       peak memory: the GPU's, or else the process's
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.classifiers.base import counted_flops
from bench.util import runtime
from benchmarks.full_size_networks import CLASSES, PIXELS, PRECISIONS, Setting, classifier
from emodc import EmoDC, Engine
from emodc.decisions.live import Pool, errors_of_rows, halved
from emodc.decisions.rules import FullGrid
from emodc.diffusion.measuring import Prepared, noisy_rows, prepare, resolve_precision
from emodc.selftest import patterns

STEPS = 100
COLUMNS = ("rows", "ms", "of peak", "TFLOP/s", "live ms", "enc ms", "full/s", "early/s", "GiB")


@dataclass(frozen=True)
class Figures:
    """What was found.

    Attributes:
        rows: Of a micro-batch; fewer than asked for where memory ran out.
        per_row: Evaluations that a row serves: all classes' with a shared trunk, else one.
        network: Seconds of a row in the network.
        live: Seconds of a row in the live engine.
        encoding: Seconds of a picture.
        flops: Operations of a row.
        peak: Operations per second of large matrix products.
        memory: GiB.
        errors: What the live engine measured of a picture, (K, S).
        device: Its name.
    """

    rows: int
    per_row: int
    network: float
    live: float
    encoding: float
    flops: float
    peak: float
    memory: float
    errors: np.ndarray
    device: str

    @property
    def share(self) -> float:
        """Of the peak, in the network."""
        return self.flops / self.network / self.peak

    def images_per_second(self, rows: float) -> float:
        """Pictures decided per second, with so many rows of each."""
        return 1.0 / (self.encoding + rows * self.live)

    def cells(self, evaluations: float | None, steps: float | None) -> list[str]:
        """A row of the table; arguments are those of a sequential test, if known."""
        early = steps if self.per_row > 1 else evaluations
        return [
            str(self.rows),
            f"{1e3 * self.network / self.per_row:.3f}",
            f"{self.share:.1%}",
            f"{self.peak / 1e12:.4g}",
            f"{1e3 * self.live / self.per_row:.3f}",
            f"{1e3 * self.encoding:.1f}",
            f"{self.images_per_second(STEPS * len(CLASSES) / self.per_row):.3g}",
            "-" if early is None else f"{self.images_per_second(early):.3g}",
            f"{self.memory:.2f}",
        ]


class Stopwatch:
    """A function that keeps the seconds of its calls, the device's own included."""

    def __init__(self, work: Callable[..., Any], device: torch.device) -> None:
        self.work, self.device, self.seconds = work, device, list[float]()

    def __call__(self, *arguments: Any) -> Any:
        """Do the work."""
        self._wait()
        start = time.perf_counter()
        result = self.work(*arguments)
        self._wait()
        self.seconds.append(time.perf_counter() - start)
        return result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@torch.no_grad()
def measure(setting: Setting, side: int | None = None) -> Figures:
    """Figures of a setting; `side` is that of the squares that the peak is measured on."""
    device = runtime.pick_device(setting.device)
    model = classifier(setting).to(device)
    image = patterns(1, setting.pixels)[0].to(device)
    encode = Stopwatch(model.denoiser.encode, device)
    vars(model.denoiser)["encode"] = encode  # inside the live engine, too
    for _ in range(setting.repeats + 1):
        picture = prepare(model.denoiser, model.evaluation, image, "picture")
    engine = Engine(setting.rows, setting.channels_last, setting.compile)
    with engine.applied(model.denoiser):
        compute, rows = warm(model, picture, setting.rows)
        network = Stopwatch(compute, device)
        for _ in range(setting.repeats):
            network()
        errors, live = lived(model, image, replace(engine, rows=rows), setting.repeats, encode)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device) / 2**30
    # Counted where attention is written out as matrix products: not every fused kernel is known.
    with Engine(fused_attention=False).applied(model.denoiser):
        flops = counted_flops(micro_batch(model, picture, 1))
    dtype = resolve_precision(model.evaluation.precision, device)
    return Figures(
        rows=rows,
        per_row=len(CLASSES) if model.denoiser.shared_trunk else 1,
        network=statistics.median(network.seconds) / rows,
        live=live,
        encoding=statistics.median(encode.seconds[1:]),
        flops=flops,
        peak=matmul_peak(device, dtype, side),
        memory=memory,
        errors=errors,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
    )


def micro_batch(model: EmoDC, picture: Prepared, rows: int) -> Callable[[], Tensor]:
    """A function that scores as many rows; their noise is drawn here, not there."""
    plan, denoiser = model.evaluation, model.denoiser
    noisy = noisy_rows(denoiser, plan, picture, [row % plan.steps for row in range(rows)])
    chosen = None
    with model.autocast():
        conditions = model.conditions()[slice(model.prompts.null_index)]
    if not denoiser.shared_trunk:
        chosen = (torch.arange(rows, device=denoiser.device) % len(CLASSES))[:, None]

    def compute() -> Tensor:
        with model.autocast():
            return errors_of_rows(denoiser, noisy, conditions, chosen, rows)

    return compute


def warm(model: EmoDC, picture: Prepared, rows: int) -> tuple[Callable[[], Tensor], int]:
    """A micro-batch that fits into memory, and has run before; and its rows."""
    while True:
        try:
            compute = micro_batch(model, picture, rows)
            for _ in range(2):
                compute().cpu()
            return compute, rows
        except RuntimeError as error:
            rows = halved(rows, error)


def lived(
    model: EmoDC, image: Tensor, engine: Engine, batches: int, encode: Stopwatch
) -> tuple[np.ndarray, float]:
    """Errors (K, S) of a picture with steps for so many micro-batches, and seconds of a row."""
    width = 1 if model.denoiser.shared_trunk else len(CLASSES)
    model.evaluation = replace(model.evaluation, steps=max(1, batches * engine.rows // width))
    pool = Pool(model, FullGrid(), engine, None, iter([(image, "picture")]))
    decide = Stopwatch(lambda: next(pool.run()), model.denoiser.device)
    errors: np.ndarray = decide().on_grid()
    seconds = decide.seconds[-1] - encode.seconds[-1]
    return errors, seconds / (width * errors.shape[1])


def matmul_peak(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """Operations per second of the fastest of ten products of two squares."""
    side = side or (8192 if device.type == "cuda" else 2048)
    square = torch.randn(side, side, device=device).to(dtype)
    multiply = Stopwatch(torch.matmul, device)
    for _ in range(12):
        multiply(square, square)
    return float(2 * side**3 / min(multiply.seconds[2:]))


def alone(setting: Setting) -> Figures:
    """`measure` in a process that it has for itself."""
    runtime.keep_freed_memory()
    if setting.precision == "float32":
        torch.backends.cudnn.allow_tf32 = False  # or convolutions would outrun the peak
    return measure(setting)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=list(PIXELS), default="full")
    parser.add_argument("--pixels", type=int, nargs="+", help="256 512 at full size")
    parser.add_argument("--precision", choices=list(PRECISIONS), nargs="+", help="all of them")
    parser.add_argument("--rows", type=int, default=64, help="of a micro-batch (64)")
    parser.add_argument("--repeats", type=int, default=5, help="micro-batches that are timed (5)")
    parser.add_argument("--compile", action="store_true", help="measure all compiled, too")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--evaluations", type=float)
    parser.add_argument("--steps", type=float)
    asked = parser.parse_args()
    asked.pixels = tuple(asked.pixels or PIXELS[asked.size])
    if asked.size == "small" and asked.pixels != PIXELS["small"]:
        parser.error("--pixels: the small network has one size of its own")
    return asked


def main() -> None:
    """Print a line per setting."""
    asked = arguments()
    names = ("size", "device", "rows", "repeats", "channels_last")
    common = {name: getattr(asked, name) for name in names}
    ways = product(asked.pixels, asked.precision or PRECISIONS, (False, True)[: 1 + asked.compile])
    print(f"{'':44}" + "".join(f"{name:>9}" for name in COLUMNS), flush=True)
    for pixels, precision, compiled in ways:
        setting = Setting(pixels=pixels, precision=precision, compile=compiled, **common)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            figures = process.submit(alone, setting).result()
        cells = figures.cells(asked.evaluations, asked.steps)
        print(f"{setting!s:44}" + "".join(f"{cell:>9}" for cell in cells), flush=True)
    print(f"on {figures.device}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
