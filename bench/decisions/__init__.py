"""Decisions replayed from stored traces: what a rule would have decided, and at which cost.

replay.py     a rule on the traces of one classifier: right or not, evaluations, passes, FLOPs
fields.py     rules and their fields as people type them
by_steps.py   smaller full decisions, for `bench run steps`
session.py    what `bench decide` replays; independent.py finds the same pictures in another run
table.py terminal.py   show it

No network is loaded: everything follows from traces. `bench.config.decision` lists the rules,
`bench.report.traces` reads traces and compares rules with the full decision.
"""
