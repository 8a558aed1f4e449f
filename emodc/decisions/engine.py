"""How a network is run when decisions are made live: constant micro-batches, and their switches.

Every micro-batch has the same shape, so that on a CPU the result of a row does not depend on its
neighbours, to the last bit: matrix products of one shape add in one order. It also is what
`torch.compile` with static shapes and a GPU's kernels ask for.
"""

import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.noise_aware import Noised


@dataclass(frozen=True)
class Engine:
    """How micro-batches are computed. What they are computed in is `Evaluation.precision`.

    Attributes:
        rows: Network rows of a micro-batch. A network with a shared trunk scores all prompts of
            a row. It is halved when memory runs out.
        channels_last: Keep the network's weights with channels last in memory; the first
            convolution then brings the rows into that order, too.
        compile: `torch.compile` the network for this one shape. The first micro-batch then takes
            a minute or so, and one of another size again. Compiled code adds in an order of its
            own: errors differ from uncompiled ones in the last bits.
        fused_attention: Let PyTorch choose a fused kernel for scaled dot-product attention;
            otherwise it is written out as matrix products.
    """

    rows: int = 64
    channels_last: bool = False
    compile: bool = False
    fused_attention: bool = True

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"a micro-batch has at least one row, not {self.rows}")

    @contextlib.contextmanager
    def applied(self, denoiser: Denoiser) -> Iterator[None]:
        """Run `denoiser` with these switches; afterwards they are off.

        Raises:
            ValueError: If it is to be compiled on a CPU without a C++ compiler.
        """
        network, name = denoiser.network, denoiser.network_method
        with contextlib.ExitStack() as undo:
            if not self.fused_attention:
                undo.enter_context(sdpa_kernel(SDPBackend.MATH))
            if self.channels_last:
                network.to(memory_format=torch.channels_last)
                undo.callback(network.to, memory_format=torch.contiguous_format)
            if self.compile:
                require_compiler(denoiser.device)
                setattr(network, name, torch.compile(getattr(network, name), dynamic=False))
                undo.callback(delattr, network, name)
            yield


def errors_of_rows(
    denoiser: Denoiser,
    rows: Noised,
    conditions: Conditions,
    chosen: Tensor | None,
    size: int,
) -> Tensor:
    """Errors of at most `size` rows, computed as exactly `size`: the last one is repeated.

    Args:
        denoiser: Scores the rows.
        rows: n noisy pictures.
        conditions: Of P prompts.
        chosen: The prompts of each row, int64 (n, M); all if None.
        size: Rows of the micro-batch.

    Returns:
        float32 (n, M).
    """
    count = len(rows.noisy)
    padded = torch.arange(size, device=rows.noisy.device).clamp_max(count - 1)
    if chosen is not None:
        chosen = chosen[padded]
    noisy, times, target = rows.noisy[padded], rows.timesteps[padded], rows.target[padded]
    return denoiser.errors(noisy, times, target, conditions, chosen)[:count]


def halved(size: int, error: RuntimeError, least: int = 1) -> int:
    """The size of the next micro-batches after `error`; says that it was halved.

    Args:
        size: Network rows of the micro-batch that failed.
        error: Why it did.
        least: Network rows that stay together: the templates of a class.

    Raises:
        RuntimeError: The error itself, if memory was not what ran out.
        MemoryError: If there is nothing left to halve.
    """
    if not _out_of_memory(error):
        raise error
    if size < 2 * least:
        raise MemoryError(
            "there is not enough memory for even the smallest micro-batch, one picture at one "
            "step. Use a smaller network, bfloat16, fewer templates, or a device with more memory."
        ) from error
    warnings.warn(
        f"out of memory with {size} rows at a time: going on with {size // 2}. Set Engine(rows="
        f"{size // 2}) to begin there.",
        RuntimeWarning,
        stacklevel=2,
    )
    return size // 2


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether a CUDA or CPU allocator had nothing left; the latter has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def require_compiler(device: torch.device) -> None:
    """Refuse to compile for a CPU without a C++ compiler.

    Raises:
        ValueError: Naming the compiler that is looked for.
    """
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ValueError(
            f"compile=True needs a C++ compiler on a CPU, and {compiler!r} is not there. Install "
            "one, name yours in the environment variable CXX, or leave `compile` off."
        )
