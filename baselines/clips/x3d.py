"""X3D (Feichtenhofer 2020, arXiv 2004.04730): a small 3D network of depthwise convolutions.

Written from the paper. XS, S and M have the same 3.8 M weights (400 classes) and differ only in the
clips they are given: 4 x 160, 13 x 160 and 16 x 224 frames x pixels. Other lengths and sizes work:
the last pooling is over the whole map. `load_kinetics` reads the published `.pyth` weights of
PyTorchVideo (Apache-2.0; only the names of the weights are taken from there). PyTorchVideo averages
probabilities over space and time; here the maps are averaged before the classifier. On clips of the
sizes above there is one place to average, so the logits are the same.

    stem -> stage 1 -> [attachment] -> ... -> stage 4 -> [attachment] -> features -> logits
"""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from math import ceil

import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (24, 48, 96, 192)
_DEPTHS = (3, 5, 11, 7)
_STEM, _EXPANSION, _HIDDEN = 24, 2.25, 2048


class SqueezeExcitation(nn.Module):
    """Channels weighted by a function of their means (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = _multiple_of_eight(channels / 16)
        self.reduce = nn.Conv3d(channels, reduced, 1)
        self.restore = nn.Conv3d(reduced, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        means = maps.mean((2, 3, 4), keepdim=True)
        return maps * self.restore(self.reduce(means).relu()).sigmoid()


class Block(nn.Module):
    """Inverted bottleneck: 1x1x1 up, 3x3x3 depthwise, 1x1x1 down, added to its input."""

    def __init__(self, before: int, after: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        inner = int(after * _EXPANSION)
        self.widen = nn.Conv3d(before, inner, 1, bias=False)
        self.widen_norm = nn.BatchNorm3d(inner)
        self.mix = nn.Conv3d(
            inner, inner, 3, (1, stride, stride), padding=1, groups=inner, bias=False
        )
        self.mix_norm = nn.BatchNorm3d(inner)
        self.squeeze = SqueezeExcitation(inner) if squeeze else nn.Identity()
        self.narrow = nn.Conv3d(inner, after, 1, bias=False)
        self.narrow_norm = nn.BatchNorm3d(after)
        self.shortcut: nn.Module = nn.Identity()
        self.shortcut_norm: nn.Module = nn.Identity()
        if before != after or stride != 1:
            self.shortcut = nn.Conv3d(before, after, 1, (1, stride, stride), bias=False)
        if before != after:
            self.shortcut_norm = nn.BatchNorm3d(after)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, T, H, W) -> (B, after, T, ceil(H / stride), ceil(W / stride))."""
        inner = self.widen_norm(self.widen(maps)).relu()
        inner = F.silu(self.squeeze(self.mix_norm(self.mix(inner))))
        inner = self.narrow_norm(self.narrow(inner))
        total: Tensor = self.shortcut_norm(self.shortcut(maps)) + inner
        return total.relu()


