"""A trace at full size: Stable Diffusion 1.5's networks with random weights, no download.

python -m benchmarks.full_size [--images 4] [--steps 2] [--rows 9] [--size full|tiny]

Prints seconds, peak memory and shapes in float32, in bfloat16 arithmetic over float32 weights, and
with bfloat16 weights; each in a process of its own, so that each has its own peak. Full size needs
about 5 GB for the weights and, at 9 rows per pass (seven classes, null, non-class), less than 16 GB
in all.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from emodc import EmoDC, Evaluation, Prompts, UNetDenoiser
from emodc.evaluation import Precision
from emodc.probes import patterns
from emodc.prompts import word_tokenizer

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
WAYS: dict[str, Precision] = {
    "float32": "float32",
    "bfloat16": "bfloat16",
    "bfloat16-weights": "bfloat16",
}

FULL = {
    "unet": {
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "block_out_channels": (320, 640, 1280, 1280),
    },
    "vae": {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "sample_size": 512,
    },
    "text": {
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "projection_dim": 768,
    },
}
TINY = {
    "unet": {
        "sample_size": 8,
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    "vae": FULL["vae"]
    | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "sample_size": 64},
    "text": FULL["text"]
    | {
        "vocab_size": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
    },
}


def classifier(size: str, precision: str, steps: int, rows: int) -> EmoDC:
    """An EmoDC with random weights in the shapes of Stable Diffusion 1.5."""
    shapes = {"full": FULL, "tiny": TINY}[size]
    prompts = Prompts(CLASSES)
    tokenizer = word_tokenizer(prompts.texts())
    tokenizer.model_max_length = 77
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**shapes["unet"])
    if precision == "bfloat16-weights":
        unet = unet.to(torch.bfloat16)
    denoiser = UNetDenoiser(
        unet,
        CLIPTextModel(CLIPTextConfig(**shapes["text"])),
        tokenizer,
        AutoencoderKL(latent_channels=4, **shapes["vae"]),
        PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
    )
    denoiser.rows = rows
    plan = Evaluation(steps=steps, precision=WAYS[precision])
    return EmoDC(denoiser, prompts, plan).eval().requires_grad_(False)


def measure(size: str, precision: str, images: int, steps: int, rows: int) -> str:
    """One line of figures."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = classifier(size, precision, steps, rows).to(device)
    pictures = patterns(images, 224).to(device)
    model.denoiser.encode_texts(["warm up"])
    started = time.perf_counter()
    trace = model.trace(pictures, [f"picture {i}" for i in range(images)])
    errors = trace.errors.cpu()
    seconds = time.perf_counter() - started
    latent = tuple(model.denoiser.encode(pictures[:1]).shape)
    parameters = sum(p.numel() for p in model.denoiser.network.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    memory = f"peak RSS {peak:.2f} GiB"
    if device.type == "cuda":
        memory += f", GPU {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
    return (
        f"{precision:17} {seconds:8.2f} s ({1000 * seconds / errors.numel():.0f} ms per error) "
        f"{memory}; errors {tuple(errors.shape)}, x_0 {latent}, U-Net {parameters:.0f} M on "
        f"{device.type}, finite {bool(errors.isfinite().all())}, mean {errors.mean():.4f}"
    )


def main() -> None:
    """Every precision in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rows", type=int, default=9)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--precision", choices=list(WAYS))
    options = parser.parse_args()
    if options.precision:
        print(measure(options.size, options.precision, options.images, options.steps, options.rows))
        return
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.full_size", *sys.argv[1:]]
        subprocess.run([*command, "--precision", way], check=True)


if __name__ == "__main__":
    main()
