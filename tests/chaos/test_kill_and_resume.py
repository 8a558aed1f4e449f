"""`kill -9` at several moments, then the same command: the summary of an undisturbed run."""

import os
import signal
import time
from pathlib import Path

import pytest
import quick_figures
from command_line import Copied, call_apart
from support import TINY, summary_without_times


def bench(out: Path, config: Path) -> list[str]:
    flags = ["--config", str(config), "--out", str(out), "--classifiers", "test_resnet,emodc_amdit"]
    return [quick_figures.__file__, "run", "robustness", *flags]


def test_killed_twice_and_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_figures.quicken(monkeypatch)

    def whole(*started: str) -> None:
        """In this process, undisturbed."""
        code, _, err = call_apart(capsys, monkeypatch, *started[1:])
        assert code == 0, err

    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    two_workers = tmp_path / "two_workers.yaml"
    two_workers.write_text(TINY.read_text().replace("workers: 1", "workers: 2"))
    whole(*bench(undisturbed, TINY))

    for moment in ("training", "sweep"):
        command = bench(disturbed, two_workers)
        with Copied(*command, own_session=True) as process:
            if moment == "training":
                for line in process.stderr:
                    if line.startswith("train emodc_amdit"):
                        break
            else:
                # Not in all folders: others come and go.
                wait_for(lambda: any(disturbed.glob("cells/*/*/part-*.parquet")), process)
            assert process.poll() is None, "it finished before it could be killed"
            os.killpg(process.pid, signal.SIGKILL)

    assert not (disturbed / "report").exists()
    whole(*bench(disturbed, two_workers))
    assert summary_without_times(disturbed) == summary_without_times(undisturbed)


def wait_for(condition, process: Copied) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
