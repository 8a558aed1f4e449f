"""Checkpoint folders, as EmoDC, diffusers and the hub see them."""
