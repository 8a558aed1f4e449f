"""`bench data verify`: is a folder the data set that it should be, whole and undamaged?

`findings` looks; `report` shows, and compares two copies by their digests.
"""

from bench.data.verify.findings import verify
from bench.data.verify.report import DataFinding, Verification

__all__ = ["DataFinding", "Verification", "verify"]
