"""The card that the bench puts into a checkpoint: where it came from, and whether it is whole."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from scipy.special import stdtrit

from bench.stats import wilson
from bench.store.cells import Conditioning, Gate, Manifest, Reference
from bench.store.store import Store
from bench.util.errors import UserError
from bench.util.files import read_sealed, write_sealed

SCHEMA = 1

#: A denoiser's error under the right prompt may exceed its Base's by this factor, not more. Beyond
#: it the model names classes without predicting noise: a discriminative classifier in disguise.
GATE_FACTOR = 1.2

_FILE = "bench.json"
#: What says how the weights came about, and not what they are; a fit changes no logits.
_NOT_WEIGHTS = (_FILE, "training.jsonl", "README.md", "fit.json")
#: Fields of JSON files that say where and with what a part was saved, and determine no output.
_NOT_OUTPUTS = (
    *("_name_or_path", "name_or_path", "_diffusers_version", "transformers_version"),
    *("is_local", "local_files_only"),
)


class Card(BaseModel):
    """The card of a checkpoint folder.

    Attributes:
        schema_version: Of this record.
        kind: What the folder holds.
        recipe: Everything that determined the weights.
        weights: `fingerprint` of the folder.
        validation: Figures measured on the validation split.
        gate: For EmoDC, judged by its first stage: which other checkpoints a run has is not known
            to the training.
        seconds: Training time of this stage and of those before it.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: int = SCHEMA
    kind: Literal["emodc", "baseline", "clip_network", "probe"]
    recipe: dict[str, Any]
    weights: str
    validation: dict[str, float]
    gate: Gate | None
    seconds: float

    @classmethod
    def verified(cls, folder: Path, recipe: dict[str, Any] | None = None) -> "Card":
        """The card of `folder`, after comparing its checksum and that of the weights.

        Args:
            folder: The checkpoint.
            recipe: What its weights must have been made by; None takes any.

        Raises:
            UserError: If the folder is missing, incomplete, damaged, or another's.
        """
        advice = (
            "If a run made it and none is writing it now, delete that folder and run again: "
            "finished results stay."
        )
        try:
            card = cls(**read_sealed(folder / _FILE, SCHEMA))
        except (OSError, ValueError) as error:  # a ValidationError is a ValueError
            reason = "it does not read as one" if isinstance(error, ValidationError) else error
            raise UserError(
                f"the checkpoint {folder} has no readable {_FILE} ({reason}). {advice}", 1
            ) from error
        if recipe is not None and json.loads(json.dumps(recipe)) != card.recipe:
            raise UserError(
                f"the checkpoint {folder} is another one's: its {_FILE} tells of other training "
                f"than its folder's name. {advice}",
                1,
            )
        if card.weights != fingerprint(folder):
            raise UserError(
                f"the checkpoint {folder} is damaged (its checksum changed). {advice}", 1
            )
        return card

    def write(self, folder: Path) -> None:
        """Write the card into `folder`."""
        write_sealed(folder / _FILE, self.model_dump())


def fingerprint(folder: Path) -> str:
    """Sixteen hex digits of SHA-256 over what determines the outputs of a checkpoint.

    That is its files, less those that describe it, and in JSON files less the fields that tell
    where a part was saved, by which version of a library, and which module has its class. The same
    weights have the same fingerprint in every folder.
    """
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_WEIGHTS):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        if path.suffix == ".json":
            total.update(_determining(path))
            continue
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()[:16]


def _determining(path: Path) -> bytes:
    """What a JSON file says of outputs, in one spelling; a damaged file as it is."""
    written = path.read_bytes()
    try:
        content = json.loads(written)
    except (ValueError, RecursionError):
        return written
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in _NOT_OUTPUTS}
        if path.name == "model_index.json":  # a part is [module, class]
            content = {k: v[1:] if isinstance(v, list) else v for k, v in content.items()}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


# ------------------------------------------------------------------------------------------------
# The checks: is it still a denoiser, and does its prompt matter?


def judge(
    d_p: float,
    base_d_p: float | None,
    conditioning: Conditioning | None = None,
    reference: Reference = "first_stage",
) -> Gate:
    """The denoiser check: validation error `d_p` beside a Base with `base_d_p`.

    Without a Base to compare with, a checkpoint trained by anything but plain denoising fails.
    """
    passed = base_d_p is not None and d_p <= GATE_FACTOR * base_d_p
    return Gate(
        passed=passed,
        d_p=d_p,
        base_d_p=base_d_p,
        conditioning=conditioning,
        reference=reference,
    )


