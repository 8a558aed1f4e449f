"""The robustness bench: config -> plan -> worker -> store -> report."""

__version__ = "0.1.0"
