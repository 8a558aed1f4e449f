"""What `bench compare` compares: a run, or one classifier of a run."""

from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError, unknown
from bench.store import Store


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        text: As typed.
        root: Folder of the run.
        classifier: The one that is meant; None for all of the run.
    """

    text: str
    root: Path
    classifier: str | None


def sides(first: str, second: str, out: Path) -> tuple[Side, Side]:
    """Both sides, from RUN, RUN:CLASSIFIER, or a classifier of the run in `out`.

    Raises:
        UserError: If there is no such run or classifier, or a run meets a single classifier.
    """
    one, other = _side(first, out), _side(second, out)
    if (one.classifier is None) == (other.classifier is None):
        return one, other
    run = one if one.classifier is None else other
    known = ", ".join(_classifiers(run.root))
    raise UserError(
        f"{run.text} is a whole run and the other side one classifier. Name a classifier of it, "
        f"too, as in {run.text}:CLASSIFIER; it has {known}."
    )


def _side(text: str, out: Path) -> Side:
    if _is_run(Path(text)):
        return Side(text, Path(text), None)
    folder, colon, name = text.rpartition(":")
    if colon and _is_run(Path(folder)):
        return Side(text, Path(folder), _known(name, Path(folder)))
    if colon or "/" in text or (Path(text).is_dir() and not _is_run(out)):
        raise UserError(f"{folder if colon else text} holds no run: no plan.json.")
    if not _is_run(out):
        raise UserError(
            f"{text} is no run, and neither is {out}, whose classifier it could be: no plan.json. "
            "Say where the run is with --out."
        )
    return Side(text, out, _known(text, out))


def _known(name: str, root: Path) -> str:
    known = _classifiers(root)
    if name not in known:
        raise unknown(f"classifier of {root}", name, known)
    return name


def _classifiers(root: Path) -> list[str]:
    return list(dict.fromkeys(cell.classifier for cell in Store(root).planned()))


def _is_run(folder: Path) -> bool:
    return (folder / "plan.json").is_file()
