"""The one door to classifiers: EmoDC, baselines, a user's own.

kinds/             a classifier in a config: what the bench knows of each kind, one file each
base.py            what the sweep asks of a classifier that is open
emodc.py           EmoDC, and its matched control
discriminative.py  a network with logits: a baseline, or a user's own
around.py          one around another: on frames, behind a denoiser, adapting to its pictures
networks.py        networks of others behind the inputs that they want
checkpoints.py     recipes, and training what is missing
load.py            from a checkpoint to a classifier
check.py           whether a classifier can be measured, and names its outputs in the right order

With `training`, the only part of the bench that imports models of emodc or baselines.
"""
