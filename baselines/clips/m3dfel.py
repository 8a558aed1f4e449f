"""M3DFEL (Wang et al. 2023, CVPR): a clip as a bag of four instances of four frames.

Written from the paper and the description of its released code (Apache-2.0). torchvision's r3d_18
without its head makes 512 features of each instance, a bidirectional LSTM over the bag makes H
(4, 1024), and H * sigmoid(DMIN(attention(H))) weighs the instances. The released evaluation jitters
its frames at random; here the caller chooses the frames. Inferred: DMIN's biased variances and its
1e-5.
"""

import torch
from torch import Tensor, nn
from torchvision.models.video import r3d_18

INSTANCES = 4
_WIDTH, _HEADS, _HEAD_WIDTH = 1024, 8, 128


class InstanceNormalisation(nn.Module):
    """DMIN: normalisation over the instances of a bag, then a gain and an offset per feature.

    Mean and variance are each a learned, softmax-weighted mix of two statistics: those of the
    feature over the bag, and those of all features of the bag together.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean_mix, self.variance_mix = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.gain, self.offset = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, bag: Tensor) -> Tensor:
        """(B, N, W) -> the same shape."""
        mean = _mixed(self.mean_mix, bag.mean(1, keepdim=True), bag.mean((1, 2), keepdim=True))
        variance = _mixed(
            self.variance_mix,
            bag.var(1, unbiased=False, keepdim=True),
            bag.var((1, 2), unbiased=False, keepdim=True),
        )
        return (bag - mean) * torch.rsqrt(variance + 1e-5) * self.gain + self.offset


class M3DFEL(nn.Module):
    """The network, for clips whose number of frames is a multiple of four.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.trunk = r3d_18(weights=None)
        self.trunk.fc = nn.Identity()
        self.lstm = nn.LSTM(512, _WIDTH // 2, 2, batch_first=True, bidirectional=True)
        self.to_heads = nn.Linear(_WIDTH, 3 * _HEADS * _HEAD_WIDTH, bias=False)
        self.normalise = InstanceNormalisation(_WIDTH)
        self.pool = nn.Conv1d(INSTANCES, 1, 3, padding=1)
        self.classify = nn.Linear(_WIDTH, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        """The bag's vector (B, 1024) of clips (B, 3, T, H, W), T a multiple of 4.

        Raises:
            ValueError: If T is not a multiple of 4.
        """
        count, frames = len(clips), clips.shape[2]
        if frames % INSTANCES:
            raise ValueError(
                f"m3dfel cuts a clip into {INSTANCES} parts, {frames} frames do not fit"
            )
        instances = clips.unflatten(2, (INSTANCES, -1)).transpose(1, 2).flatten(0, 1)
        bag, _ = self.lstm(self.trunk(instances).view(count, INSTANCES, -1))
        query, key, value = (
            part.unflatten(2, (_HEADS, _HEAD_WIDTH)).transpose(1, 2)
            for part in self.to_heads(bag).chunk(3, dim=2)
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        gate = self.normalise(attended.transpose(1, 2).flatten(2)).sigmoid()
        pooled: Tensor = self.pool(bag * gate)
        return pooled.squeeze(1)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, K) of clips (B, 3, T, H, W)."""
        logits: Tensor = self.classify(self.features(clips))
        return logits


def _mixed(weights: Tensor, first: Tensor, second: Tensor) -> Tensor:
    shares = weights.softmax(0)
    return shares[0] * first + shares[1] * second
