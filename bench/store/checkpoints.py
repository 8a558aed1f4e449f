"""The card that the bench puts into a checkpoint: where it came from, and whether it is whole."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.store.cells import Gate
from bench.util.errors import UserError

#: A denoiser's error under the right prompt may exceed its Base's by this factor, not more. Beyond
#: it the model names classes without predicting noise: a discriminative classifier in disguise.
GATE_FACTOR = 1.2

_FILE = "bench.json"
#: What says how the weights came about, and not what they are.
_NOT_WEIGHTS = (_FILE, "training.jsonl", "README.md")


class Card(BaseModel):
    """The card of a checkpoint folder.

    Attributes:
        kind: What the folder holds.
        recipe: Everything that determined the weights.
        weights: SHA-256 over the folder's other files, shortened.
        validation: Figures measured on the validation split.
        gate: For EmoDC.
        seconds: Training time of this stage and of those before it.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["emodc", "baseline"]
    recipe: dict[str, Any]
    weights: str
    validation: dict[str, float]
    gate: Gate | None
    seconds: float

    @classmethod
    def verified(cls, folder: Path) -> "Card":
        """The card of `folder`, after comparing the weights' checksum.

        Raises:
            UserError: If the folder is missing, incomplete or damaged.
        """
        advice = "If a run made it, delete that folder and run again: finished results stay."
        try:
            card = cls.model_validate_json((folder / _FILE).read_text())
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise UserError(
                f"the checkpoint {folder} has no readable {_FILE}. {advice}", 1
            ) from error
        if card.weights != fingerprint(folder):
            raise UserError(
                f"the checkpoint {folder} is damaged (its checksum changed). {advice}", 1
            )
        return card

    def write(self, folder: Path) -> None:
        """Write the card into `folder`."""
        (folder / _FILE).write_text(self.model_dump_json(indent=1) + "\n")


def fingerprint(folder: Path) -> str:
    """Sixteen hex digits of SHA-256 over a checkpoint's files, less those that describe it."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_WEIGHTS):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def judge(d_p: float, base_d_p: float | None) -> Gate:
    """The gate of a checkpoint with validation error `d_p`, trained from a Base with `base_d_p`.

    Without a Base to compare with, a checkpoint trained by anything but plain denoising fails.
    """
    passed = base_d_p is not None and d_p <= GATE_FACTOR * base_d_p
    return Gate(passed=passed, d_p=d_p, base_d_p=base_d_p)
