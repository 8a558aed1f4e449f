"""The only place of the bench where random numbers come from.

Every draw has an address, such as (seed, data set, sample id, perturbation, severity), so a result
does not depend on batch size, order, shard or where a run was resumed.
"""

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np


def key(*address: int | str) -> int:
    """A 63-bit number that stands for an address."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in address)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*address: int | str) -> np.random.Generator:
    """The numpy generator of an address (Philox: streams of different keys are independent)."""
    return np.random.Generator(np.random.Philox(key=key(*address)))


@contextlib.contextmanager
def fenced(*address: int | str) -> Iterator[None]:
    """Seed all global generators for third-party code that draws from them, then restore them."""
    import torch

    seed, before = key(*address), states()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
    try:
        yield
    finally:
        restore(before)


def states() -> tuple[Any, ...]:
    """Where all global generators are: Python's, numpy's, torch's, and those of GPUs in use."""
    import torch

    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), gpus  # noqa: NPY002


def restore(before: tuple[Any, ...]) -> None:
    """Put all global generators back to where `states` found them."""
    import torch

    python, numpy, cpu, gpus = before
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(gpus)
