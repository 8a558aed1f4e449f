"""Trainings at the same time end as trainings one after the other, also after a Ctrl-C."""

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from command_line import Copied
from support import TINY

from bench.classifiers import checkpoints
from bench.classifiers.kinds.adapted import AdaptedClassifier
from bench.config import Config, load
from bench.data.open import open_dataset
from bench.store.checkpoints import Card
from bench.util import runtime
from bench.util.errors import UserError
from bench.util.progress import Reporter

SCRIPT = """
import sys
from bench.classifiers import checkpoints
checkpoints.WORTHWHILE = 0.0
from bench.cli import main
sys.exit(main())
"""


class Lines(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def config(**execution: object) -> Config:
    found = load(TINY)
    return found.model_copy(
        update={"execution": found.execution.model_copy(update={"workers": 2, **execution})}
    )


def weights(found: dict[tuple[str, int], Path]) -> dict[tuple[str, int], str]:
    return {key: Card.verified(folder).weights for key, folder in found.items()}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the trainings are, and on any machine."""
    monkeypatch.setattr(checkpoints, "WORTHWHILE", 0.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_together_they_end_with_the_weights_of_one_after_the_other(
    always: None, tmp_path: Path
) -> None:
    chosen, lines = config(), Lines()
    dataset = open_dataset(chosen.data, 0)
    together = checkpoints.train_missing(chosen, dataset, tmp_path / "together", lines)
    assert len(together) == len(chosen.classifiers) >= 3
    for name in chosen.classifiers:
        assert any(line.startswith(f"train {name}") for line in lines.said), lines.said
    alone = config(workers=1)
    with runtime.one_thread():
        one_by_one = checkpoints.train_missing(alone, dataset, tmp_path / "alone", Reporter(True))
    assert weights(together) == weights(one_by_one)
    assert not list((tmp_path / "together" / "checkpoints").glob(".*"))  # no state is left


def test_an_interruption_while_trainings_start_leaves_none_claimed(
    always: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next run in this process would wait for itself."""

    def submit(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    chosen = config()
    with pytest.raises(KeyboardInterrupt):
        checkpoints.train_missing(chosen, open_dataset(chosen.data, 0), tmp_path, Lines())
    assert not list((tmp_path / ".leases").iterdir())


def test_what_a_training_cannot_do_is_told_by_the_run(always: None, tmp_path: Path) -> None:
    chosen = config(trackers=["wandb"])
    dataset = open_dataset(chosen.data, 0)
    with pytest.raises(UserError, match="wandb is not installed"):
        checkpoints.train_missing(chosen, dataset, tmp_path, Reporter(quiet=True))


@pytest.mark.parametrize(
    ("change", "processes"),
    [
        ({}, 2),
        ({"seconds": 60.0}, 1),  # not worth it
        ({"chains": 1}, 1),
        ({"workers": 1}, 1),
        ({"memory": 2 * 10**9}, 1),
        ({"memory": 6 * 10**9}, 2),
        ({"memory": 6 * 10**9, "side": 4000}, 1),  # what is read for training is large
        ({"memory": 6 * 10**9, "side": 4000, "wrapped": True}, 1),
    ],
)
def test_the_number_depends_on_config_and_machine_alone(
    change: dict[str, float], processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = int(change.get("memory", 64 * 10**9))
    sysconf = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": memory // 4096}
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "sysconf", sysconf.__getitem__)
    chosen = config(workers=change.get("workers", 2))
    if "side" in change:
        [name] = [n for n, spec in chosen.classifiers.items() if spec.kind == "baseline"]
        large = chosen.classifiers[name].model_copy(update={"image_size": change["side"]})
        if "wrapped" in change:
            large = AdaptedClassifier(kind="adapted", classifier=large)
        chosen = chosen.model_copy(update={"classifiers": {**chosen.classifiers, name: large}})
    dataset = open_dataset(chosen.data, 0)
    chains, seconds = int(change.get("chains", 3)), change.get("seconds", 600.0)
    assert checkpoints.process_count(chosen, dataset, chains, seconds) == processes
    threads = torch.get_num_threads() if processes == 1 else 1
    assert checkpoints.training_threads("cpu", processes) == threads
    assert checkpoints.training_threads("cuda", processes) is None


def test_a_training_that_has_just_ended_keeps_no_other_from_saving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def kill(process: int, number: int) -> None:
        asked.append(process)
        if process == 1:
            raise ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    children = {pid: SimpleNamespace(pid=pid, is_alive=lambda: True) for pid in (1, 2)}
    pool: Any = SimpleNamespace(_processes=children)
    checkpoints._interrupt(pool)
    assert asked == [1, 2]


def test_an_interrupted_run_saves_every_training_and_continues(tmp_path: Path) -> None:
    text = (
        Path(TINY).read_text().replace("steps: 3", "steps: 40").replace("workers: 1", "workers: 2")
    )
    assert "workers: 2" in text
    (tmp_path / "c.yaml").write_text(text)
    command = ["-c", SCRIPT, "train", "-c", str(tmp_path / "c.yaml")]
    command += ["--classifiers", "emodc_base,test_resnet", "--out"]
    checkpoints_ = tmp_path / "cut" / "checkpoints"
    with Copied(*command, tmp_path / "cut") as process:
        while not checkpoints_.exists() or not any(checkpoints_.iterdir()):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 1 and "The same command continues" in told
    assert "Traceback" not in told
    chosen = load(tmp_path / "c.yaml").select(["emodc_base", "test_resnet"])
    chosen = chosen.model_copy(update={"execution": config(workers=1).execution})
    dataset, found = open_dataset(chosen.data, 0), []
    with runtime.one_thread():
        for out in ("cut", "whole"):
            trained = checkpoints.train_missing(chosen, dataset, tmp_path / out, Reporter(True))
            found.append(weights(trained))
    assert found[0] == found[1] and len(found[0]) == 2


def test_news_of_several_processes_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.util.progress import Relay, shown

    news = runtime.PROCESSES.Queue()
    with shown(Reporter(), news):
        relay = Relay(news)
        with relay.task("train a", 3) as first, relay.task("train b", 2) as second:
            first.advance(3, "loss 1.0")
            relay.say("between")
            second.advance(2)
    news.close()
    news.join_thread()
    told = capsys.readouterr().err
    assert "train a: 3/3" in told and "loss 1.0" in told and "train b: 2/2" in told
    assert "between" in told
