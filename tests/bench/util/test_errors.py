import io

import pytest
from rich.console import Console

from bench.util.errors import did_you_mean, unknown
from bench.util.progress import Reporter


@pytest.mark.parametrize(
    ("given", "known", "hint"),
    [
        ("hapiness", ["happiness", "sadness"], "Did you mean happiness?"),
        ("gausian_noise", ["gaussian_noise", "gaussian_noise"], "Did you mean gaussian_noise?"),
        ("Robustnes", ["ablation", "robustness", "steps"], "Did you mean robustness?"),
        ("blur", ["blur_a", "blur_b", "noise"], "Did you mean blur_a or blur_b?"),
        ("xyz", ["happiness"], ""),
        ("xyz", [], ""),
    ],
)
def test_the_nearest_names_are_suggested_each_once(given: str, known: list[str], hint: str) -> None:
    assert did_you_mean(given, known) == hint


def test_an_unknown_name_is_told_with_what_is_known_if_nothing_is_near() -> None:
    assert "Known: a, b." in str(unknown("thing", "xyz", ["b", "a", "b"]))


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_steers_no_terminal(terminal: bool) -> None:
    reporter, shown = Reporter(), io.StringIO()
    reporter.console = Console(file=shown, force_terminal=terminal, color_system=None, width=200)
    label = "train [red]\x1b]0;title\x07\u202e"
    with reporter.task(label, 2) as task:
        task.advance(2, f"note of {label}")
    reporter.say(label)
    text = shown.getvalue()
    assert "[red]" in text and "[U+001B]" in text
    assert "\x1b]0;title" not in text and "\u202e" not in text
