"""What stands on stdout: the result, and nothing else."""

import json
import subprocess
import sys

import pytest
from command_line import call_apart

import bench
from bench.cli.output import print_json

PRINTS = """
import os, sys
from bench import cli
from bench.cli.output import print_json

def loud():
    print("from python")
    os.system("echo from a process")
    print_json({"a": 1})

cli.app.command()(loud)
sys.argv = ["bench", "loud", *sys.argv[1:]]
"""


def test_whatever_prints_stays_out_of_a_json_result() -> None:
    code = PRINTS.replace("def loud():", "def loud(json: bool = False):") + "cli.main()\n"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"a": 1}
    assert "from python" in done.stderr and "from a process" in done.stderr


def test_stdout_comes_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.stdout
    code, out, _ = call_apart(capsys, monkeypatch, "plugins", "list", "--json")
    assert code == 0 and sys.stdout is before
    assert json.loads(out)["plugins"] == []
    print_json([1])
    assert json.loads(capsys.readouterr().out) == [1]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["run"], ["data", "list"]])
def test_help_has_a_short_flag(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    flag: str,
) -> None:
    code, out, _ = call_apart(capsys, monkeypatch, *command, flag)
    assert code == 0 and "Usage: " in out


def test_the_version_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call_apart(capsys, monkeypatch, "--version")
    assert (code, out) == (0, f"bench {bench.__version__}\n")
