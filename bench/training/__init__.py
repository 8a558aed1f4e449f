"""How one checkpoint is trained; which are needed is a matter of `bench.classifiers.checkpoints`.

loop.py       one loop for every trainer: saved while it runs, continued exactly
stage.py      one stage of an EmoDC: validation, early stop, the gate
baseline.py   a discriminative network
data.py       the splits as tensors, and as latents
"""
