"""The forward process x_t = signal_t * x_0 + noise_t * eps, and the grid of timesteps.

The process is read once from a diffusers scheduler (whose JSON is part of the checkpoint folder),
in float64 and kept in float32, whatever the network's dtype: half-precision ``1 - alpha_bar`` is
wrong by 15 % at t = 0.
"""

from typing import Any, Literal, Self, get_args

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from emodc.settings import Weighting

Prediction = Literal["epsilon", "v_prediction", "sample", "flow"]


class Process(nn.Module):
    """Signal and noise levels of every timestep, and what the network predicts.

    Variance-preserving diffusion (Ho et al. 2020) has signal^2 + noise^2 = 1; rectified flow
    (Liu et al. 2022, arXiv 2209.03003) has signal + noise = 1.

    Args:
        signal: Factor of x_0 at each timestep, (T,).
        noise: Factor of eps at each timestep, (T,); rises with t.
        prediction: What the network's output is: eps ("epsilon"), x_0 ("sample"),
            v = signal * eps - noise * x_0 (Salimans & Ho 2022, arXiv 2202.00512), or the velocity
            eps - x_0 ("flow").
        told: The time that the network is told at each timestep, (T,).
    """

    signal: Tensor
    noise: Tensor
    told: Tensor

    def __init__(
        self, signal: Tensor, noise: Tensor, prediction: Prediction, told: Tensor | None = None
    ) -> None:
        super().__init__()
        self.prediction = prediction
        told = torch.arange(len(signal)) if told is None else told
        self.register_buffer("signal", signal.float(), persistent=False)
        self.register_buffer("noise", noise.float(), persistent=False)
        self.register_buffer("told", told, persistent=False)

    @classmethod
    def of_scheduler(cls, scheduler: Any) -> Self:
        """The process that a diffusers scheduler describes.

        Raises:
            ValueError: If it predicts something that EmoDC does not know.
        """
        config = scheduler.config
        if "FlowMatch" in type(scheduler).__name__:
            sigma = torch.arange(1, config.num_train_timesteps + 1, dtype=torch.float64)
            sigma = sigma / config.num_train_timesteps
            shift = config.get("shift", 1.0)
            sigma = shift * sigma / (1.0 + (shift - 1.0) * sigma)
            return cls(1.0 - sigma, sigma, "flow", (sigma * config.num_train_timesteps).float())
        prediction = config.prediction_type
        if prediction not in get_args(Prediction):
            known = ", ".join(get_args(Prediction))
            raise ValueError(f"the scheduler predicts {prediction!r}; EmoDC knows {known}")
        log_signal = torch.log1p(-scheduler.betas.double()).cumsum(0)  # log alpha_bar
        return cls((log_signal / 2).exp(), (-torch.expm1(log_signal)).sqrt(), prediction)

    def __len__(self) -> int:
        return len(self.signal)

    @property
    def noise_to_signal(self) -> Tensor:
        """Standard deviation of the noise in units of x_0, (T,)."""
        return self.noise / self.signal

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """x_t, float32 (B, C, H, W), from x_0 and eps of that shape and int64 timesteps (B,)."""
        signal, level = self._at(timesteps)
        return signal * latents + level * noise

    def without(self, noise: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """x_0, float32 (B, C, H, W), of which `noised` makes `noisy` with this noise.

        Not finite at a timestep without any signal.
        """
        signal, level = self._at(timesteps)
        return (noisy - level * noise) / signal

    def predicted_noise(self, output: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The network's output as a prediction of eps, float32 (B, C, H, W).

        From x_t = a x_0 + b eps: x_0-prediction gives eps = (x_t - a x_0) / b; v-prediction, with
        a^2 + b^2 = 1, gives eps = a v + b x_t; flow, with a + b = 1, gives eps = x_t + a v.
        """
        output = output.float()
        signal, level = self._at(timesteps)
        if self.prediction == "epsilon":
            return output
        if self.prediction == "v_prediction":
            return signal * output + level * noisy
        if self.prediction == "sample":
            return (noisy - signal * output) / level
        return noisy + signal * output

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What a perfect network outputs, float32 (B, C, H, W)."""
        signal, level = self._at(timesteps)
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "v_prediction":
            return signal * noise - level * latents
        if self.prediction == "sample":
            return latents
        return noise - latents

    def weight(self, timesteps: Tensor, weighting: Weighting) -> Tensor:
        """Factor of a squared error in eps, float32 (B,).

        "noise" leaves it (the simple loss of Ho et al. 2020); "target" gives the squared error of
        the network's own target: 1 for eps, noise^2 / signal^2 for x_0, 1 / signal^2
        for v and flow.

        Raises:
            ValueError: For the target's units at a timestep without any signal, where no error in
                eps says what the error in the target was.
        """
        signal, level = self.signal[timesteps], self.noise[timesteps]
        if weighting == "noise" or self.prediction == "epsilon":
            return torch.ones_like(signal)
        if bool((signal == 0).any()):
            raise ValueError(
                "weighting 'target' is undefined at timesteps without signal; end the range (high) "
                "before them or use 'noise'"
            )
        if self.prediction == "sample":
            return (level / signal) ** 2
        return signal**-2

    def _at(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        rows = (slice(None), None, None, None)
        return self.signal[timesteps][rows], self.noise[timesteps][rows]


def best_multiple(signal: Tensor, noise: Tensor, variance: Tensor) -> Tensor:
    """The factor of x_t that predicts eps best: noise / (signal^2 variance + noise^2).

    No linear prediction is better where the elements of x_0 are independent, with mean 0 and this
    variance; if they are Gaussian, no prediction is.
    """
    return noise / (signal.square() * variance + noise.square())


def cosine_scheduler(num_timesteps: int = 1000) -> DDPMScheduler:
    """The schedule of Nichol & Dhariwal (2021), eq. 17, with noise (epsilon) prediction."""
    return DDPMScheduler(
        num_train_timesteps=num_timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="epsilon",
        clip_sample=False,
    )


def timestep_grid(steps: int, low: int, high: int) -> Tensor:
    """The middle of each of `steps` equal strata of [low, high): int64 (steps,), ascending.

    Stratified rather than drawn, so that ten steps already cover the whole range.

    Raises:
        ValueError: If the range is empty or `steps` is not positive.
    """
    if steps < 1 or not 0 <= low < high:
        raise ValueError(f"no grid of {steps} steps in timesteps [{low}, {high})")
    middles = (torch.arange(steps, dtype=torch.float64) + 0.5) * (high - low) / steps
    return (low + middles).to(torch.int64)
