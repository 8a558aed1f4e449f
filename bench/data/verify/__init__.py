"""`bench data verify`: is a folder the data set that it should be, whole and undamaged?

- `report`      what is found, and how bad it is
- `check`       runs everything
- `counts`      pictures per class and split against the published ones
- `pictures`    missing, unlabelled, unreadable, tiny; persons in several splits
- `duplicates`  equal and near-identical pictures; equal pictures with different labels
- `near`        the search for near-identical ones
- `manifest`    digests of a copy, and the comparison of two copies
- `terminal`    how it is shown
"""

from bench.data.verify.findings import verify
from bench.data.verify.report import DataFinding, Verification

__all__ = ["DataFinding", "Verification", "verify"]
