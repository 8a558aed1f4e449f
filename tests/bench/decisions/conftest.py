"""A made-up run, and the command."""

from pathlib import Path

import pytest
from command_line import call_apart
from made_up_traces import write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EmoDC with validation pictures and a classifier with views; nobody changes it."""
    return write_run(tmp_path_factory.mktemp("decisions"))


@pytest.fixture
def bench(capsys, monkeypatch):
    """`bench decide ARGUMENTS`: exit code, stdout, stderr."""
    return lambda *arguments: call_apart(capsys, monkeypatch, "decide", *arguments)
