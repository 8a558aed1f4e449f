"""Data sets: an index of samples with pictures, labels by name and group attributes."""
