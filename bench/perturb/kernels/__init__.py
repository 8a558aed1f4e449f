"""Corruptions as pure functions on batches of pictures, one file per family.

A kernel takes uint8 RGB pictures (N, H, W, 3), its constants by name and, where it is random, one
generator per picture; it returns uint8 (N, H, W, 3). What becomes of a picture depends on its own
pixels, constants and generator alone, whatever the batch or the number of threads. The constants
at severities 1-5 stand beside the kernels, in tables of keyword arguments.
"""
