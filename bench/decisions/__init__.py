"""Decisions replayed from stored traces: what a rule would have decided, and at which cost.

fields.py     rules and their fields as people type them
session.py    what `bench decide` replays; independent.py finds the same pictures in another run
table.py terminal.py   show it

No network is loaded: everything follows from traces. `bench.rules` lists the rules,
`bench.report.replay` reads traces, replays rules and compares them with the full decision; it knows
nothing of this package.
"""
