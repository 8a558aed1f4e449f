"""Training that makes a network robust: adversarial training, and augmentation with corruptions.

Adversarial training shows each picture after an attack on the network as it is at that step:

PGD-AT   Madry et al. 2018 (arXiv 1706.06083), equation 2.1: the cross-entropy at the worst point
         within eps of the picture.
TRADES   Zhang et al. 2019 (arXiv 1901.08573), equation 5: the cross-entropy of the picture, plus
         beta times how far the network's answer moves at the worst point within eps.

Augmentation shows each picture as it is, or changed at random; see `AUGMENTATIONS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2


@dataclass(frozen=True)
class AdversarialTraining:
    """An attack within a ball of the maximum norm, and the loss at what it finds.

    Attributes:
        method: "pgd" (PGD-AT) or "trades".
        eps: Radius in [0, 1], as pixels are.
        steps: Gradient steps of the attack.
        step_size: Length of each; a quarter of eps if not given.
        beta: Weight of TRADES's second term.
    """

    method: Literal["pgd", "trades"] = "pgd"
    eps: float = 2 / 255
    steps: int = 7
    step_size: float | None = None
    beta: float = 6.0

    def attacked(
        self, classifier: nn.Module, images: Tensor, labels: Tensor, draws: torch.Generator
    ) -> Tensor:
        """The pictures, moved to where the loss's inner maximum is sought.

        Args:
            classifier: Attacked with its running statistics; left in the mode it was in.
            images: float32 (B, 3, H, W) in [0, 1].
            labels: int64 (B,).
            draws: Of the point where the attack starts: uniform in the ball (PGD), or a small step
                from the picture, where the divergence has no slope (TRADES).

        Returns:
            float32 (B, 3, H, W) in [0, 1], within eps of `images`.
        """
        training = classifier.training
        classifier.eval()
        step = self.eps / 4 if self.step_size is None else self.step_size
        if self.method == "pgd":
            start = self.eps * (2 * torch.rand(images.shape, generator=draws) - 1)
            clean = None
        else:
            start = 1e-3 * torch.randn(images.shape, generator=draws)
            with torch.no_grad():
                clean = classifier(images).softmax(dim=1)
        moved = (images + start.to(images.device).clamp(-self.eps, self.eps)).clamp(0, 1)
        for _ in range(self.steps):
            moved.requires_grad_(True)
            logits = classifier(moved)
            loss = F.cross_entropy(logits, labels) if clean is None else _divergence(clean, logits)
            (slope,) = torch.autograd.grad(loss, moved)
            moved = moved.detach() + step * slope.sign()
            moved = (images + (moved - images).clamp(-self.eps, self.eps)).clamp(0, 1)
        classifier.train(training)
        return moved.detach()

    def loss(
        self,
        classifier: nn.Module,
        images: Tensor,
        labels: Tensor,
        smoothing: float,
        draws: torch.Generator,
    ) -> Tensor:
        """The loss to descend; arguments as in `attacked`, label smoothing in [0, 1)."""
        moved = self.attacked(classifier, images, labels, draws)
        if self.method == "pgd":
            return F.cross_entropy(classifier(moved), labels, label_smoothing=smoothing)
        # One batch, so that both halves are normalised alike.
        clean, worst = classifier(torch.cat([images, moved])).chunk(2)
        entropy = F.cross_entropy(clean, labels, label_smoothing=smoothing)
        return entropy + self.beta * _divergence(clean.softmax(dim=1), worst)


def _divergence(truth: Tensor, logits: Tensor) -> Tensor:
    """KL(truth || softmax(logits)), mean over rows; probabilities (B, K) and logits (B, K)."""
    return F.kl_div(logits.log_softmax(dim=1), truth, reduction="batchmean")


# ------------------------------------------------------------------------------------------------
# Augmentation.


Augmentation = Literal["noise", "blur", "augmix", "randaugment", "jitter", "erasing"]
_STRONGEST_NOISE = 0.3
_STRONGEST_BLUR = 0.04  # of a picture's side


def _noise(image: Tensor) -> Tensor:
    """White noise of a random strength (compare Rusak et al. 2020, arXiv 2001.06057)."""
    return (image + _STRONGEST_NOISE * torch.rand(()) * torch.randn(image.shape)).clamp(0, 1)


def _blur(image: Tensor) -> Tensor:
    """A Gaussian blur of a random strength."""
    widest = _STRONGEST_BLUR * image.shape[-1]
    sigma = max(1e-3, float(widest * torch.rand(())))
    size = 2 * int(3 * sigma + 1) + 1
    blurred: Tensor = v2.functional.gaussian_blur(image, [size, size], [sigma, sigma])
    return blurred


def _on_bytes(transform: nn.Module) -> Callable[[Tensor], Tensor]:
    """A transform that reads 8 bits, for pictures in [0, 1]."""
    return lambda image: transform((image * 255).round().to(torch.uint8)).float() / 255.0


#: What each does to one float32 picture (3, H, W) in [0, 1], with torch's global generator.
#: "augmix" is AugMix's augmentation (arXiv 1912.02781) without its consistency loss.
AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "augmix": _on_bytes(v2.AugMix()),
    "randaugment": _on_bytes(v2.RandAugment()),
    "jitter": v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "erasing": v2.RandomErasing(p=1.0),
}
assert set(AUGMENTATIONS) == set(get_args(Augmentation))


def augmented(images: Tensor, names: Sequence[str]) -> Tensor:
    """Half of the pictures changed, each by one augmentation that is drawn from `names`.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        names: Of `AUGMENTATIONS`.

    Returns:
        float32 (B, 3, H, W) in [0, 1]; drawn with torch's global generator.
    """
    rows = []
    for image in images:
        if torch.rand(()) < 0.5:
            chosen = names[int(torch.randint(len(names), ()))]
            image = AUGMENTATIONS[chosen](image)
        rows.append(image)
    return torch.stack(rows)
