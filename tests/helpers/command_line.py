"""Calling the command line in this process, for tests."""

import sys

import pytest

from bench.cli import main


def call_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    """Run `bench ARGUMENTS`: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


def assert_refused(outcome: tuple[int, str], *words: str, code: int = 2) -> None:
    """The call ended with this exit code and a sentence that has these words."""
    exit_code, text = outcome
    assert exit_code == code, text
    assert "Traceback" not in text
    for word in words:
        assert word in text
