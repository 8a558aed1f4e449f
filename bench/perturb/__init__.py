"""Perturbations: corruptions (model-free, severity 1-5) and attacks (white-box, eps in 1/255)."""

from bench.perturb.base import SEVERITIES, Corruption
from bench.perturb.blur import GaussianBlur
from bench.perturb.noise import GaussianNoise

CORRUPTIONS: dict[str, Corruption] = {
    corruption.name: corruption for corruption in (GaussianNoise(), GaussianBlur())
}
#: Built by `bench.perturb.attacks`, which imports torch; names are known without it.
ATTACKS = ("fgsm", "pgd")

__all__ = ["ATTACKS", "CORRUPTIONS", "SEVERITIES", "Corruption"]
