"""DCS and QCS at test time: an IR-50 and a small ViT, Wang et al. 2025 (AAAI, arXiv 2411.01988).

Origin: birdwcp/QCS at 293f28f, MIT, after POSTER++. Written from the paper and the names in its
released files.

    maps of an IR-50's first three stages at 112 px -> three strided convolutions
    -> 49 tokens of each, one for the class -> two ViT blocks -> class token times a gate -> linear

Differs from the original: cross-similarity between pictures acts in training alone and is left out,
so `dcs` opens files of DCS and of QCS, with old (embed_q) and new (embed_1) names.
"""

from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from typing_extensions import override

from baselines.fer.base import PublishedNetwork, register

WIDTHS = (64, 128, 256)  # of the three stages
TOKEN = 768


class ResidualUnit(nn.Module):
    """IR-50's: norm, 3x3 convolution, PReLU, strided 3x3 convolution, norm; Deng et al. 2019."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if before != after:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Conv2d(before, after, 3, 1, 1, bias=False),
            nn.PReLU(after),
            nn.Conv2d(after, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, before, h, w) -> (B, after, h / stride, w / stride)."""
        result: Tensor = self.res_layer(maps) + self.shortcut_layer(maps)
        return result


class IR50(nn.Module):
    """The first three stages of an IR-50, with 3, 4 and 14 units."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        before = 64
        for number, (width, units) in enumerate(zip(WIDTHS, (3, 4, 14), strict=True), 1):
            chain = [ResidualUnit(before, width, 2)]
            chain += [ResidualUnit(width, width, 1) for _ in range(units - 1)]
            self.add_module(f"body{number}", nn.Sequential(*chain))
            before = width

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, 112, 112) -> maps (B, 64, 56, 56), (B, 128, 28, 28), (B, 256, 14, 14)."""
        maps, found = self.input_layer(images), []
        for number in range(1, 4):
            maps = self.get_submodule(f"body{number}")(maps)
            found.append(maps)
        return found


class TokenGate(nn.Module):
    """Features multiplied by a weight of each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return features * self.linear2(self.linear1(features).relu()).sigmoid()


class TokenClassifier(nn.Module):
    """Two ViT blocks over 147 tokens and one for the class, a gate and a linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, TOKEN))
        self.pos_embed = nn.Parameter(torch.zeros(1, 148, TOKEN))
        self.blocks = nn.Sequential(
            *(Block(TOKEN, 8, qkv_bias=True, norm_layer=norm) for _ in range(2))
        )
        self.norm, self.se_block = norm(TOKEN), TokenGate(TOKEN)
        self.head = nn.Sequential()
        self.head.add_module("linear", nn.Linear(TOKEN, classes))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, K) of tokens (B, 147, 768)."""
        whole = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        found = self.norm(self.blocks(whole + self.pos_embed))[:, 0]
        logits: Tensor = self.head(self.se_block(found))
        return logits


class IR50ViT(PublishedNetwork):
    """What DCS, QCS and POSTER++ share."""

    renames: ClassVar = {
        "embed_q.": "embed_1.",
        "embed_k.": "embed_2.",
        "embed_v.": "embed_3.",
    }

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.ir_back, self.VIT = IR50(), TokenClassifier(classes)
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(w, w, 3, 2, 1) for w in WIDTHS)
        self.embed_1 = nn.Sequential(
            nn.Conv2d(64, TOKEN, 3, 2, 1), nn.Conv2d(TOKEN, TOKEN, 3, 2, 1)
        )
        self.embed_2 = nn.Sequential(nn.Conv2d(128, TOKEN, 3, 2, 1))
        self.embed_3 = nn.Sequential()
        self.embed_3.add_module("proj", nn.Conv2d(256, TOKEN, 1))

    def scales(self, images: Tensor) -> list[Tensor]:
        """Maps (B, 64, 28, 28), (B, 128, 14, 14) and (B, 256, 7, 7) of images (B, 3, 112, 112)."""
        convolutions = (self.conv1, self.conv2, self.conv3)
        maps = self.ir_back(images)
        return [convolution(own) for convolution, own in zip(convolutions, maps, strict=True)]

    def decided(self, scales: list[Tensor]) -> Tensor:
        """Logits (B, K) of maps as of `scales`."""
        embedded = (self.embed_1(scales[0]), self.embed_2(scales[1]), self.embed_3(scales[2]))
        tokens = torch.cat([maps.flatten(2).transpose(1, 2) for maps in embedded], dim=1)
        logits: Tensor = self.VIT(tokens)
        return logits


def halved(images: Tensor) -> Tensor:
    """Images (B, 3, 224, 224) at 112 px by the nearest pixel, as the originals do inside."""
    return F.interpolate(images, size=112, mode="nearest")


@register
class DCS(IR50ViT):
    """An IR-50 and a small ViT."""

    name = "dcs"
    title = "DCS and QCS (cross-similarity attention) at test time"
    paper = "Wang et al. 2025 (AAAI, arXiv 2411.01988)"
    licence = "MIT"
    renames: ClassVar = {"VIT_base.": "VIT.", **IR50ViT.renames}
    dead = (
        "VIT_cross.*",
        "cross_attention_?.*",
        "ir_back.output_layer.*",
        "VIT_base.patch_embed.*",
        "VIT_base.CON1.*",
        "VIT_base.IRLinear?.*",
        "VIT_base.eca_block.*",
        "VIT_base.blocks.?.conv.*",
    )

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.decided(self.scales(halved(images)))
