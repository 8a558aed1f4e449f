"""A random generator per address, so that no draw depends on what was drawn before. No torch."""

import hashlib

import numpy as np


def philox(*address: int | str, counter: int = 0) -> np.random.Generator:
    """A random generator for one address.

    Args:
        *address: Whatever names the draw, for example ``(seed, "noise", sample_id)``.
        counter: A position within the address. Each position owns 2**128 draws of the stream.

    Returns:
        A numpy generator over Philox (Salmon et al. 2011), a counter-based generator: streams of
        different keys or positions are independent and cost nothing to reach.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in address)
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, counter, 0]))
