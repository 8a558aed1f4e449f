"""Control variates: numbers of known mean that are added to what a sequential test looks at.

After the cells before the i-th, of differences D and sizes x, the test looks at

    z_i = D_i / x_i + (D_1 + ... + D_(i-1)) / X_i,

X_i being the sum of the sizes left: its mean over draws of the next cell is 0 if all D sum to 0. So
a number may be added whose mean over these draws is 0 whatever was seen before, and if it goes
against z_i, what remains varies less. Differences are linear in errors, so everything here is
written for the errors of M pictures, K classes, S cells in the order of visiting.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.variance.banks import Measured

WIDTH = 50.0  # timesteps: how far away the class effect is believed to be the same
NO_EFFECT = 10.0  # steps' worth of belief that there is none, before any has been seen

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


def rest(values: Floats) -> Floats:
    """Sums of each value (M, S, ...) and all later ones along the second axis."""
    return values[:, ::-1].cumsum(axis=1)[:, ::-1]


def looked_at(errors: Floats, sizes: Floats) -> Floats:
    """Of each class, z of which differences are the z of D; errors (M, K, S), sizes (M, S)."""
    before = errors.cumsum(axis=2) - errors
    return errors / sizes[:, None] + before / rest(sizes)[:, None]


def corrected(errors: Floats, sizes: Floats, control: Floats) -> Floats:
    """Errors (M, K, S) whose z are those of `errors` plus the control; their sums stay."""
    left, change, total = rest(sizes), np.zeros_like(errors), np.zeros(errors.shape[:2])
    for i in range(errors.shape[2]):
        change[:, :, i] = sizes[:, [i]] * (control[:, :, i] - total / left[:, [i]])
        total += change[:, :, i]
    return errors + change


def gap_control(errors: Floats, profile: Floats) -> Floats:
    """The gap profile as a control variate, for sizes 1: a multiple of it is taken off the errors.

    The multiple is the regression of a class's earlier errors on the profile (M, S), through the
    origin: of differences, it is how far two classes lie apart so far.
    """
    left = np.arange(profile.shape[1], 0, -1)
    products = errors * profile[:, None]
    squares = (profile**2).cumsum(axis=1) - profile**2
    before = products.cumsum(axis=2) - products
    multiple = np.divide(before, squares[:, None], out=np.zeros_like(before), where=before != 0)
    return -multiple * (profile - rest(profile) / left)[:, None]


def class_effects(measured: Measured, orders: Ints, sizes: Floats) -> Floats:
    """A control variate from what classes change in the prediction, but for a factor; (M, K, S).

    Write the prediction for class k as p + e_k, p the mean over classes. The squared error differs
    between classes by |e_k|^2 + 2 <p, e_k> - 2 <eps, e_k>. Let g_k(t) be the e_k that the cells
    visited before the i-th lead one to expect at timestep t. Then 2 <eps_i, g_k(t_i)> / x_i, less
    its mean over the cells that are left, has mean 0. It costs no evaluation, only their noise.

    Args:
        measured: M pictures.
        orders: Positions of their cells in the order of visiting, (M, S).
        sizes: Of the cells in that order, (M, S).
    """
    found, left = [], np.tril(np.ones((orders.shape[1],) * 2))[:, :, None]
    for row, order in enumerate(orders):
        at = measured.timesteps[row][order].astype(np.float64)
        near = np.exp(-np.abs(at[:, None] - at) / WIDTH)[:, :, None]
        told = near * measured.products[row][order][:, order]
        # Of the j-th cell, by what was seen before the i-th: (j, i, K).
        expected = 2 * (told.cumsum(axis=1) - told) / (NO_EFFECT + near.cumsum(axis=1) - near)
        own = np.diagonal(expected).T / sizes[row][:, None]
        mean = (expected * left).sum(axis=0) / rest(sizes[[row]])[0][:, None]
        found.append((own - mean).T)
    return np.stack(found)


def factor(errors: Floats, sizes: Floats, control: Floats) -> float:
    """The multiple of a control after which z varies least between cells; all (M, K, S)."""
    z = looked_at(errors, sizes)
    z -= z.mean(axis=1, keepdims=True)
    z -= z.mean(axis=2, keepdims=True)
    return float(-(z * control).sum() / (control**2).sum())
