"""Five folds, as DFEW and MAFW have them: the tests part the clips, train is all the others."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeVar

Name = TypeVar("Name")
Label = TypeVar("Label")


def written_folds(
    clips: Iterable[tuple[Name, Label, int]],
) -> Iterator[tuple[Literal["train", "test"], int, Sequence[tuple[Name, Label]]]]:
    """Split, fold and its clips.

    Args:
        clips: Name, label and place in its class: clip i is tested in fold i mod 5 + 1.
    """
    known = list(clips)
    for fold in range(1, 6):
        test = [place % 5 + 1 == fold for *_, place in known]
        named = [(name, label) for name, label, _ in known]
        yield "train", fold, [clip for clip, held in zip(named, test, strict=True) if not held]
        yield "test", fold, [clip for clip, held in zip(named, test, strict=True) if held]
