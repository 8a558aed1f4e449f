import os
import subprocess
import sys
from pathlib import Path

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


OTHER_MODULES = """
import statistics
from bench.util import runtime

runtime.prepare_workers("statistics")
with runtime.pool(1, "died") as pool:
    print(pool.submit(eval, "__import__('statistics').__file__").result() == statistics.__file__)
print(runtime._METHOD)
"""


@pytest.mark.parametrize("temporary", ["short", "l" + "o" * 80 + "ng"])
def test_workers_find_the_modules_of_their_run(temporary: str, tmp_path: Path) -> None:
    """And not those of the working folder; a long name for temporary files is no hindrance."""
    (tmp_path / "statistics.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / temporary).mkdir()
    there = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path / temporary)}
    there["TMPDIR"] = there["TMPDIR"] if temporary != "short" else "/tmp"
    code = [sys.executable, "-P", "-c", OTHER_MODULES]
    done = subprocess.run(
        code, cwd=tmp_path, env=os.environ | there, capture_output=True, text=True, timeout=120
    )
    copies = sys.platform == "linux" and temporary == "short"
    assert done.stdout.split() == ["True", "forkserver" if copies else "spawn"], done.stderr


def test_workers_have_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that of the first ones, which the later are copied like."""
    for value in ("first", "second"):
        monkeypatch.setenv("BENCH_TEST", value)
        with runtime.pool(1, "died") as pool:
            assert pool.submit(os.getenv, "BENCH_TEST").result() == value
