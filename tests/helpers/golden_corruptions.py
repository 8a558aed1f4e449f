"""Checksums of what every corruption makes of one picture, in a file that tests compare with.

After a corruption's `version` was raised, or one was added, run from the root of the repository

    PYTHONPATH=. python tests/helpers/golden_corruptions.py > golden.json
    mv golden.json tests/bench/perturb/

and look at the difference: only lines that were meant to change may. No test writes the file.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from bench.perturb import CORRUPTIONS, Corruption

FILE = Path(__file__).parents[1] / "bench" / "perturb" / "golden.json"
ADDRESS = {"seed": 0, "dataset": "faces", "sample_id": "a"}


def picture() -> np.ndarray:
    """Stripes of several widths, one direction per channel, uint8 (64, 64, 3)."""
    y, x = np.indices((64, 64))
    return np.stack([x * 9, y * 5, (x + y) * 3], axis=-1).astype(np.uint8)


def checksums(corruption: Corruption) -> str:
    """One checksum for each severity, from 1 on."""
    made = (corruption(picture(), severity, **ADDRESS) for severity in corruption.severities)
    return " ".join(hashlib.sha256(pixels.tobytes()).hexdigest()[:12] for pixels in made)


def text() -> str:
    """The file as it should be: a line for each corruption."""
    found = {name: checksums(corruption) for name, corruption in CORRUPTIONS.items()}
    return json.dumps(found, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
