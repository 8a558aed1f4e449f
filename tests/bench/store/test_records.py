import json
from pathlib import Path

import pytest
from PIL import Image

from bench.data.drawn import DrawnFaces
from bench.data.on_disk import open_layout
from bench.data.readers.folder import Folder
from bench.store.records import describe
from bench.store.store import Store

SIZES = {"train": 14, "val": 7, "test": 10}


def files(store: Store) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def written(store: Store, seed: int = 0) -> DrawnFaces:
    dataset = DrawnFaces(SIZES, seed=seed)
    store.write_dataset(*describe(dataset))
    return dataset


def test_drawn_faces_come_back_with_their_groups(tmp_path: Path) -> None:
    dataset = written(Store(tmp_path))
    record = Store(tmp_path).dataset("faces", dataset.digest)
    samples = Store(tmp_path).samples("faces", dataset.digest)
    assert record is not None and samples is not None
    assert (record.kind, record.synthetic, record.skipped) == ("drawn faces", True, 0)
    assert record.height == record.width == (64, 64)
    assert record.counts["train"] == dict.fromkeys(dataset.classes, 2)
    assert list(record.counts["test"].values()) == [2, 2, 2, 1, 1, 1, 1]
    assert list(samples) == ["sample_id", "label", *record.groups]
    for sample, row in zip(dataset.samples("test"), samples.to_dict("records"), strict=True):
        assert (row.pop("sample_id"), row.pop("label")) == (sample.id, sample.label)
        assert {k: v for k, v in row.items() if isinstance(v, str)} == dataset.groups(sample)
        assert all(
            row[name] in values for name, values in record.groups.items() if name != "intensity"
        )
    assert list(samples["intensity"].isna()) == [
        s.label == "neutral" for s in dataset.samples("test")
    ]


def test_a_folder_of_any_name_is_described(picture_folder: Path, tmp_path: Path) -> None:
    root = picture_folder.rename(tmp_path / "50 % <script>_&\\é")
    Image.new("RGB", (9, 90)).save(root / "test" / "happy" / "long.png")
    (root / "train" / "happy" / "broken.jpg").write_bytes(b"no picture")
    dataset, store = open_layout(Folder(root=root)), Store(tmp_path / "out")
    store.write_dataset(*describe(dataset))
    record, samples = (
        store.dataset(root.name, dataset.digest),
        store.samples(root.name, dataset.digest),
    )
    assert record is not None and samples is not None
    assert (record.name, record.kind, record.synthetic) == (root.name, "folder of pictures", False)
    assert (record.skipped, record.groups) == (1, {})
    assert record.counts["test"] == {"neutral": 5, "happiness": 6}
    assert record.counts["train"] == {"neutral": 8, "happiness": 8}
    assert (record.height, record.width) == ((24, 90), (9, 32))
    assert list(samples["sample_id"]) == sorted(s.id for s in dataset.samples("test"))


def test_a_class_without_test_pictures_is_counted_as_none(picture_folder: Path) -> None:
    for path in (picture_folder / "test" / "happy").iterdir():
        path.unlink()
    record, samples = describe(open_layout(Folder(root=picture_folder, lost_classes="drop")))
    assert record.counts["test"] == {"neutral": 5, "happiness": 0}
    assert len(samples) == 5


def test_sets_of_other_seeds_stand_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digests = [written(store, seed).digest for seed in (0, 1)]
    assert len(files(store)) == 4
    first, second = (store.samples("faces", digest) for digest in digests)
    assert first is not None and second is not None
    assert list(first["sample_id"]) == list(second["sample_id"])
    assert not first.equals(second)
    assert store.dataset("faces", "of no cell") is store.samples("faces", "of no cell") is None
    assert store.dataset("others", digests[0]) is None


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    dataset = written(store)
    before = {path: path.stat().st_mtime_ns for path in files(store)}
    written(store)
    assert {path: path.stat().st_mtime_ns for path in files(store)} == before
    record, samples = describe(dataset)
    store.write_dataset(record, samples.assign(light="dim"))  # other cut points, same data
    changed = store.samples("faces", dataset.digest)
    assert changed is not None and set(changed["light"]) == {"dim"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "other"])
@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_damaged_files_count_as_absent_until_the_next_run(
    tmp_path: Path, suffix: str, damage: str
) -> None:
    store = Store(tmp_path)
    digest = written(store).digest
    (path,) = (path for path in files(store) if path.suffix == f".{suffix}")
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[50:150] = bytes(byte ^ 0xFF for byte in content[50:150])
        path.write_bytes(content)
    elif damage == "delete":
        path.unlink()
    elif suffix == "json":
        path.write_text(json.dumps(json.loads(content) | {"future": 1}))
    else:
        path.write_bytes(content.replace(b"head pose", b"\xffead pose"))  # its footer
    assert store.samples("faces", digest) is None
    assert (store.dataset("faces", digest) is None) == (suffix == "json")
    # A report does without, but says so; without a record there is nothing to miss.
    assert bool(store.refused) == (damage != "delete" or suffix == "parquet")
    written(store)
    assert store.samples("faces", digest) is not None
