"""How one checkpoint is trained; which are needed is a matter of `bench.classifiers.checkpoints`.

loop.py            one loop for every trainer: saved while it runs, continued exactly; its data
stage.py           one stage of an EmoDC: validation, early stop, the gate
discriminative.py  a network of pictures, or of clips
"""
