"""Training what has no checkpoint.

recipe.py     what determines the weights of a checkpoint, and where it is kept
missing.py    train every checkpoint of a run that is missing
loop.py       one loop for every trainer: saved while it runs, continued exactly
stage.py      one stage of an EmoDC: validation, early stop, the gate
baseline.py   a discriminative network
data.py       the splits as tensors, and as latents
"""

from bench.training.missing import train_missing
from bench.training.recipe import checkpoint_folder, recipes

__all__ = ["checkpoint_folder", "recipes", "train_missing"]
