"""A kind of classifier is one class in one file; nothing else in the bench tells kinds apart."""

import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import bench
from bench.classifiers.kinds import KINDS, kind_of, seen
from bench.classifiers.kinds.base import Kind, register
from bench.config import parse


def test_a_config_is_read_without_torch() -> None:
    code = "import sys, bench.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_registered_kind_is_known_to_configs_reports_and_marks() -> None:
    @register
    class Oracle(Kind):
        kind: Literal["oracle"]
        depth: int = 3
        saw: ClassVar[tuple[str, ...]] = ("fog",)
        text: ClassVar[str] = "An oracle."

    try:
        config = parse({"classifiers": {"one": {"kind": "oracle", "depth": 4}}}, "x")
        assert config.classifiers["one"] == Oracle(kind="oracle", depth=4)
        assert config.model_dump()["classifiers"]["one"] == {"kind": "oracle", "depth": 4}
        assert kind_of({"kind": "oracle"}).text == "An oracle."
        assert seen({"kind": "oracle"}, "imagecorruptions.fog")
    finally:
        del KINDS["oracle"]


def test_kinds_are_told_apart_in_their_room_alone() -> None:
    names = "|".join(KINDS.keys() - {"python"})  # which perturbations have, too
    tells = re.compile(rf"isinstance\(spec|(?:==|!=) \"(?:{names})\"")
    root = Path(bench.__file__).parent
    rooms = [p for p in root.rglob("*.py") if "classifiers" not in p.relative_to(root).parts]
    assert len(rooms) > 50
    assert [str(path) for path in rooms if tells.search(path.read_text())] == []
