import os
import subprocess
import sys

import pytest

from bench.util import runtime

STARTER = """
import os, sys, time
from bench.util import runtime

with runtime.pool(1, "died") as pool:
    pool.submit(time.sleep, 600)
    time.sleep(float(sys.argv[1]))
    os._exit(0)
"""


@pytest.mark.parametrize("seconds", ["0", "2"], ids=["killed at once", "killed later"])
def test_a_worker_ends_with_the_process_that_started_it(seconds: str) -> None:
    """As after SIGTERM while workers start: nothing of a gigabyte stays behind."""
    # The pipe is the worker's, too: it is closed when the last of both has ended.
    code = [sys.executable, "-c", STARTER, seconds]
    done = subprocess.run(code, stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == 0


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that of the first ones, which the later are copied like."""
    for value in ("first", "second"):
        monkeypatch.setenv("BENCH_TEST", value)
        with runtime.pool(1, "died") as pool:
            assert pool.submit(os.getenv, "BENCH_TEST").result() == value
