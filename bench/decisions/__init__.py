"""Decisions replayed from stored traces: what a rule would have decided, and at which cost.

replay.py     a rule on the traces of one classifier: right or not, evaluations, passes, FLOPs
fields.py     rules and their fields as people type them
sources.py    which traces of a store can be replayed, and with which fit
compared.py   rules beside the full decision; table.py and terminal.py show them
by_steps.py   accuracy by number of steps, for `bench run steps`

No network is loaded: everything follows from traces. `bench.config.decision` lists the rules.
"""
