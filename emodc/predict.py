"""From pictures to named classes with scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from emodc.diffusion.images import Picture, as_tensors, pixel_address

if TYPE_CHECKING:
    from emodc.classifier import EmoDC


@torch.no_grad()
def predict(
    model: "EmoDC", images: Tensor | Sequence[Picture], ids: Sequence[str] | None
) -> list[list[dict[str, Any]]]:
    """Classes with scores, best first, of each picture; the body of `EmoDC.predict`.

    Raises:
        ValueError: If a picture has another shape or type, or the ids are too few or many.
    """
    pictures = as_tensors(images)
    names = [pixel_address(picture) for picture in pictures] if ids is None else list(ids)
    if len(names) != len(pictures):
        raise ValueError(f"{len(pictures)} images but {len(names)} sample ids")
    results = []
    for picture, name in zip(pictures, names, strict=True):
        scores = model(picture[None].to(model.denoiser.device), [name])[0].softmax(0).tolist()
        ranked = sorted(zip(model.classes, scores, strict=True), key=lambda pair: -pair[1])
        results.append([{"label": label, "score": score} for label, score in ranked])
    return results
