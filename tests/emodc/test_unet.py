import torch

from emodc import EmoDC


def test_one_pass_for_all_prompts_equals_a_pass_per_prompt(tiny_emodc: EmoDC) -> None:
    unet = tiny_emodc.denoiser.unet
    states = tiny_emodc.denoiser.encode_texts(tiny_emodc.prompts.texts()).hidden
    sample, timesteps = torch.randn(2, 16, 16, 16), torch.tensor([3, 400])
    noise = torch.randn(2, 16, 16, 16)
    together = unet.errors(sample, timesteps, states, noise)
    assert together.shape == (2, 5)
    for prompt in range(5):
        alone = unet(sample, timesteps, states[prompt].expand(2, -1, -1)).sample
        expected = (alone - noise).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(together[:, prompt], expected, atol=0, rtol=1e-5)


def test_prompt_timestep_and_picture_all_matter(tiny_emodc: EmoDC) -> None:
    unet = tiny_emodc.denoiser.unet
    states = tiny_emodc.denoiser.encode_texts(tiny_emodc.prompts.texts()).hidden
    torch.nn.init.normal_(unet.trunk.up_full.conv2.weight, std=0.1)  # blocks start as the identity
    sample = torch.randn(1, 16, 16, 16)
    reference = unet(sample, 100, states[:1], return_dict=False)[0]
    assert not torch.allclose(reference, unet(sample, 100, states[1:2]).sample)
    assert not torch.allclose(reference, unet(sample, 300, states[:1]).sample)
    assert not torch.allclose(reference, unet(-sample, 100, states[:1]).sample)
