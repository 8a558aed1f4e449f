import pytest

from bench.util.errors import did_you_mean, unknown


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
