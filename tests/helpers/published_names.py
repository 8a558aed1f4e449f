"""Names and shapes of tensors in released files of published FER networks, and their sizes.

Written from the shapes that the papers and repositories state, with torchvision's ResNet as the
origin of the names of trunks.
"""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def _features(model: str = "resnet18", children: int = 9) -> Shapes:
    """A torchvision ResNet's first children as items of `features`."""
    with torch.device("meta"):
        network = getattr(torchvision.models, model)()
        trunk = torch.nn.Sequential(*list(network.children())[:children])
    return {f"features.{name}": tuple(t.shape) for name, t in trunk.state_dict().items()}


def _linear(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _norm(name: str, width: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{v}": (width,) for v in vectors} | {f"{name}.num_batches_tracked": ()}


def _convolution(name: str, before: int, after: int, *kernel: int, bias: bool = False) -> Shapes:
    weights = {f"{name}.weight": (after, before, *(kernel or (1, 1)))}
    return weights | ({f"{name}.bias": (after,)} if bias else {})


def _scn(classes: int) -> Shapes:
    return _features() | _linear("alpha.0", 512, 1) | _linear("fc", 512, classes)


def _eac(classes: int) -> Shapes:
    return _features("resnet50", 8) | _linear("fc", 2048, classes)


def _eac_resnet18(classes: int) -> Shapes:
    return _features(children=8) | _linear("fc", 512, classes)


def _dan(classes: int) -> Shapes:
    found = _features(children=8) | _linear("fc", 512, classes) | _norm("bn", classes)
    for head in (f"cat_head{number}" for number in range(4)):
        spatial, channel = f"{head}.sa.", f"{head}.ca.attention."
        found |= _convolution(f"{spatial}conv1x1.0", 512, 256, 1, 1, bias=True)
        found |= _norm(f"{spatial}conv1x1.1", 256)
        for kernel in ((3, 3), (1, 3), (3, 1)):
            name = f"{spatial}conv_{kernel[0]}x{kernel[1]}"
            found |= _convolution(f"{name}.0", 256, 512, *kernel, bias=True)
            found |= _norm(f"{name}.1", 512)
        found |= _linear(f"{channel}0", 512, 32) | _norm(f"{channel}1", 32)
        found |= _linear(f"{channel}3", 32, 512)
    return found


def _unprefixed(shapes: Shapes, numbers: dict[str, str]) -> Shapes:
    """Items of `features` under the names that torchvision gives its children."""
    found = {}
    for key, shape in shapes.items():
        number, _, rest = key.removeprefix("features.").partition(".")
        found[f"{numbers[number]}.{rest}"] = shape
    return found


_CHILDREN = {"0": "conv1", "1": "bn1", **{str(n + 3): f"layer{n}" for n in range(1, 5)}}


def _ran(classes: int) -> Shapes:
    heads = _linear("alpha.0", 512, 1) | _linear("beta.0", 1024, 1) | _linear("fc", 1024, classes)
    return _unprefixed(_features(children=8), _CHILDREN) | heads


def _arm(classes: int) -> Shapes:
    module = _convolution("arm.de_albino", 1, 1, 32, 32) | _norm("arm.bn", 2) | {"arm.alpha": (1,)}
    return _features(children=8) | module | _linear("fc", 121, classes)


def _ma_net(classes: int) -> Shapes:
    found = _unprefixed(_features(children=6), _CHILDREN)
    found |= _linear("fc_1", 512, classes) | _linear("fc_2", 512, classes)
    for block in (0, 1):
        for stage, width in ((3, 256), (4, 512)):
            before = width if block else width // 2
            for branch in ("1_p1", "1_p2", "1_p3", "1_p4", "2"):
                name = f"layer{stage}_{branch}.{block}"
                found |= _convolution(f"{name}.conv1", before, width, 3, 3)
                found |= _norm(f"{name}.bn1", width)
                if not block:
                    found |= _convolution(f"{name}.downsample.0", before, width, 1, 1)
                    found |= _norm(f"{name}.downsample.1", width)
                if branch == "2":
                    for part in (f"{chain}_2_{group}" for chain in (1, 2) for group in range(1, 5)):
                        found |= _convolution(f"{name}.conv{part}", width // 4, width // 4, 3, 3)
                        found |= _norm(f"{name}.bn{part}", width // 4)
                    continue
                found |= _convolution(f"{name}.conv2", width, width, 3, 3)
                found |= _norm(f"{name}.bn2", width)
                gate = f"{name}.cbam.ChannelGate.mlp"
                found |= _linear(f"{gate}.1", width, width // 16)
                found |= _linear(f"{gate}.3", width // 16, width)
                gate = f"{name}.cbam.SpatialGate.spatial"
                found |= _convolution(f"{gate}.conv", 2, 1, 7, 7) | _norm(f"{gate}.bn", 1)
    return found


def _block(name: str, before: int, after: int, kernel: int, groups: int = 1) -> Shapes:
    """Convolution, norm and slopes of MobileFaceNet."""
    found = _convolution(f"{name}.conv", before // groups, after, kernel, kernel)
    return found | _norm(f"{name}.bn", after) | {f"{name}.prelu.weight": (after,)}


def _project(name: str, before: int, after: int, *kernel: int, groups: int = 1) -> Shapes:
    found = _convolution(f"{name}.conv", before // groups, after, *kernel)
    return found | _norm(f"{name}.bn", after)


def _coordinates(name: str, width: int) -> Shapes:
    inner = max(8, width // 32)
    found = _convolution(f"{name}.conv1", width, inner, bias=True) | _norm(f"{name}.bn1", inner)
    for number in (2, 3):
        found |= _convolution(f"{name}.conv{number}", inner, width, bias=True)
    return found


def _ddamfn(classes: int) -> Shapes:
    found = _block("features.0", 3, 64, 3) | _block("features.1", 64, 64, 3, groups=64)
    found |= _block("features.8", 256, 512, 1)
    mixed: list[tuple[str, int, int, dict[int, int]]] = [
        ("features.2", 64, 64, {3: 64, 5: 32, 7: 32}),
        *((f"features.3.model.{n}", 64, 64, {3: 96, 5: 32}) for n in range(9)),
        ("features.4", 64, 128, {3: 128, 5: 64, 7: 64}),
        *((f"features.5.model.{n}", 128, 128, {3: 192, 5: 64}) for n in range(16)),
        ("features.6", 128, 256, {3: 256, 5: 256, 7: 256, 9: 256}),
        *((f"features.7.model.{n}", 256, 256, {3: 172, 5: 170, 7: 170}) for n in range(6)),
    ]
    for name, before, after, groups in mixed:
        inner = sum(groups.values())
        found |= _block(f"{name}.conv", before, inner, 1)
        found |= _project(f"{name}.project", inner, after) | _coordinates(f"{name}.CA", inner)
        for number, (kernel, width) in enumerate(groups.items()):
            part = f"{name}.conv_dw.mixed_depthwise_conv.{number}"
            found |= _convolution(part, 1, width, kernel, kernel)
        found |= _norm(f"{name}.conv_dw.bn", inner)
        found |= {f"{name}.conv_dw.prelu.weight": (inner,)}
    for head in ("cat_head0.CoordAtt", "cat_head1.CoordAtt"):
        found |= _coordinates(head, 512)
        for part, kernel in (("Linear_h", (1, 7)), ("Linear_w", (7, 1)), ("Linear", (7, 7))):
            found |= _project(f"{head}.{part}", 512, 512, *kernel, groups=512)
    found |= _project("Linear", 512, 512, 7, 7, groups=512)
    return found | _linear("fc", 512, classes) | _norm("bn", classes)


def _layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _ir50() -> Shapes:
    found = _convolution("ir_back.input_layer.0", 3, 64, 3, 3) | _norm("ir_back.input_layer.1", 64)
    found |= {"ir_back.input_layer.2.weight": (64,)}
    before = 64
    for body, (width, units) in enumerate(((64, 3), (128, 4), (256, 14)), 1):
        for name in (f"ir_back.body{body}.{unit}" for unit in range(units)):
            if before != width:
                found |= _convolution(f"{name}.shortcut_layer.0", before, width, 1, 1)
                found |= _norm(f"{name}.shortcut_layer.1", width)
            found |= _norm(f"{name}.res_layer.0", before)
            found |= _convolution(f"{name}.res_layer.1", before, width, 3, 3)
            found |= {f"{name}.res_layer.2.weight": (width,)}
            found |= _convolution(f"{name}.res_layer.3", width, width, 3, 3)
            found |= _norm(f"{name}.res_layer.4", width)
            before = width
    found |= _norm("ir_back.output_layer.0", 512) | _norm("ir_back.output_layer.4", 512)
    return found | _linear("ir_back.output_layer.3", 512 * 49, 512)


def _vit(name: str, blocks: int, classes: int) -> Shapes:
    found: Shapes = {f"{name}.cls_token": (1, 1, 768), f"{name}.pos_embed": (1, 148, 768)}
    found |= _linear(f"{name}.se_block.linear1", 768, 768)
    found |= _linear(f"{name}.se_block.linear2", 768, 768)
    found |= _convolution(f"{name}.patch_embed.proj", 256, 768, 1, 1, bias=True)
    found |= _linear(f"{name}.head.linear", 768, classes) | _layer_norm(f"{name}.norm", 768)
    found |= {f"{name}.eca_block.conv.weight": (1, 1, 5), f"{name}.CON1.weight": (768, 256, 1, 1)}
    found |= _linear(f"{name}.IRLinear1", 1024, 768) | _linear(f"{name}.IRLinear2", 768, 512)
    for block in (f"{name}.blocks.{number}" for number in range(blocks)):
        found |= _layer_norm(f"{block}.norm1", 768) | _layer_norm(f"{block}.norm2", 768)
        found |= {f"{block}.conv.weight": (148, 148, 1), f"{block}.conv.bias": (148,)}
        found |= _linear(f"{block}.attn.qkv", 768, 2304) | _linear(f"{block}.attn.proj", 768, 768)
        found |= _linear(f"{block}.mlp.fc1", 768, 3072) | _linear(f"{block}.mlp.fc2", 3072, 768)
    return found


def _tokens() -> Shapes:
    found: Shapes = {}
    for number, width in enumerate((64, 128, 256), 1):
        found |= _convolution(f"conv{number}", width, width, 3, 3, bias=True)
    found |= _convolution("embed_q.0", 64, 768, 3, 3, bias=True)
    found |= _convolution("embed_q.1", 768, 768, 3, 3, bias=True)
    found |= _convolution("embed_k.0", 128, 768, 3, 3, bias=True)
    return found | _convolution("embed_v.proj", 256, 768, 1, 1, bias=True)


def _dcs(classes: int) -> Shapes:
    found = _ir50() | _tokens() | _vit("VIT_base", 2, classes) | _vit("VIT_cross", 1, classes)
    for name in (f"cross_attention_{number}" for number in (1, 2, 3)):
        found |= _layer_norm(f"{name}.norm1", 768) | _layer_norm(f"{name}.norm2", 768)
        found |= _linear(f"{name}.proj", 768, 1536) | _linear(f"{name}.mlp.fc1", 768, 3072)
        found |= _linear(f"{name}.mlp.fc2", 3072, 768)
    return found


def _depthwise(name: str, before: int, after: int, inner: int) -> Shapes:
    found = _block(f"{name}.conv", before, inner, 1) | _project(f"{name}.project", inner, after)
    return found | _block(f"{name}.conv_dw", inner, inner, 3, groups=inner)


def _poster(classes: int) -> Shapes:
    found = _ir50() | _tokens() | _vit("VIT", 2, classes)
    face = "face_landback"
    found |= _block(f"{face}.conv1", 3, 64, 3) | _block(f"{face}.conv2_dw", 64, 64, 3, groups=64)
    for name, before, after, inner, count in (
        ("conv_23", 64, 64, 128, 0),
        ("conv_3", 64, 64, 128, 4),
        ("conv_34", 64, 128, 256, 0),
        ("conv_4", 128, 128, 256, 6),
        ("conv_45", 128, 128, 512, 0),
        ("conv_5", 128, 128, 256, 2),
    ):
        for part in [f".model.{number}" for number in range(count)] or [""]:
            found |= _depthwise(f"{face}.{name}{part}", before, after, inner)
    found |= _block(f"{face}.conv_6_sep", 128, 512, 1)
    found |= _project(f"{face}.output_layer.conv_6_dw", 512, 512, 7, 7, groups=512)
    found |= {f"{face}.output_layer.linear.weight": (136, 512)}
    found |= _norm(f"{face}.output_layer.bn", 136)
    found |= _convolution("last_face_conv", 512, 256, 3, 3, bias=True)
    for number, (width, side, heads) in enumerate(((64, 28, 2), (128, 14, 4), (256, 7, 8)), 1):
        found |= _linear(f"attn{number}.qkv", width, 2 * width) | _linear(
            f"attn{number}.proj", width, width
        )
        found |= {
            f"attn{number}.relative_position_bias_table": ((2 * side - 1) ** 2, heads),
            f"attn{number}.relative_position_index": (side**2, side**2),
            f"ffn{number}.gamma1": (width,),
            f"ffn{number}.gamma2": (width,),
        }
        found |= _layer_norm(f"window{number}.norm", width) | _layer_norm(
            f"ffn{number}.norm", width
        )
        found |= _linear(f"ffn{number}.mlp.fc1", width, 4 * width)
        found |= _linear(f"ffn{number}.mlp.fc2", 4 * width, width)
    return found


#: By architecture: shapes by the names in a released file of so many classes.
NAMES: dict[str, Callable[[int], Shapes]] = {
    "scn": _scn,
    "dan": _dan,
    "eac": _eac,
    "eac_resnet18": _eac_resnet18,
    "ran": _ran,
    "arm": _arm,
    "ma_net": _ma_net,
    "ddamfn": _ddamfn,
    "dcs": _dcs,
    "poster++": _poster,
}

#: Millions of parameters with 7 classes, to how many digits, and what the published count adds.
#: Those of SCN, ARM, DAN and POSTER++ are published; the others follow from the shapes. POSTER++'s
#: tool leaves out parameters that are of no layer (tokens, positions, biases of attention, scales:
#: 125,646) and counts the landmark network's last layer (96,016), which is run for nothing.
PARAMETERS = {
    "scn": (11.18, 2, 0),
    "dan": (19.72, 2, 0),
    "eac": (23.52, 2, 0),  # torchvision's ResNet-50 with 7 classes
    "eac_resnet18": (11.18, 2, 0),
    "ran": (11.19, 2, 0),
    "arm": (11.18, 2, 0),
    "ma_net": (50.55, 2, 0),
    "ddamfn": (4.11, 2, 0),
    "dcs": (40.70, 2, 0),
    "poster++": (43.7, 1, 96_016 - 125_646),
}


def drawn(name: str, classes: int = 7) -> dict[str, Tensor]:
    """A released file's tensors, drawn at random."""
    draws = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}
    for key, shape in NAMES[name](classes).items():
        if key.endswith("running_var"):
            found[key] = 0.5 + torch.rand(shape, generator=draws)
        elif key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(1)
        else:
            found[key] = 0.1 * torch.randn(shape, generator=draws)
    return found
