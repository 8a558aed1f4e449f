"""What a training step costs, objective by objective, and what each speed ingredient gains.

    python -m benchmarks.training_step

Contestants of a comparison run in one process, alternating, on one thread; medians and ratios.
The small network answers all prompts in one pass; a U-Net of diffusers pays for each.
"""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from bench.util import rng, runtime
from emodc import Conditions, Denoiser, Pixels, Prompts, SmallDenoiser, UNetDenoiser, small_denoiser
from emodc.diffusion.schedule import cosine_scheduler
from emodc.small import word_tokenizer
from emodc.training.objectives import AMDiT, Base, Objective
from emodc.training.trainer import EmoDCTrainer, TrainConfig

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
PROMPTS = Prompts(CLASSES)
REPEATS = 15

ONE_NEGATIVE, ALL_NEGATIVES = AMDiT(negatives=1), AMDiT()


class PassPerPrompt(SmallDenoiser):
    """The small network as if every prompt cost a pass: what sharing the trunk gains."""

    shared_trunk = False

    def errors(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        noise: Tensor,
        conditions: Conditions,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """One row per picture and prompt."""
        return Denoiser.errors(self, noisy, timesteps, noise, conditions, chosen)


def small(kind: type[SmallDenoiser] = SmallDenoiser) -> SmallDenoiser:
    """The default network, untrained."""
    with rng.fenced("benchmark"):
        pictures = torch.randint(0, 256, (64, 3, 64, 64), dtype=torch.uint8)
        return kind(**small_denoiser(pictures, PROMPTS).parts())


def unet() -> UNetDenoiser:
    """A small pixel-space U-Net of diffusers, untrained."""
    with rng.fenced("benchmark"):
        tokenizer = word_tokenizer(PROMPTS.texts())
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        network = UNet2DConditionModel(
            sample_size=32,
            in_channels=3,
            out_channels=3,
            layers_per_block=1,
            block_out_channels=(32, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=64,
            attention_head_dim=2,
            norm_num_groups=8,
        )
        return UNetDenoiser(network, CLIPTextModel(text), tokenizer, Pixels(32), cosine_scheduler())


def stepper(
    denoiser: Denoiser, objective: Objective, batch: int, **config: Any
) -> Callable[[], object]:
    """A function that makes one training step."""
    trainer = EmoDCTrainer(
        copy.deepcopy(denoiser), PROMPTS, TrainConfig(objective=objective, steps=10**6, **config)
    )
    side = denoiser.image_size
    images = torch.rand(batch, 3, side, side)
    labels = torch.arange(batch) % len(CLASSES)
    return lambda: trainer.step(images, labels)


def compare(title: str, contestants: dict[str, Callable[[], object]]) -> None:
    """Print median milliseconds per step, and ratios to the first contestant."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(REPEATS + 2):  # the first two warm up
        for name, step in contestants.items():
            start = time.perf_counter()
            step()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    print(title)
    reference = None
    for name, values in times.items():
        median = statistics.median(values)
        reference = reference or median
        print(f"  {name:34s} {median * 1e3:7.0f} ms   {median / reference:5.2f} x")


def main() -> None:
    """Run the comparisons."""
    runtime.keep_freed_memory()
    torch.set_num_threads(1)
    network = small()
    compare(
        "small network, batch 64",
        {
            "Base": stepper(network, Base(), 64),
            "AMDiT, one negative": stepper(network, ONE_NEGATIVE, 64),
            "AMDiT, all six negatives": stepper(network, ALL_NEGATIVES, 64),
        },
    )
    compare(
        "diffusers U-Net in pixel space, batch 16",
        {
            "Base": stepper(unet(), Base(), 16),
            "AMDiT, one negative": stepper(unet(), ONE_NEGATIVE, 16),
            "AMDiT, all six negatives": stepper(unet(), ALL_NEGATIVES, 16),
        },
    )
    compare(
        "AMDiT with all negatives on the small network, one ingredient taken away at a time",
        {
            "as it is": stepper(network, ALL_NEGATIVES, 64),
            "float32 instead of bfloat16": stepper(network, ALL_NEGATIVES, 64, precision="float32"),
            "a pass per prompt": stepper(small(PassPerPrompt), ALL_NEGATIVES, 64),
        },
    )


if __name__ == "__main__":
    main()
