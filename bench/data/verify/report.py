"""What verifying a data set says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.data.verify.manifest import Manifest

#: How many of a finding's files JSON lists; the manifest has all.
LISTED = 100

Level = Literal["note", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: Warnings are what makes results differ from other people's, or wrong.
        kind: A fixed word for programs: "counts", "missing", "copies_across", ...
        text: A sentence without its full stop.
        items: The files it is about: paths with reasons, or groups of files.
    """

    level: Level
    kind: str
    text: str
    items: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True)
class Count:
    """Samples of one class and split; class "" is the split as a whole.

    Attributes:
        published: None if it is not known.
    """

    split: str
    label: str
    found: int
    published: int | None

    @property
    def difference(self) -> int | None:
        """Found less published."""
        return None if self.published is None else self.found - self.published


@dataclass(frozen=True)
class Sizes:
    """Sizes of the readable pictures, height and width in pixels.

    Attributes:
        smallest: By area, as `largest`.
        most_frequent: And how many pictures have it.
    """

    smallest: tuple[int, int]
    largest: tuple[int, int]
    most_frequent: tuple[int, int]
    most_frequent_count: int


@dataclass(frozen=True)
class Verification:
    """The whole.

    Attributes:
        title: The data set, in its owners' words.
        kind: Its layout.
        root: Where the user points.
        base: Where the layout was found.
        protocol: Pictures, split and classes in words.
        drawn: Whether it is a tree of drawn faces.
        clips: Whether samples are clips, of which the middle frame was opened.
        classes: In table order.
        counts: Per split and class.
        sizes: None if no picture is readable.
        label_files: SHA-256 of each label file, or of a folder with many, by path.
        findings: Warnings first.
        manifest: Every sample with its digest.
    """

    title: str
    kind: str
    root: str
    base: str
    protocol: str
    drawn: bool
    clips: bool
    classes: tuple[str, ...]
    counts: tuple[Count, ...]
    sizes: Sizes | None
    label_files: Mapping[str, str]
    findings: tuple[Finding, ...]
    manifest: Manifest

    @property
    def warnings(self) -> int:
        """Number of findings that are warnings."""
        return sum(finding.level == "warning" for finding in self.findings)


def as_json(found: Verification) -> dict[str, Any]:
    """Everything but the manifest; lists of files are cut, their totals are not."""
    return {
        "title": found.title,
        "kind": found.kind,
        "root": found.root,
        "base": found.base,
        "protocol": found.protocol,
        "drawn": found.drawn,
        "clips": found.clips,
        "classes": list(found.classes),
        "samples": len(found.manifest),
        "digest": found.manifest.digest,
        "counts": [
            {
                "split": count.split,
                "class": count.label or None,
                "found": count.found,
                "published": count.published,
                "difference": count.difference,
            }
            for count in found.counts
        ],
        "sizes": None if found.sizes is None else asdict(found.sizes),
        "label_files": dict(found.label_files),
        "warnings": found.warnings,
        "findings": [
            {
                "level": finding.level,
                "kind": finding.kind,
                "text": finding.text,
                "total": len(finding.items),
                "items": [dict(item) for item in finding.items[:LISTED]],
            }
            for finding in found.findings
        ],
    }


def many(number: int, word: str) -> str:
    """How many of something: "1 picture", "1,200 pictures"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
