"""An architecture of timm's, with weights that you have."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Brought, ClassOrder, register
from bench.util.errors import UserError, unknown
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.classifiers.base import Classifier
    from bench.classifiers.networks import Inputs
    from bench.config import Config


@register
class TimmClassifier(Brought):
    """A network of timm's. Pictures are resized to its published input size, and not cropped."""

    kind: Literal["timm"]
    model: str = Field(pattern=r"^[\w.-]+$")
    pretrained: bool = False  # timm's own weights, if they tell as many classes
    checkpoint: UserPath | None = None  # .safetensors, or what torch.load reads without pickle
    classes: ClassOrder  # of its logits

    verdict_seconds: ClassVar[float] = 0.1  # of a ResNet-18 at 224 px
    flag: ClassVar[tuple[str, str] | None] = ("timm", "model")

    @override
    def check(self, name: str) -> None:
        """Whether timm has the architecture, and where its weights are."""
        import timm

        if not timm.is_model(self.model):
            error = unknown("model of timm", self.model, timm.list_models())
            raise UserError(f"classifier {name!r}: {error}")
        if self.pretrained == (self.checkpoint is not None):
            raise UserError(
                f"classifier {name!r}: say where its weights are: checkpoint: FILE, or "
                "pretrained: true, and not both."
            )
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise UserError(f"classifier {name!r}: there is no file {self.checkpoint}.")
        names = labels.class_names(self.classes)
        if self.pretrained:
            try:
                published = timm.get_pretrained_cfg(self.model)
            except RuntimeError as error:  # an unknown tag
                raise UserError(f"classifier {name!r}: {error}") from error
            count = 0 if published is None else published.num_classes
            if count != len(names):
                raise UserError(
                    f"classifier {name!r}: timm's weights of {self.model} tell {count} classes, "
                    f"not {len(names)}. Give a checkpoint that was trained on yours."
                )

    @override
    def identity(self, name: str) -> str:
        """A digest of architecture, classes, inputs and weights."""
        return self._made(name)[1]

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.discriminative import DiscriminativeClassifier

        model, digest = self._made(name)
        own = DiscriminativeClassifier(model, labels.class_names(self.classes), digest, device)
        own.training = self.declared()
        return own

    def _made(self, name: str) -> "tuple[nn.Module, str]":
        import timm

        from baselines.fer import read_tensors
        from bench.classifiers.networks import PreparedNetwork

        self.check(name)
        classes = labels.class_names(self.classes)
        network = timm.create_model(
            self.model, pretrained=self.pretrained, num_classes=len(classes)
        )
        if self.checkpoint is not None:
            try:
                network.load_state_dict(read_tensors(self.checkpoint))
            except Exception as error:  # of several libraries, about damaged or other files
                raise UserError(
                    f"classifier {name!r}: {self.checkpoint} has no fitting weights of a "
                    f"{self.model} with {len(classes)} classes: {error}",
                    1,
                ) from error
        model = PreparedNetwork(network, published_inputs(network))
        return model, model.digest(self.model, classes)


def published_inputs(network: "nn.Module") -> "Inputs":
    """What timm says that a network of its wants; pictures are not cropped."""
    from timm.data import resolve_data_config

    from bench.classifiers.networks import Inputs

    asked = resolve_data_config({}, model=network)
    filters = asked["interpolation"]
    return Inputs(
        size=tuple(asked["input_size"][1:]),
        crop=None,
        interpolation=filters if filters in ("nearest", "bilinear") else "bicubic",
        mean=tuple(asked["mean"]),
        std=tuple(asked["std"]),
    )
