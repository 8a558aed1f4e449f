"""Perturbations: corruptions (model-free, with severities) and attacks (white-box, eps in 1/255).

- `config`    which perturbations a run has: YAML -> these
- `base`      what a perturbation is: its levels, its rows, `apply`; clean pictures, corruptions,
              noise and blur by sigma or signal-to-noise ratio, at any level
- `corruptions/`  what becomes of pixels, on batches
- `presets`   named lists of corruptions, also in words
- `versions`  a picture in several versions: sequences of thirty frames for flip rates, views for
              test-time augmentation
- `clips`     corrupted clips: what stays the same from frame to frame
- `certified` certificates by randomised smoothing
- `export`    corrupted pictures on a page, as a data set
- `attacks`   FGSM and PGD
- `user_code` corruptions and attacks of a user's own
"""

from bench.perturb.attacks import ATTACKS
from bench.perturb.base import CONTINUOUS, SEVERITIES, Address, Batch, Corruption, Perturbation
from bench.perturb.presets import PRESETS, Preset
from bench.perturb.versions import SEQUENCES

#: Every corruption, by its name in configs and tables.
CORRUPTIONS: dict[str, Corruption] = {
    name: corruption
    for preset in PRESETS.values()
    for name, corruption in preset.corruptions.items()
}

__all__ = [
    "ATTACKS",
    "CONTINUOUS",
    "CORRUPTIONS",
    "PRESETS",
    "SEQUENCES",
    "SEVERITIES",
    "Address",
    "Batch",
    "Corruption",
    "Perturbation",
    "Preset",
]
