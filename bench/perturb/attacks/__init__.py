"""Attacks: what needs the classifier, and has a budget eps in 1/255.

- `base`           what an attack is: a picture and a budget in, an adversarial picture out; attacks
                   on classifiers that draw noise anew, judged on several draws
- `victim`         how attacks ask a classifier: losses, gradients, steps within a budget; several
                   attacks whose questions share a batch
- `gradient`       FGSM, PGD, APGD, low frequencies; two on early decisions
- `blackbox`       Square, RayS, random noise, transfer from another classifier
- `torch_attacks`  any attack of torchattacks by its name
"""

from collections.abc import Mapping

from bench.perturb.attacks.base import (
    DRAWS,
    Attack,
    AttackFacts,
    BuiltIn,
    FreshNoise,
    any_budget,
    budget,
)
from bench.perturb.attacks.blackbox import RandomNoise, RayS, Square, Transfer
from bench.perturb.attacks.gradient import (
    APGD,
    FGSM,
    PGD,
    APGDOnRatio,
    LowFrequency,
    Mislead,
    Momentum,
    SlowDown,
    StrongPGD,
    TargetedAPGD,
)
from bench.perturb.attacks.torch_attacks import PREFIX, OfTorchattacks

#: By their name in configs.
ATTACKS: dict[str, type[BuiltIn]] = {
    attack.kind: attack
    for attack in (
        FGSM,
        PGD,
        Momentum,
        StrongPGD,
        SlowDown,
        Mislead,
        APGD,
        APGDOnRatio,
        TargetedAPGD,
        LowFrequency,
        Square,
        RayS,
        RandomNoise,
        Transfer,
    )
}

#: Attacks that belong together, by the name that stands for all of them in configs.
SUITES: Mapping[str, tuple[str, ...]] = {
    "quick": ("fgsm", "pgd"),
    "standard": ("apgd_ce", "apgd_dlr", "square"),
}

__all__ = [
    "ATTACKS",
    "DRAWS",
    "PREFIX",
    "SUITES",
    "Attack",
    "AttackFacts",
    "BuiltIn",
    "FreshNoise",
    "OfTorchattacks",
    "any_budget",
    "budget",
]
