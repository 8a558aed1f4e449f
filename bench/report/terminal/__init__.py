"""The report in a terminal: `summary` says what, `fitted` makes it fit."""

from bench.report.terminal.summary import show

__all__ = ["show"]
