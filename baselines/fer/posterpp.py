"""POSTER++ (POSTER V2), Mao et al. 2023 (arXiv 2301.12149).

Origin: Talented-Q/POSTER_V2 at 18de559, MIT. Written from the paper and the names in its released
files.

    images -> maps of an IR-50 (keys, values) and of a landmark network (queries), at three scales
    each scale: y = x + gamma1 A(queries, x);  z = y + gamma2 MLP(norm(y)),  x the normalised maps
    tokens of the three scales -> two ViT blocks, as in `baselines.fer.ir50_vit`

Each window of attention is the whole map. `main.py` of the original writes `model_best.pth` without
weights; open the checkpoint beside it.

Differs from the original: the landmark network, which is not trained, keeps its running statistics
in training, too. Files of 7 and of 8 classes differ in the last layer alone.
"""

from typing import Self

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import register
from baselines.fer.ir50_vit import WIDTHS, IR50ViT, halved
from baselines.fer.mobilefacenet import Bottleneck, Chain, ConvNormPReLU

_SIDES, _HEADS = (28, 14, 7), (2, 4, 8)


class LandmarkNet(nn.Module):
    """MobileFaceNet, trained to find 68 landmarks, up to its last maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNormPReLU(3, 64, 3, 2)
        self.conv2_dw = ConvNormPReLU(64, 64, 3, groups=64)
        self.conv_23 = Bottleneck(64, 64, 128, 2)
        self.conv_3 = Chain(*(Bottleneck(64, 64, 128, 1) for _ in range(4)))
        self.conv_34 = Bottleneck(64, 128, 256, 2)
        self.conv_4 = Chain(*(Bottleneck(128, 128, 256, 1) for _ in range(6)))
        self.conv_45 = Bottleneck(128, 128, 512, 2)
        self.conv_5 = Chain(*(Bottleneck(128, 128, 256, 1) for _ in range(2)))
        self.conv_6_sep = ConvNormPReLU(128, 512)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B, 3, 112, 112) -> maps (B, 64, 28, 28), (B, 128, 14, 14), (B, 512, 7, 7)."""
        first = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(images))))
        second = self.conv_4(self.conv_34(first))
        return first, second, self.conv_6_sep(self.conv_5(self.conv_45(second)))


class LandmarkAttention(nn.Module):
    """Attention of landmark maps (queries) to image maps, with a bias of relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, side: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        offsets = places[:, None] - places[None] + side - 1
        index = offsets[..., 0] * (2 * side - 1) + offsets[..., 1]
        self.register_buffer("relative_position_index", index, persistent=False)

    def forward(self, queries: Tensor, maps: Tensor) -> Tensor:
        """Tokens (B, N, C) of landmarks and of normalised maps -> tokens (B, N, C)."""
        keys, values = self.qkv(maps).chunk(2, dim=2)
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (queries, keys, values)
        )
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        scores = queries @ keys.transpose(2, 3) / queries.shape[3] ** 0.5 + bias
        mixed: Tensor = self.proj((scores.softmax(dim=3) @ values).transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two scaled residual sums: of attention, then of a perceptron."""

    def __init__(self, width: int, drop: float) -> None:
        super().__init__()
        self.gamma1 = nn.Parameter(1e-5 * torch.ones(width))
        self.gamma2 = nn.Parameter(1e-5 * torch.ones(width))
        self.mlp, self.norm = Mlp(width, 4 * width), nn.LayerNorm(width)
        self.drop = DropPath(drop)

    def forward(self, attended: Tensor, maps: Tensor) -> Tensor:
        """Tokens (B, N, C) of attention and of normalised maps -> tokens (B, N, C)."""
        total = maps + self.drop(self.gamma1 * attended)
        result: Tensor = total + self.drop(self.gamma2 * self.mlp(self.norm(total)))
        return result


@register
class POSTERPlusPlus(IR50ViT):
    """An IR-50 that landmarks attend to, at three scales, and a small ViT."""

    name = "poster++"
    title = "POSTER++ (POSTER V2)"
    paper = "Mao et al. 2023 (arXiv 2301.12149)"
    licence = "MIT"
    dead = (
        "attn?.relative_position_index",
        "face_landback.output_layer.*",
        "ir_back.output_layer.*",
        "VIT.patch_embed.*",
        "VIT.CON1.*",
        "VIT.IRLinear?.*",
        "VIT.eca_block.*",
        "VIT.blocks.?.conv.*",
    )

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.face_landback = LandmarkNet().requires_grad_(False)
        self.last_face_conv = nn.Conv2d(512, 256, 3, padding=1)
        for number, (width, side, heads) in enumerate(zip(WIDTHS, _SIDES, _HEADS, strict=True), 1):
            window = nn.Module()
            window.norm = nn.LayerNorm(width)
            self.add_module(f"window{number}", window)
            self.add_module(f"attn{number}", LandmarkAttention(width, side, heads))
            self.add_module(f"ffn{number}", FeedForward(width, 0.125 * (number - 1)))

    @override
    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.face_landback.eval()
        return self

    def attended(self, number: int, landmarks: Tensor, maps: Tensor) -> Tensor:
        """One scale, 1 to 3: landmark and image maps (B, C, s, s) -> maps (B, C, s, s)."""
        queries = landmarks.flatten(2).transpose(1, 2)
        norm = self.get_submodule(f"window{number}.norm")
        tokens = norm(maps.flatten(2).transpose(1, 2))
        mixed = self.get_submodule(f"attn{number}")(queries, tokens)
        found: Tensor = self.get_submodule(f"ffn{number}")(mixed, tokens)
        return found.transpose(1, 2).unflatten(2, maps.shape[-2:])

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        small = halved(images)
        first, second, third = self.face_landback(small)
        landmarks = (first, second, self.last_face_conv(third))
        pairs = zip(landmarks, self.scales(small), strict=True)
        return self.decided([self.attended(n, own, maps) for n, (own, maps) in enumerate(pairs, 1)])
