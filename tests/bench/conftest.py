"""The command line as fixtures."""

import json
from typing import Any

import pytest
from command_line import call_apart


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Call the command line: exit code, and stdout and stderr together."""

    def called(*arguments: object) -> tuple[int, str]:
        code, out, err = call_apart(capsys, monkeypatch, *arguments)
        return code, out + err

    return called


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Call the command line with --json: exit code and the one document on stdout."""

    def called(*arguments: object) -> tuple[int, Any]:
        code, out, _ = call_apart(capsys, monkeypatch, *arguments, "--json")
        return code, json.loads(out)

    return called