class Bases:
    """The plain denoisers of a run, by which its other EmoDCs are judged.

    A first stage has had fewer steps than the checkpoint that began with it, and is the worse
    denoiser for it; so the check compares with a Base of equal budget where the run has one. That
    may be trained before or after, so cards and manifests keep what training knew, and results
    are judged when they are read.

    Args:
        manifests: Of the run; None is passed over.
    """

    def __init__(self, manifests: Iterable[Manifest | None]) -> None:
        self._known: dict[tuple[Any, ...], list[Manifest]] = {}
        for manifest in manifests:
            if manifest is not None and manifest.gate is not None and is_plain(manifest.training):
                self._known.setdefault(_trained_on(manifest), []).append(manifest)

    @classmethod
    def of(cls, store: Store) -> "Bases":
        """Those of a store that have clean pictures among its planned cells."""
        return cls(store.manifest(cell) for cell in store.planned() if cell.about.clean)

    def judged(self, manifest: Manifest) -> Manifest:
        """The manifest with its denoiser check by the Base of equal budget, where there is one."""
        gate, own = manifest.gate, manifest.training
        if gate is None or not own.get("stages"):
            return manifest
        judged = gate
        if is_plain(own):
            judged = judge(gate.d_p, gate.d_p, gate.conditioning, "itself")
        else:
            alike = self._known.get(_trained_on(manifest), [])
            known = [base for base in alike if base.training["kind"] == own["kind"]]
            found = nearest_base(own, [base.training for base in known])
            base = None if found is None else known[found].gate
            if base is not None:
                judged = judge(gate.d_p, base.d_p, gate.conditioning, "equal_budget")
        judged = judged.model_copy(update={"linear_d_p": gate.linear_d_p})
        return manifest.model_copy(update={"gate": judged})


def nearest_base(training: dict[str, Any], known: Sequence[dict[str, Any]]) -> int | None:
    """Which of some trainings is the plain denoiser that `training` is compared with.

    Args:
        training: Of a manifest.
        known: Of other manifests.

    Returns:
        Position of the one of equal budget that differs in its stages alone, if possible in their
        objectives alone; the first of several; None if there is none.
    """
    found = [i for i, other in enumerate(known) if _is_base(other, training)]
    return min(found, key=lambda i: _plan(known[i]) != _plan(training), default=None)


def is_plain(training: dict[str, Any]) -> bool:
    """Whether all stages of an EmoDC's `training`, of a manifest, are plain denoising."""
    return {stage["objective"]["kind"] for stage in training.get("stages") or []} == {"base"}


def _is_base(base: dict[str, Any], training: dict[str, Any]) -> bool:
    equal = budget(base) == budget(training) and setting(base) == setting(training)
    return is_plain(base) and equal


def budget(training: dict[str, Any]) -> int:
    """Pictures seen in a training, as planned: optimiser steps x batch size of all stages."""
    return sum(stage["steps"] * stage.get("batch_size", 1) for stage in training["stages"])


def setting(training: dict[str, Any]) -> dict[str, Any]:
    """What comparable trainings share: network, prompts, precision."""
    own = {"kind", "stages", "seed", "seconds", "trained_with"}
    return {key: value for key, value in training.items() if key not in own}


def _plan(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Steps, batches, rates and so on of the stages, whatever their objectives."""
    return [{**stage, "objective": None} for stage in training["stages"]]


def _trained_on(manifest: Manifest) -> tuple[Any, ...]:
    """The data set and the seed of training."""
    seed = manifest.training.get("seed", manifest.cell.seed)
    return manifest.cell.dataset, manifest.inputs.get("data"), seed


def split_errors(
    errors: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors (N, K) under the right prompts, (N,), and under the wrong ones, (N, K - 1)."""
    wrong = np.arange(errors.shape[1]) != labels[:, None]
    return errors[~wrong], errors[wrong].reshape(len(errors), -1)


def conditioning_check(errors: NDArray[np.float64], labels: NDArray[np.int64]) -> Conditioning:
    """Whether prompts matter: accuracy above chance, and d_n above d_p, beyond their noise.

    Args:
        errors: Mean error of every picture under every class's prompt, (N, K), N >= 2.
        labels: The right classes, (N,).
    """
    n = len(errors)
    positive, others = split_errors(errors, labels)
    right = int((positive < others.min(axis=1)).sum())
    accuracy_low = wilson(right, n).low
    chance = float(np.bincount(labels).max() / n)
    gaps = others.mean(axis=1) - positive
    gap = float(gaps.mean())
    half = float(stdtrit(n - 1, 0.975) * gaps.std(ddof=1) / np.sqrt(n))
    return Conditioning(
        passed=accuracy_low > chance and gap - half > 0,
        n=n,
        accuracy=right / n,
        accuracy_low=accuracy_low,
        chance=chance,
        gap=gap,
        gap_low=gap - half,
        gap_high=gap + half,
    )
