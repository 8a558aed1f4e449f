"""A discriminative network that is trained here, from scratch or from weights that you have."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, StrictBool
from typing_extensions import override

from bench.classifiers.kinds.base import TrainedAtOnce, register
from bench.util.errors import UserError
from bench.util.section import Section, UserPath

if TYPE_CHECKING:
    from baselines.networks import FaceClassifier
    from baselines.train import AdversarialTraining
    from bench.training.loop import TrainingJob


class AdversarialConfig(Section):
    """Adversarial training; see `baselines.train`."""

    method: Literal["pgd", "trades"] = "pgd"
    eps: float = Field(2.0, gt=0, le=255)  # in 1/255
    steps: int = Field(7, ge=1)
    step_size: float | None = Field(None, gt=0)  # in 1/255; a quarter of eps if not given
    beta: float = Field(6.0, gt=0)  # of trades

    def training(self) -> "AdversarialTraining":
        """What the trainer is given."""
        from baselines.train import AdversarialTraining

        step = None if self.step_size is None else self.step_size / 255
        return AdversarialTraining(self.method, self.eps / 255, self.steps, step, self.beta)


@register
class BaselineClassifier(TrainedAtOnce):
    """A discriminative network, trained here."""

    kind: Literal["baseline"]
    architecture: str
    # Where it starts: timm's weights (true), a file of the network's, or files of its parts.
    pretrained: StrictBool | UserPath | dict[str, UserPath] = False
    image_size: int = Field(64, ge=16)
    steps: int = Field(625, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, le=1)  # share of the steps
    weight_decay: float = Field(0.05, ge=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    ema: float = Field(0.0, ge=0, lt=1)  # decay of averaged weights, which are kept
    batch_size: int = Field(64, ge=1)
    # Half of the pictures are changed, each by one of these.
    augmentation: tuple[
        Literal["noise", "blur", "augmix", "randaugment", "jitter", "erasing"], ...
    ] = ()
    balanced: bool = False  # every class equally often
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    sam: float = Field(0.0, ge=0)
    adversarial: AdversarialConfig | None = None
    objective: Literal["scn", "dan", "eac"] | None = None  # a paper's loss and head, on a ResNet

    saw: ClassVar[tuple[str, ...]] = ("shift", "translation")  # moved by a few pixels
    text: ClassVar[str] = "A discriminative classifier."
    data_parallel: ClassVar[bool] = True
    shares_batches: ClassVar[bool] = True

    @property
    def train_step_seconds(self) -> float:  # type: ignore[override]
        """Seconds on one core of a training step of 64 pictures, as a ResNet-18 takes them."""
        return 0.36 * (self.image_size / 64) ** 2

    @property
    def verdict_seconds(self) -> float:  # type: ignore[override]
        """Seconds on one core of a decision among eight, as a ResNet-18 takes them."""
        return 0.004 * (self.image_size / 64) ** 2

    @property
    def loss(self) -> str | None:
        """The loss of a paper that it is trained with, if it is; MA-Net's goes with its network."""
        return "ma_net" if self.architecture == "ma_net" else self.objective

    @override
    def check(self, name: str) -> None:
        """Whether the architecture is known, its weights are there, and the recipe is one."""
        from baselines.networks import WHOLE, require_architecture

        try:
            require_architecture(self.architecture, self.objective, self.image_size)
        except ValueError as error:
            raise UserError(f"classifier {name!r}: {error}") from error
        clashing = [field for field in ("mixup", "cutmix", "adversarial") if getattr(self, field)]
        if self.loss is not None and clashing:
            raise UserError(
                f"classifier {name!r}: {self.loss} has a loss of its own; remove {clashing[0]}."
            )
        if self.objective is not None and self.batch_size < 2:
            raise UserError(f"classifier {name!r}: objective needs a batch_size of 2 or more.")
        if self.adversarial is not None and clashing[1:]:
            raise UserError(
                f"classifier {name!r}: adversarial attacks one label, {clashing[0]} has two; "
                "remove one."
            )
        if self.layer_decay < 1 and (self.objective is not None or self.architecture in WHOLE):
            raise UserError(
                f"classifier {name!r}: layer_decay is for timm's architectures without an "
                "objective, whose layers are known; remove it."
            )
        self._check_weights(name)

    def _check_weights(self, name: str) -> None:
        import timm

        from baselines.networks import WHOLE

        for path in self._files().values():
            if not path.is_file():
                raise UserError(f"classifier {name!r}: there is no file {path}.")
        if self.architecture == "poster++" and set(self._files()) != {"ir_back", "face_landback"}:
            raise UserError(
                f"classifier {name!r}: poster++ is not trained from scratch: its landmark network "
                "stays as it is. Name both files of its authors as pretrained: "
                "{ir_back: ir50.pth, face_landback: mobilefacenet_model_best.pth.tar}."
            )
        if self.pretrained is True:
            published = None
            if self.architecture not in ("vit_small", *WHOLE):
                published = timm.get_pretrained_cfg(self.architecture)
            if published is None or not published.has_weights:
                raise UserError(
                    f"classifier {name!r}: timm has no weights of {self.architecture}. Name a file "
                    "as pretrained, or remove it."
                )

    def _files(self) -> dict[str, Path]:
        """Files of weights, by the part of the network that they are of; "" is all of it."""
        if isinstance(self.pretrained, bool):
            return {}
        return self.pretrained if isinstance(self.pretrained, dict) else {"": self.pretrained}

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Options at their defaults are left out: recipes are what they were without them.

        Files of weights are named by their content.
        """
        always = ("architecture", "steps", "learning_rate", "batch_size")
        usual = {
            name: field.default
            for name, field in type(self).model_fields.items()
            if name not in always
        }
        own = self.model_dump()
        if files := self._files():
            own["pretrained"] = {
                part: sha256(path.read_bytes()).hexdigest() if path.is_file() else None
                for part, path in files.items()
            }
        return [{**common, **{k: v for k, v in own.items() if k not in usual or v != usual[k]}}]

    def start(self, name: str, classes: tuple[str, ...]) -> "FaceClassifier":
        """The network before its first step, with the global generator's draws.

        Raises:
            UserError: If weights to start from cannot be had, or are another network's, or if it
                takes no pictures of this size.
        """
        import torch

        from baselines.fer import read_tensors
        from baselines.networks import FaceClassifier, published_normalisation, start_from

        usual = {}
        if self.pretrained:
            usual["normalisation"] = published_normalisation(self.architecture)
        made = FaceClassifier(
            self.architecture, classes, self.objective, size=self.image_size, **usual
        )
        if self.pretrained is True:
            import timm

            try:
                weights = timm.create_model(self.architecture, pretrained=True).state_dict()
            except Exception as error:  # of the hub and its transports
                raise UserError(
                    f"classifier {name!r}: timm's weights of {self.architecture} could not be "
                    f"fetched ({error}). Name a file as pretrained.",
                    1,
                ) from error
            start_from(made, weights)
        for part, path in self._files().items():
            try:
                start_from(made, read_tensors(path), part)
            except ValueError as error:
                raise UserError(
                    f"classifier {name!r}: {path} has no weights that a {self.architecture} can "
                    f"start from: {error}.",
                    1,
                ) from error
        try:
            with torch.no_grad():
                made.eval()(torch.zeros(1, 3, self.image_size, self.image_size))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserError(
                f"classifier {name!r}: {self.architecture} takes no pictures of image_size: "
                f"{self.image_size} ({error})."
            ) from error
        return made

    @classmethod
    @override
    def shown(cls, training: Mapping[str, Any]) -> tuple[str, ...]:
        return (*cls.saw, *training.get("augmentation", ()))

    @override
    def train_network(self, job: "TrainingJob") -> None:
        from bench.training.discriminative import train_baseline

        train_baseline(self, job)
