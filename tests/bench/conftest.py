"""The command line as fixtures; quick figures."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from command_line import call_apart
from quick_figures import quicken


@pytest.fixture(scope="session", autouse=True)
def quick_figures() -> Iterator[pytest.MonkeyPatch]:
    """Figures are made, but laid out and rendered only for tests that ask for `rendered`."""
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        yield patch


@pytest.fixture
def rendered(quick_figures: pytest.MonkeyPatch) -> Iterator[None]:
    """Asks for figures as users get them: most tests can do without, and it takes seconds."""
    quick_figures.undo()
    yield
    quicken(quick_figures)


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
