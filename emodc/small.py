"""The small denoiser: trained from scratch on two CPU cores.

A U-Net over principal components of patches, conditioned by a two-layer CLIP text model on a
word-level tokenizer. On disk it is an ordinary diffusers folder.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from typing_extensions import override

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.schedule import Process, cosine_scheduler
from emodc.latents import PatchPCA
from emodc.settings import Prompts
from emodc.unet import LateConditionedUNet, UNetClassifier

SmallUNet = LateConditionedUNet | UNetClassifier


class SmallDenoiser(Denoiser):
    """A small U-Net on `PatchPCA` latents.

    Args:
        unet: Predicts noise from (noisy latents, timestep, text hidden states).
        text_encoder: A CLIP text model.
        tokenizer: Its tokenizer.
        vae: The image codec.
        scheduler: A diffusers scheduler.
    """

    shared_trunk: ClassVar[bool] = True
    network_method: ClassVar[str] = "errors"
    rows: int = 128

    def __init__(
        self,
        unet: SmallUNet,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        vae: PatchPCA,
        scheduler: Any,
    ) -> None:
        super().__init__()
        self.unet, self.text_encoder, self.vae = unet, text_encoder, vae
        self.tokenizer, self.scheduler = tokenizer, scheduler
        # Fused attention makes tiny text models slower on CPU, and the choice is not saved: without
        # this line a loaded checkpoint would differ in the last bit from the one that was saved.
        text_encoder.set_attn_implementation("eager")
        self.process = Process.of_scheduler(scheduler)
        if self.process.prediction != "epsilon":
            raise ValueError("the small U-Net predicts noise")

    @override
    def parts(self) -> dict[str, Any]:
        names = ("unet", "text_encoder", "tokenizer", "vae", "scheduler")
        return {name: getattr(self, name) for name in names}

    @property
    @override
    def image_size(self) -> int:
        return self.vae.image_size

    @property
    def text_modules(self) -> list[nn.Module]:
        """The layer that reads the text model, which is not trained; none in the control."""
        return [self.unet.prompt] if isinstance(self.unet, LateConditionedUNet) else []

    @property
    def network(self) -> nn.Module:
        """The U-Net."""
        return self.unet

    @override
    def encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self.vae.encode(images)
        return latents

    @override
    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.vae.decode(latents)
        return images

    @override
    def encode_texts(self, texts: Sequence[str]) -> Conditions:
        tokens = self.tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        return Conditions(self.text_encoder(tokens.to(self.device)).last_hidden_state)

    @override
    def predict(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions) -> Tensor:
        output: Tensor = self.unet(noisy, timesteps, conditions.hidden).sample
        return output

    @property
    @override
    def predicts_noise(self) -> bool:
        return self.unet.predicts_noise

    @property
    def keeps_noise_white(self) -> bool:
        """The codec's rows are orthogonal."""
        return True

    @override
    def pixel_noise(self, images: Tensor) -> Tensor:
        return self.vae.noise_in_latents(images)

    @override
    def errors(
        self,
        noisy: Tensor,
        timesteps: Tensor,
        noise: Tensor,
        conditions: Conditions,
        chosen: Tensor | None = None,
    ) -> Tensor:
        """What prompts share is computed once per row."""
        errors: Tensor = self.unet.errors(noisy, timesteps, conditions.hidden, noise, chosen)
        return errors


def small_denoiser(
    images: Tensor,
    prompts: Prompts,
    *,
    whitening: float = 0.0,
    block_out_channels: tuple[int, int, int] = (32, 64, 96),
    text_width: int = 64,
) -> SmallDenoiser:
    """An untrained denoiser; weights come from the global RNG.

    Args:
        images: uint8 (N, 3, H, W) to fit the latents on.
        prompts: Their words make the tokenizer's vocabulary.
        whitening: See `PatchPCA`.
        block_out_channels: Widths of the U-Net.
        text_width: Width of the text encoder.
    """
    unet = LateConditionedUNet(
        block_out_channels=block_out_channels, cross_attention_dim=text_width
    )
    denoiser = _assembled(unet, images, whitening, prompts, text_width)
    # As large as what the layers add: it is the words that hidden states differ by.
    nn.init.normal_(denoiser.text_encoder.get_input_embeddings().weight)
    unet.prompt.fit(denoiser.encode_texts(prompts.texts()[: prompts.null_index]).hidden)
    return denoiser


def small_control(
    images: Tensor,
    prompts: Prompts,
    *,
    whitening: float = 0.0,
    block_out_channels: tuple[int, int, int] = (32, 64, 96),
) -> SmallDenoiser:
    """The untrained matched control of `small_denoiser`; arguments as there."""
    unet = UNetClassifier(len(prompts.classes), block_out_channels=block_out_channels)
    return _assembled(unet, images, whitening, prompts, text_width=16)


def _assembled(
    unet: SmallUNet,
    images: Tensor,
    whitening: float,
    prompts: Prompts,
    text_width: int,
) -> SmallDenoiser:
    vae = PatchPCA.fit(images, channels=unet.config.in_channels, whitening=whitening)
    tokenizer = word_tokenizer(prompts.texts())
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=text_width,
            intermediate_size=2 * text_width,
            projection_dim=text_width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=tokenizer.model_max_length,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    denoiser = SmallDenoiser(unet, text_encoder, tokenizer, vae, cosine_scheduler())
    unet.linear.fit(vae.encode(images.float() / 255.0), denoiser.process)
    return denoiser


PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"


def word_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word of `texts`, saved and loaded like any other."""
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: index for index, word in enumerate([PAD, BOS, EOS, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        special_tokens=[(BOS, vocabulary[BOS]), (EOS, vocabulary[EOS])],
    )
    longest = max(len(text.split()) for text in texts) + 2
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
    )
