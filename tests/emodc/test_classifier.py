import dataclasses

import pytest
import torch

from emodc import EmoDC
from emodc.diffusion.measuring import resolve_precision
from emodc.diffusion.noise import step_noise

IDS = ["a", "b", "c"]


def test_a_trace_is_the_same_to_the_last_bit_in_any_batch(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    pictures = images[:3].float() / 255
    together = tiny_emodc.trace(pictures, IDS).errors
    assert together.shape == (3, 3, 6)
    for row, name in enumerate(IDS):
        alone = tiny_emodc.trace(pictures[row : row + 1], [name]).errors[0]
        assert torch.equal(together[row], alone)
    backwards = tiny_emodc.trace(pictures.flip(0), IDS[::-1]).errors
    assert torch.equal(together, backwards.flip(0))


def test_errors_agree_with_their_definition(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    """One (class, step) at a time, as the method is usually described."""
    picture = images[:1].float() / 255
    errors = tiny_emodc.trace(picture, ["a"]).errors[0]
    denoiser = tiny_emodc.denoiser
    latent = denoiser.encode(picture)
    for step, timestep in enumerate(tiny_emodc.timesteps):
        noise = step_noise(tiny_emodc.evaluation.seed, "a", [step], tuple(latent.shape[1:]))
        noisy = denoiser.process.noised(latent, noise, timestep[None])
        for number, text in enumerate(tiny_emodc.prompts.texts()[:3]):
            predicted = denoiser.predict(noisy, timestep[None], denoiser.encode_texts([text]))
            expected = (predicted - noise).square().mean()
            torch.testing.assert_close(errors[number, step], expected, rtol=1e-4, atol=1e-6)


def test_logits_follow_the_mean_error_over_the_chosen_steps(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    picture = images[:1].float() / 255
    errors = tiny_emodc.trace(picture, ["a"]).errors
    scale = tiny_emodc.evaluation.logit_scale
    torch.testing.assert_close(tiny_emodc(picture, ["a"]), -scale * errors.mean(2))
    some = tiny_emodc(picture, ["a"], steps=[1, 4])
    torch.testing.assert_close(some, -scale * errors[:, :, [1, 4]].mean(2), rtol=1e-5, atol=1e-5)


def test_noise_depends_on_sample_and_seed(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    picture = images[:1].float() / 255
    reference = tiny_emodc.trace(picture, ["a"]).errors
    assert not torch.equal(reference, tiny_emodc.trace(picture, ["b"]).errors)
    tiny_emodc.evaluation = dataclasses.replace(tiny_emodc.evaluation, seed=1)
    assert not torch.equal(reference, tiny_emodc.trace(picture, ["a"]).errors)


def test_the_gradient_is_that_of_finite_differences(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    picture = (images[:1].float() / 255).requires_grad_()
    tiny_emodc(picture, ["a"])[0, 1].backward()
    assert picture.grad is not None
    direction = picture.grad.sign()
    with torch.no_grad():
        step = 1e-3
        ahead, behind = (
            tiny_emodc(picture + sign * step * direction, ["a"])[0, 1] for sign in (1, -1)
        )
    slope = (ahead - behind) / (2 * step)
    assert slope.item() == pytest.approx((picture.grad * direction).sum().item(), rel=0.03)


def test_wrong_number_of_ids_is_refused(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="2 images but 1 sample ids"):
        tiny_emodc(images[:2].float() / 255, ["a"])


def test_training_forgets_the_encoded_prompts(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    picture = images[:1].float() / 255
    before = tiny_emodc.trace(picture, ["a"]).errors
    tiny_emodc.train()
    torch.nn.init.normal_(tiny_emodc.denoiser.text_encoder.get_input_embeddings().weight)
    tiny_emodc.eval()
    assert not torch.equal(before, tiny_emodc.trace(picture, ["a"]).errors)


def test_other_prompts_alone_are_those_of_the_trace(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    templates = ("a photo of a {} face", "a {} face")  # several rows per class, one for the others
    tiny_emodc.prompts = dataclasses.replace(tiny_emodc.prompts, templates=templates)
    pictures = images[:3].float() / 255
    trace = tiny_emodc.trace(pictures, IDS, other_prompts=True)
    null, non_class = tiny_emodc.other_prompts(pictures, IDS)
    assert trace.null is not None and trace.non_class is not None
    assert null.shape == non_class.shape == (3, 6)
    torch.testing.assert_close(null, trace.null)
    torch.testing.assert_close(non_class, trace.non_class)
    assert not torch.equal(null, non_class)


def test_memory_saving_gradients_are_those_of_plain_autograd(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    gradients = {}
    for rows in (2, 100):  # six steps in three chunks, or in one
        tiny_emodc.denoiser.rows = rows
        picture = (images[:1].float() / 255).requires_grad_()
        tiny_emodc(picture, ["a"])[0, 1].backward()
        assert picture.grad is not None
        gradients[rows] = picture.grad
    torch.testing.assert_close(gradients[2], gradients[100], rtol=1e-5, atol=1e-7)


def test_several_templates_are_averaged(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    picture = images[:1].float() / 255
    texts = ("a photo of a {} face", "{} photo")
    alone = []
    for template in texts:
        tiny_emodc.prompts = dataclasses.replace(tiny_emodc.prompts, templates=(template,))
        tiny_emodc.train().eval()
        alone.append(tiny_emodc.trace(picture).errors)
    assert not torch.equal(*alone)
    tiny_emodc.prompts = dataclasses.replace(tiny_emodc.prompts, templates=texts)
    tiny_emodc.train().eval()
    together = tiny_emodc.trace(picture, other_prompts=True)
    torch.testing.assert_close(together.errors, (alone[0] + alone[1]) / 2)
    assert together.null is not None and together.null.shape == (1, 6)
    assert together.non_class is not None
    assert not torch.equal(together.null, together.non_class)


def test_weighted_errors_are_those_of_the_target(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    """Noise is the small network's own target: the two weightings must agree."""
    picture = images[:1].float() / 255
    plain = tiny_emodc.trace(picture).errors
    tiny_emodc.evaluation = dataclasses.replace(tiny_emodc.evaluation, weighting="target")
    assert torch.equal(plain, tiny_emodc.trace(picture).errors)


@pytest.mark.parametrize(
    ("instructions", "dtype"),
    [("amx_bf16", torch.bfloat16), ("avx512_bf16", torch.bfloat16), ("avx512_f", torch.float32)],
)
def test_auto_is_bfloat16_where_a_processor_multiplies_it(
    instructions: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == dtype
    assert resolve_precision("float32", cpu) == torch.float32
