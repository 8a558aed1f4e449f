"""Logistic regression on the features of a pretrained network, which stays as it is."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from typing_extensions import override

from bench.classifiers.kinds.base import TrainedAtOnce, TrainedWith, register
from bench.classifiers.kinds.huggingface import (
    fetched,
    folder_digest,
    inputs_of,
    opened,
    require_place,
)
from bench.util.errors import UserError, unknown
from bench.util.section import UserPath

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.classifiers.networks import PreparedNetwork
    from bench.config import Config
    from bench.training.loop import TrainingJob


@register
class ProbeClassifier(TrainedAtOnce):
    """Frozen features of a network of timm's or of Hugging Face, such as DINOv2 or CLIP.

    Multinomial logistic regression is fitted on training pictures, its penalty chosen on
    validation pictures (`bench.training.discriminative`). The checkpoint has the regression alone.
    """

    kind: Literal["probe"]
    library: Literal["huggingface", "timm"] = "huggingface"
    model: Annotated[str, AfterValidator(os.path.expanduser)]  # a folder or hub id; a timm name
    revision: str | None = None  # of the hub
    checkpoint: UserPath | None = None  # of timm: weights; without it timm's own
    trained_with: TrainedWith = Field(default_factory=list)

    text: ClassVar[str] = "Logistic regression on the features of a pretrained network."
    verdict_seconds: ClassVar[float] = 0.3  # of a ViT-B at 224 px
    train_step_seconds: ClassVar[float] = 10.0

    @override
    def check(self, name: str) -> None:
        """Whether there is such a network."""
        if self.library == "huggingface":
            if self.checkpoint is not None:
                raise UserError(f"classifier {name!r}: checkpoint is for library: timm.")
            require_place(name, self.model)
            return
        import timm

        if not timm.is_model(self.model):
            error = unknown("model of timm", self.model, timm.list_models())
            raise UserError(f"classifier {name!r}: {error}")
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise UserError(f"classifier {name!r}: there is no file {self.checkpoint}.")

    @property
    @override
    def tried_quickly(self) -> bool:
        """All pictures' features are computed before anything is fitted."""
        return False

    @override
    def recipes(self, common: Mapping[str, Any]) -> list[dict[str, Any]]:
        """With a digest of the network, which is not in the checkpoint."""
        what = {"kind": self.kind, "library": self.library, "model": Path(self.model).name}
        return [{**common, **what, "backbone": self._backbone_digest("probe")}]

    @classmethod
    @override
    def stem(cls, recipe: Mapping[str, Any]) -> str:
        return f"probe-{recipe['model']}"

    @classmethod
    @override
    def training_steps(cls, recipe: Mapping[str, Any]) -> int:
        return 1

    @override
    def train_network(self, job: "TrainingJob") -> None:
        """Compute the features of all pictures, and fit."""
        from bench.training.discriminative import train_probe

        train_probe(self, job)

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        from bench.classifiers.discriminative import DiscriminativeClassifier
        from bench.store.checkpoints import Card
        from bench.training.discriminative import load_probe

        assert folder is not None
        card = Card.verified(folder)
        if card.recipe["backbone"] != self._backbone_digest(name):
            raise UserError(f"classifier {name!r}: {self.model} is not the network of {folder}.", 1)
        network, classes = load_probe(folder, self.backbone(name))
        own = DiscriminativeClassifier(network, classes, card.weights, device)
        own.validation = card.validation
        own.training = {k: v for k, v in card.recipe.items() if k not in ("data", "classes")}
        own.training |= {"seconds": card.seconds} | self.declared()
        return own

    def _backbone_digest(self, name: str) -> str:
        if self.library == "huggingface":
            return folder_digest(name, fetched(name, self.model, self.revision))
        return self.backbone(name).digest(self.model)

    def backbone(self, name: str) -> "PreparedNetwork":
        """Images -> features (B, D)."""
        from bench.classifiers.networks import PreparedNetwork, pooled

        self.check(name)
        if self.library == "huggingface":
            from transformers import AutoModel

            folder = fetched(name, self.model, self.revision)
            network = opened(name, folder, AutoModel, optional="pooler")  # classifiers have none
            # Of one of pictures and texts, such as CLIP, the part that sees.
            network = getattr(network, "vision_model", network)
            return PreparedNetwork(network, inputs_of(name, folder), pooled)
        import timm

        from baselines.fer import read_tensors
        from bench.classifiers.kinds.timm import published_inputs

        network = timm.create_model(self.model, pretrained=self.checkpoint is None, num_classes=0)
        if self.checkpoint is not None:
            try:
                lacking = network.load_state_dict(read_tensors(self.checkpoint), strict=False)
            except Exception as error:  # of several libraries, about damaged or other files
                raise UserError(f"classifier {name!r}: {self.checkpoint}: {error}", 1) from error
            if lacking.missing_keys:  # what is beyond the features, such as a head, may be there
                raise UserError(
                    f"classifier {name!r}: {self.checkpoint} has no {lacking.missing_keys[0]} of a "
                    f"{self.model}."
                )
        return PreparedNetwork(network, published_inputs(network))
