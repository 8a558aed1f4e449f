"""What a test could find at all: a pure function on numbers."""

from math import sqrt
from statistics import NormalDist


def detectable_difference(
    n: int, discordant: float, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest difference of two accuracies on the same n samples that a test would find.

    R. J. Connor, "Sample size for testing differences in proportions for the paired-sample design",
    Biometrics 43 (1987): McNemar's test needs n = (z_alpha/2 sqrt(psi) + z_power
    sqrt(psi - d^2))^2 / d^2 samples for a difference d at a share psi of discordant ones; here that
    is solved for d. The formula is for the approximate test; the exact one needs slightly more.

    Args:
        n: Number of samples, at least 1.
        discordant: Share of samples that exactly one of the two classifiers recognises, in [0, 1].
        alpha: Level of the two-sided test.
        power: Probability of finding the difference, in [0.5, 1).

    Returns:
        A fraction in (0, discordant]; None if so few samples cannot show a difference at all, which
        is at most `discordant`.

    Raises:
        ValueError: If an argument is outside its range.
    """
    if n < 1 or not 0 <= discordant <= 1 or not 0 < alpha < 1 or not 0.5 <= power < 1:
        raise ValueError(f"no such design: n {n}, discordant {discordant}, {alpha=}, {power=}")
    normal = NormalDist()
    a = normal.inv_cdf(1 - alpha / 2) * sqrt(discordant)
    b = normal.inv_cdf(power)
    # (d sqrt(n) - a)^2 = b^2 (psi - d^2), a quadratic in d; its larger root has d sqrt(n) >= a.
    root = a**2 * n - (n + b**2) * (a**2 - b**2 * discordant)
    if root < 0:
        return None
    found = (a * sqrt(n) + sqrt(root)) / (n + b**2)
    return found if 0 < found <= discordant else None
