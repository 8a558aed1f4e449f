"""The only place of the bench where random numbers come from.

Every draw has an address, such as (seed, data set, sample id, perturbation, severity), so a result
does not depend on batch size, order, shard or where a run was resumed.
"""

import contextlib
import hashlib
import random
from collections.abc import Iterator

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

    seed = key(*address)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
