"""Tiny models in the files that people have: transformers' folders, ONNX."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from bench.util import rng

TINY = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
PROCESSOR = {
    "do_resize": True,
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def vit(folder: Path, names: tuple[str, ...]) -> Path:
    config = ViTConfig(
        image_size=32,
        patch_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(names)),
    )
    with rng.fenced("tiny", "vit"):
        ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    """Its vocabulary has the letters alone."""
    folder.mkdir()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    end = vocabulary["<|endoftext|>"]
    text = TINY | {
        "vocab_size": len(tokens),
        "max_position_embeddings": 64,
        "eos_token_id": end,
        "bos_token_id": end - 1,
        "pad_token_id": end,
    }
    vision = TINY | {"image_size": 32, "patch_size": 16}
    with rng.fenced("clip"):
        network = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def onnx_file(
    path: Path, *, last: bool = False, gray: bool = False, softmax: bool = False, batch: Any = "N"
) -> tuple[Path, np.ndarray]:
    """The mean of each channel times a matrix, at 8 x 8 px; and the matrix, (channels, 7)."""
    channels = 1 if gray else 3
    weights = rng.generator("onnx").normal(size=(channels, 7)).astype(np.float32)
    sides = [8, 8, channels] if last else [channels, 8, 8]
    axes = [1, 2] if last else [2, 3]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["z"]),
        *([helper.make_node("Softmax", ["z"], ["y"], axis=1)] if softmax else []),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *sides])],
        [helper.make_tensor_value_info("y" if softmax else "z", TensorProto.FLOAT, [batch, 7])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path, weights
