"""Seconds per 100-step verdict: one trunk pass for all prompts against one pass per prompt.

    python benchmarks/shared_trunk.py

Both run in one process, alternating, on one thread and in float32; medians and their ratio.
"""

import statistics
import time
from collections.abc import Callable

import torch

from bench import rng, runtime
from emodc import Denoiser, EmoDC, Evaluation, Prompts, small_denoiser
from emodc.noise import step_noise
from emodc.schedule import add_noise

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "anger", "disgust")
REPEATS = 7


def one_pass_per_prompt(
    denoiser: Denoiser, prompts: Prompts, model: EmoDC, image: torch.Tensor
) -> torch.Tensor:
    """The verdict as the method is usually described: class by class through the whole network."""
    states = denoiser.text_states(prompts.texts()[: len(CLASSES)])
    latent = denoiser.encode(image)
    timesteps = model.timesteps
    noise = step_noise(0, "0", range(len(timesteps)), tuple(latent.shape[1:]))
    noisy = add_noise(latent.expand_as(noise), noise, denoiser.alpha_bar[timesteps])
    errors = []
    for state in states:
        predicted = denoiser.unet(noisy, timesteps, state.expand(len(noise), -1, -1)).sample
        errors.append((predicted - noise).square().mean(dim=(1, 2, 3)))
    return torch.stack(errors)


def main() -> None:
    """Run the comparison."""
    runtime.keep_freed_memory()
    torch.set_num_threads(1)
    prompts = Prompts(CLASSES)
    with rng.fenced("benchmark"), torch.no_grad():
        pictures = torch.randint(0, 256, (64, 3, 64, 64), dtype=torch.uint8)
        denoiser = small_denoiser(pictures, prompts).eval()
        model = EmoDC(denoiser, prompts, Evaluation(precision="float32")).eval()
        image = pictures[:1].float() / 255
        contestants: dict[str, Callable[[], torch.Tensor]] = {
            "one pass per prompt": lambda: one_pass_per_prompt(denoiser, prompts, model, image),
            "shared trunk": lambda: model.trace(image).errors[0],
        }
        results = [contestant() for contestant in contestants.values()]
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(REPEATS):
            for name, contestant in contestants.items():
                start = time.perf_counter()
                contestant()
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name}: {median * 1e3:.0f} ms per picture")
    print(f"ratio: {medians['one pass per prompt'] / medians['shared trunk']:.1f}")
    print(f"largest difference of an error: {(results[0] - results[1]).abs().max():.1e}")


if __name__ == "__main__":
    main()
