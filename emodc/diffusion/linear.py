r"""The noise-prediction error of the best linear denoiser: what a network has to beat.

Let x_t = a x_0 + b eps, x_0 have mean m and covariance S = U diag(lambda) U^T, and eps be white.
Of all linear predictions of eps from x_t the best is b (a^2 S + b^2 I)^-1 (x_t - a m). Along the
eigenvector i it multiplies the centred x_t by f = b / (a^2 lambda + b^2), and its error there is

    E (f (a z + b eps) - eps)^2 = f^2 a^2 lambda + (1 - f b)^2 = a^2 lambda / (a^2 lambda + b^2),

with E z^2 = lambda. The mean over i is the error averaged over elements, as d_p is. If x_0 is
Gaussian, no denoiser does better.
"""

import torch
from torch import Tensor

_SHARES = (0.0, *(10 ** (k / 2) for k in range(-16, 1)))  # of the identity in the covariance


def measured_linear_error(train: Tensor, held_out: Tensor, signal: Tensor, noise: Tensor) -> float:
    """Error on `held_out` of the linear denoiser that is best for the covariance of `train`.

    Three of four training pictures give the covariance, which is shrunk towards a multiple of the
    identity; the others choose by how much. That matters where pictures are fewer than dimensions.
    The expectation over the noise is exact: no noise is drawn.

    Args:
        train: x_0 of at least four pictures in random order, (N, ...).
        held_out: x_0 of other pictures, (M, ...).
        signal: Scale a of x_0 at each timestep, (T,).
        noise: Scale b > 0 of the noise at each timestep, (T,).

    Raises:
        ValueError: If there are fewer than four pictures to learn from or none to measure on.
    """
    if len(train) < 4 or not len(held_out):
        raise ValueError("a linear denoiser is learned from four pictures and measured on others")
    rows = train.flatten(1).double()
    choosing, rows = rows[3::4], rows[torch.arange(len(rows)) % 4 != 3]
    mean = rows.mean(0)
    rows = rows - mean
    count, size = rows.shape
    few = count < size
    # The smaller of both products has all eigenvalues that are not 0.
    values, vectors = torch.linalg.eigh((rows @ rows.T if few else rows.T @ rows) / count)
    values = values.clamp_min(0.0)
    if few:  # left singular vectors to right ones
        known = values > values.max() * 1e-10
        values, vectors = values[known], vectors[:, known]
        vectors = rows.T @ vectors / (count * values).sqrt()
    level = values.sum() / size  # mean variance
    a2, b2 = signal.double().square()[:, None], noise.double().square()[:, None]

    def error(pictures: Tensor, share: float) -> float:
        """In units of the formula at the top of the module, of assumed and actual variances."""
        centred = pictures.flatten(1).double() - mean
        along = (centred @ vectors).square().mean(0)
        beside = (centred.square().sum(1).mean() - along.sum()).clamp_min(0.0)  # other directions
        directions = torch.cat([torch.ones_like(values), values.new_tensor([size - len(values)])])
        actual = torch.cat([along, beside[None]])
        assumed = torch.cat([(1 - share) * values, values.new_zeros(1)]) + share * level
        wrong = a2 * b2 * actual + directions * (a2 * assumed).square()
        return float((wrong / (a2 * assumed + b2).square()).sum(1).mean() / size)

    share = min(_SHARES, key=lambda share: error(choosing, share))
    return error(held_out, share)
