import subprocess
import sys

import pytest

WORKER = """
import time
from bench.util import runtime

runtime.die_with_parent(PARENT)
time.sleep(600)
"""
STARTER = """
import os, subprocess, sys, time
code = sys.argv[1].replace("PARENT", sys.argv[2] if len(sys.argv) > 2 else str(os.getpid()))
subprocess.Popen([sys.executable, "-c", code])
time.sleep(2 if len(sys.argv) > 2 else 0)
os._exit(0)
"""


@pytest.mark.parametrize("told", [[], ["None"]], ids=["killed at once", "killed later"])
def test_a_worker_ends_with_the_process_that_started_it(told: list[str]) -> None:
    """As after SIGTERM while workers start: nothing of a gigabyte stays behind."""
    # The pipe is the worker's, too: it is closed when the last of both has ended.
    code = [sys.executable, "-c", STARTER, WORKER, *told]
    done = subprocess.run(code, stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == 0
