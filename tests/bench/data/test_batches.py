import torch

from bench.data.batches import Batches


def test_a_batch_is_a_function_of_seed_and_step(images: torch.Tensor) -> None:
    labels = torch.arange(24)
    batches = Batches(images, labels, 8, seed=0)
    first, names = batches(5)
    again, same = Batches(images, labels, 8, seed=0)(5)
    assert torch.equal(first, again) and torch.equal(names, same)
    assert not torch.equal(first, batches(6)[0])
    assert not torch.equal(first, Batches(images, labels, 8, seed=1)(5)[0])


def test_pictures_keep_their_labels_and_range(images: torch.Tensor) -> None:
    flat = torch.arange(24, dtype=torch.uint8)[:, None, None, None].expand(24, 3, 64, 64) * 10
    rows, labels = Batches(flat.contiguous(), torch.arange(24), 64, seed=3)(0)
    assert rows.shape == (64, 3, 64, 64)
    torch.testing.assert_close(rows.mean(dim=(1, 2, 3)) * 255, labels.float() * 10)
    assert len(labels.unique()) > 15


def test_pictures_are_flipped_and_shifted() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(1, 3, 64, 64).contiguous()
    rows, _ = Batches(ramp, torch.zeros(1, dtype=torch.int64), 200, seed=0)(0)
    slopes = rows[:, 0, 0, 40] - rows[:, 0, 0, 20]
    assert 60 < (slopes < 0).sum() < 140
    starts = (rows[slopes > 0][:, 0, 0, 20] * 255).round().unique().tolist()
    assert starts == [float(v) for v in range(16, 25)]
