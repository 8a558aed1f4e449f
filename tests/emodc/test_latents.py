import pytest
import torch

from emodc import PatchPCA


def test_with_all_components_and_no_whitening_it_is_a_rotation(images: torch.Tensor) -> None:
    codec = PatchPCA.fit(images, image_size=64, patch=2, channels=12, whitening=0.0)
    rows = codec.components * (1 / codec.components.norm(dim=1, keepdim=True))
    torch.testing.assert_close(rows @ rows.T, torch.eye(12), atol=1e-4, rtol=0)
    latents = codec.encode(images.float() / 255)
    distance = lambda x: (x[0] - x[1]).norm()  # noqa: E731
    scale = codec.components[0].norm()
    pixels = images.float() / 255 * 2 - 1
    torch.testing.assert_close(distance(latents), distance(pixels) * scale, rtol=1e-4, atol=0)


def test_latents_are_centred_with_unit_mean_variance(images: torch.Tensor) -> None:
    codec = PatchPCA.fit(images)
    latents = codec.encode(images.float() / 255)
    assert latents.shape == (24, 16, 16, 16)
    per_channel = latents.transpose(0, 1).flatten(1)
    assert per_channel.mean(1).abs().max() < 1e-3
    assert per_channel.var(1).mean().item() == pytest.approx(1.0, abs=1e-3)


def test_components_come_largest_first_and_whitening_flattens_them(images: torch.Tensor) -> None:
    def variances(power: float) -> torch.Tensor:
        codec = PatchPCA.fit(images, whitening=power)
        return codec.encode(images.float() / 255).transpose(0, 1).flatten(1).var(1)

    plain = variances(0.0)
    assert (plain.diff() <= 1e-5).all()
    assert plain[0] / plain[-1] > 2 * variances(0.75)[0] / variances(0.75)[-1]


def test_other_sizes_are_resized_and_gradients_reach_the_pixels(images: torch.Tensor) -> None:
    codec = PatchPCA.fit(images)
    pictures = torch.rand(2, 3, 100, 80, requires_grad=True)
    codec.encode(pictures).square().sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad.abs().amax(dim=1) > 0).float().mean() > 0.99


@pytest.mark.parametrize("config", [{"patch": 5}, {"patch": 2, "channels": 13}])
def test_impossible_shapes_are_refused(config: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="patch"):
        PatchPCA(**config)


def test_the_way_back_leaves_out_what_the_components_leave_out(images: torch.Tensor) -> None:
    pictures = images.float() / 255
    whole = PatchPCA.fit(images, image_size=64, patch=2, channels=12, whitening=0.5)
    assert torch.allclose(whole.decode(whole.encode(pictures)), pictures, atol=1e-4)
    some = PatchPCA.fit(images, image_size=64, patch=2, channels=6, whitening=0.5)
    again = some.decode(some.encode(pictures))
    assert not torch.allclose(again, pictures, atol=0.05)
    assert torch.allclose(some.encode(again), some.encode(pictures), atol=1e-3)
