"""Small networks under attack: one whose optimum is known, one that was trained."""

import functools

import numpy as np
import torch
from torch import nn

SIZE = 12


class Linear(nn.Module):
    """Two classes with a fixed direction between them: the strongest attack is known.

    Args:
        lead: Added to the logit of class 0: a large one cannot be overcome.
    """

    def __init__(self, lead: float = 0.0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        own = torch.randn(3 * 64, generator=draw).sign() * (1 + torch.rand(3 * 64, generator=draw))
        self.weight = nn.Parameter(torch.stack([own, -own]), requires_grad=False)
        self.lead = lead

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight.T + torch.tensor([self.lead, 0.0])


def blobs(count: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures uint8 (N, 12, 12, 3), with a bright blob whose place is the class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    angles = 2 * np.pi * labels / classes
    y, x = np.mgrid[:SIZE, :SIZE]
    rows, columns = 5.5 + 3 * np.sin(angles), 5.5 + 3 * np.cos(angles)
    far = (y - rows[:, None, None]) ** 2 + (x - columns[:, None, None]) ** 2
    light = 110 + 40 * np.exp(-far / 6)[..., None] + draw.normal(0, 40, (count, SIZE, SIZE, 3))
    return light.clip(0, 255).astype(np.uint8), labels


@functools.lru_cache
def trained(classes: int = 3) -> nn.Module:
    """A small convolutional network, trained for a second; nine in ten pictures are right."""
    pictures, labels = blobs(900, 1, classes)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(8 * 36, classes),
        )  # fmt: skip
        optimiser = torch.optim.Adam(net.parameters(), 3e-3)
        for step in range(60):
            rows = torch.arange(step * 60, step * 60 + 60) % 900
            loss = nn.functional.cross_entropy(net(images[rows]), torch.from_numpy(labels)[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval().requires_grad_(False)