class X3D(nn.Module):
    """The network.

    Args:
        num_classes: K.
        attach: From a stage's number of channels, makes the module behind that stage, such as
            HDF's attention. It must keep the maps' shape.
        dropout: Before the classifier, in training.
        width: Factor of all numbers of channels, which are multiples of 8; 1 is the published one.
        depth: Factor of the blocks of each stage, rounded up.
    """

    def __init__(
        self,
        num_classes: int,
        attach: Callable[[int], nn.Module] | None = None,
        dropout: float = 0.5,
        width: float = 1.0,
        depth: float = 1.0,
    ) -> None:
        super().__init__()
        stem, *widths = (_multiple_of_eight(own * width) for own in (_STEM, *_WIDTHS))
        depths = [ceil(own * depth) for own in _DEPTHS]
        hidden = _multiple_of_eight(_HIDDEN * width)
        self.stem_space = nn.Conv3d(3, stem, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.stem_time = nn.Conv3d(
            stem, stem, (5, 1, 1), padding=(2, 0, 0), groups=stem, bias=False
        )
        self.stem_norm = nn.BatchNorm3d(stem)
        self.stages, self.attachments = nn.ModuleList(), nn.ModuleList()
        for (before, after), count in zip(pairwise((stem, *widths)), depths, strict=True):
            blocks = [
                Block(after if i else before, after, 1 if i else 2, squeeze=i % 2 == 0)
                for i in range(count)
            ]
            self.stages.append(nn.Sequential(*blocks))
            self.attachments.append(attach(after) if attach else nn.Identity())
        inner = int(widths[-1] * _EXPANSION)
        self.head_widen = nn.Conv3d(widths[-1], inner, 1, bias=False)
        self.head_norm = nn.BatchNorm3d(inner)
        self.head_hidden = nn.Conv3d(inner, hidden, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(hidden, num_classes)

    def features(self, clips: Tensor) -> Tensor:
        """The pooled vector (B, 2048), at width 1, of clips (B, 3, T, H, W)."""
        maps = self.stem_norm(self.stem_time(self.stem_space(clips))).relu()
        for stage, attachment in zip(self.stages, self.attachments, strict=True):
            maps = attachment(stage(maps))
        maps = self.head_norm(self.head_widen(maps)).relu()
        hidden: Tensor = self.head_hidden(maps.mean((2, 3, 4), keepdim=True))
        return hidden.relu().flatten(1)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits (B, K) of clips (B, 3, T, H, W)."""
        logits: Tensor = self.classify(self.dropout(self.features(clips)))
        return logits


_PARTS = {
    "branch1_conv": "shortcut",
    "branch1_norm": "shortcut_norm",
    "branch2.conv_a": "widen",
    "branch2.norm_a": "widen_norm",
    "branch2.conv_b": "mix",
    "branch2.norm_b.0": "mix_norm",
    "branch2.norm_b.1.block.0": "squeeze.reduce",
    "branch2.norm_b.1.block.2": "squeeze.restore",
    "branch2.conv_c": "narrow",
    "branch2.norm_c": "narrow_norm",
}
_ENDS = {
    "blocks.0.conv.conv_t": "stem_space",
    "blocks.0.conv.conv_xy": "stem_time",
    "blocks.0.norm": "stem_norm",
    "blocks.5.pool.pre_conv": "head_widen",
    "blocks.5.pool.pre_norm": "head_norm",
    "blocks.5.pool.post_conv": "head_hidden",
    "blocks.5.proj": "classify",
}


def load_kinetics(network: X3D, published: Mapping[str, Tensor]) -> None:
    """Load the published weights; the classifier only if it has as many classes.

    Args:
        network: Changed in place. Attachments keep their own start.
        published: The `model_state` of `X3D_{XS,S,M}.pyth`.

    Raises:
        ValueError: If a key is unknown or one of the network's own is missing.
    """
    state = {_own_name(name): weight for name, weight in published.items()}
    if state["classify.weight"].shape != network.classify.weight.shape:
        state = {n: w for n, w in state.items() if not n.startswith("classify.")}
    missing, unknown = network.load_state_dict(state, strict=False)
    missing = [n for n in missing if not n.startswith(("classify.", "attachments."))]
    if missing or unknown:
        raise ValueError(
            f"these are not X3D's published weights: missing {missing[:3]}, unknown {unknown[:3]}"
        )


def _own_name(published: str) -> str:
    """Our name of a published weight, an unknown name as it is."""
    stage = re.fullmatch(r"blocks\.([1-4])\.res_blocks\.(\d+)\.(.+)\.(\w+)", published)
    if stage and stage[3] in _PARTS:
        return f"stages.{int(stage[1]) - 1}.{stage[2]}.{_PARTS[stage[3]]}.{stage[4]}"
    module, _, kind = published.rpartition(".")
    return f"{_ENDS[module]}.{kind}" if module in _ENDS else published


def _multiple_of_eight(width: float) -> int:
    """The nearest multiple of 8, at least 8, and not below nine tenths of `width`."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded
