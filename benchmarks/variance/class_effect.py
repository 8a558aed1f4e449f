"""A control variate from the class effect, for `variance_reduction`.

Write the prediction for class k as p + e_k, p the mean over classes. The squared error differs
between classes by |e_k|^2 + 2 <p, e_k> - 2 <eps, e_k>. Let g_k be the mean e_k of the steps visited
before the i-th: <eps_i, g_k>, less its mean over the steps that are left, has mean zero given the
past, so a multiple of it may be added to the error of class k. It costs no evaluation, only the
noise of all steps.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.variance.banks import Measured

WIDTH = 50.0  # timesteps: how far away the class effect is believed to be the same
BINS = np.arange(50, 500, 50)  # in timesteps: edges between bins that have a factor each

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


def controls(measured: Measured, rows: Ints, orders: Ints) -> Floats:
    """2 <eps_i, g_k> less its mean over what is left, in visiting order, (M, K, S).

    Args:
        measured: Of N pictures.
        rows: Those that are asked for, (M,).
        orders: Positions of their steps in the order of visiting, (M, S).
    """
    found = []
    for row, order in zip(rows, orders, strict=True):
        products = measured.products[row][order][:, order].astype(np.float64)
        at = measured.timesteps["independent"][row][order].astype(np.float64)
        belief = np.tril(np.exp(-np.abs(at[:, None] - at) / WIDTH), -1)
        belief[1:] /= belief[1:].sum(axis=1, keepdims=True)
        left = np.arange(len(order), 0, -1)[:, None, None]
        remaining = products[::-1].cumsum(axis=0)[::-1] / left
        found.append(2 * np.einsum("ij,ijk->ki", belief, products - remaining))
    return np.stack(found)


def factors(measured: Measured, rows: Ints, orders: Ints) -> Floats:
    """The factor of each bin that leaves the least variance; arguments as of `controls`."""
    control = controls(measured, rows, orders)
    errors = _visited(measured.errors["independent", 0], rows, orders)
    rest = errors - errors.mean(axis=1, keepdims=True)
    bins = np.digitize(measured.timesteps["independent"][rows[:, None], orders], BINS)
    found = np.zeros(len(BINS) + 1)
    for b in range(len(found)):
        inside = (bins == b)[:, None, :]
        mean = (rest * inside).sum(axis=2, keepdims=True) / inside.sum(axis=2, keepdims=True)
        found[b] = -((rest - mean) * control * inside).sum() / (control**2 * inside).sum()
    return found


def corrected(
    measured: Measured, rows: Ints, orders: Ints, learned: Floats
) -> tuple[Floats, Floats]:
    """Errors for the sequential test, and what each step's excess gained; on the grid, (M, K, S).

    The test looks at the excess of the i-th of S differences, v_i + (v_1 + ... + v_(i-1)) /
    (S - i + 1). The errors returned have the excess of those measured plus the control. The full
    means stay, because the control of the last step is zero.

    Args:
        measured: As in `controls`.
        rows: Likewise.
        orders: Likewise.
        learned: Of `factors`, on other pictures.
    """
    errors = _visited(measured.errors["independent", 0], rows, orders)
    bins = np.digitize(measured.timesteps["independent"][rows[:, None], orders], BINS)
    gained = controls(measured, rows, orders) * learned[bins][:, None]
    change, total = np.zeros_like(errors), np.zeros(errors.shape[:2])
    steps = errors.shape[2]
    for i in range(steps):
        change[:, :, i] = gained[:, :, i] - total / (steps - i)
        total += change[:, :, i]
    back = orders.argsort(axis=1)[:, None]
    return (
        np.take_along_axis(errors + change, back, axis=2),
        np.take_along_axis(gained, back, axis=2),
    )


def _visited(errors: Floats, rows: Ints, orders: Ints) -> Floats:
    return np.take_along_axis(errors[rows], orders[:, None], axis=2)
