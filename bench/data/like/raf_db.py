"""RAF-DB's layout: aligned 100x100 pictures, originals, label file, manual attributes."""

from pathlib import Path

from bench.data import faces
from bench.data.labels import COMPOUND, ORDERS
from bench.data.like.cast import Cast, save

_AGES = (4, 20, 40, 70)  # where RAF-DB's age groups begin, years


def write_basic(root: Path, cast: Cast, per_class: int) -> None:
    """The basic subset, seven expressions."""
    _write(root / "basic", cast, per_class, ORDERS["raf_db"])


def write_compound(root: Path, cast: Cast, per_class: int) -> None:
    """The compound subset, eleven expressions."""
    _write(root / "compound", cast, per_class, COMPOUND)


def _write(base: Path, cast: Cast, per_class: int, order: tuple[str, ...]) -> None:
    lines = []
    for split, digits, count in (("train", 5, 2 * per_class), ("test", 4, per_class)):
        running = 0
        for number in range(count):
            for place, label in enumerate(order, 1):
                running += 1
                stem = f"{split}_{running:0{digits}d}"
                lines.append(f"{stem}.jpg {place}")
                aligned = cast.picture(label, split, number, (100, 100))
                save(base / "Image" / "aligned" / f"{stem}_aligned.jpg", aligned)
                original = cast.picture(label, split, number, (130, 120))
                save(base / "Image" / "original" / f"{stem}.jpg", original)
                attributes = _attributes(cast.face(label, split, number))
                path = base / "Annotation" / "manual" / f"{stem}_manu_attri.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(attributes)
    labels = base / "EmoLabel" / "list_patition_label.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("\n".join(lines))  # shipped without a final newline


def _attributes(face: faces.Face) -> str:
    """Five landmarks, then gender (unsure), race (skin tone stands in for it) and age group."""
    person = face.identity
    landmarks = ["40.0\t55.0", "80.0\t55.0", "60.0\t75.0", "45.0\t95.0", "75.0\t95.0"]
    race = 0 if person.skin_level < 0.5 else 1
    age = sum(person.age >= start for start in _AGES)
    return "\n".join([*landmarks, "2", str(race), str(age)]) + "\n"
