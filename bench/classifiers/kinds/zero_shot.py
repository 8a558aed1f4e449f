"""A network of pictures and texts, such as CLIP, that is told the classes in words alone."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from typing_extensions import override

from bench import labels
from bench.classifiers.kinds.base import Brought, ClassOrder, register
from bench.classifiers.kinds.huggingface import (
    fetched,
    folder_digest,
    inputs_of,
    opened,
    require_place,
)
from bench.util.errors import UserError
from bench.util.files import digest

if TYPE_CHECKING:
    import torch

    from bench.classifiers.base import Classifier
    from bench.config import Config

#: Files of tokenizers, of whichever kind.
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"),
    *("merges.txt", "spiece.model"),
)


def _with_class(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("a template has one {}, in the place of the class")
    return template


@register
class ZeroShotClassifier(Brought):
    """CLIP or SigLIP of Hugging Face, which chooses the class whose sentence fits a picture best.

    Radford et al. 2021 (arXiv 2103.00020), section 3.1: logits are the scaled cosines of a
    picture's features and those of sentences, averaged over templates.
    """

    kind: Literal["zero_shot"]
    model: Annotated[str, AfterValidator(os.path.expanduser)]  # a folder or a hub id
    revision: str | None = None  # of the hub
    templates: tuple[Annotated[str, AfterValidator(_with_class)], ...] = (
        "a photo of a person with an expression of {}",
    )
    classes: ClassOrder = Field(default_factory=lambda: list(labels.BASIC))

    verdict_seconds: ClassVar[float] = 0.3  # of a ViT-B at 224 px
    text: ClassVar[str] = "A network of pictures and texts that was told the classes in words."

    @override
    def check(self, name: str) -> None:
        """Whether there is such a folder, or a name that may be a hub id."""
        require_place(name, self.model)

    @override
    def identity(self, name: str) -> str:
        """A digest of the files, the sentences and the class order."""
        folder = fetched(name, self.model, self.revision, _TOKENIZER)
        weights = folder_digest(name, folder, _TOKENIZER)
        return digest([weights, self.templates, labels.class_names(self.classes)])

    @override
    def load(
        self, name: str, folder: Path | None, config: "Config", device: "torch.device"
    ) -> "Classifier":
        """Nothing is executed or unpickled."""
        import torch
        from torch.nn.functional import normalize as unit
        from transformers import AutoModel, AutoTokenizer

        from bench.classifiers.discriminative import DiscriminativeClassifier
        from bench.classifiers.networks import PreparedNetwork, Sees, pooled

        found = fetched(name, self.model, self.revision, _TOKENIZER)
        network = opened(name, found, AutoModel).eval()
        if not hasattr(network, "logit_scale"):
            raise UserError(
                f"classifier {name!r}: {found} has no texts to compare pictures with; kind: "
                "zero_shot takes CLIP and SigLIP. For its features, take kind: probe."
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(found, local_files_only=True)
        except Exception as error:  # whatever transformers raises at a damaged file
            raise UserError(
                f"classifier {name!r}: the tokenizer in {found} cannot be opened: {error}", 1
            ) from error
        classes = labels.class_names(self.classes)
        length = network.config.text_config.max_position_embeddings
        texts = []
        with torch.no_grad():
            for template in self.templates:
                tokens = tokenizer(
                    [template.format(one) for one in classes],
                    padding="max_length",
                    max_length=length,
                    truncation=True,
                    return_tensors="pt",
                )
                known = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
                texts.append(unit(pooled(network.get_text_features(**known))))
        towards = unit(torch.stack(texts).mean(dim=0))
        scale = network.logit_scale.detach().exp()

        def logits(output: "torch.Tensor") -> "torch.Tensor":
            return scale.to(output.device) * unit(output) @ towards.to(output.device).T

        model = PreparedNetwork(Sees(network), inputs_of(name, found), logits)
        own = DiscriminativeClassifier(model, classes, self.identity(name), device)
        own.training = self.declared()
        return own
