"""Which weights a stage trains: all of them, low-rank adapters, or the text conditioning."""

from typing import TYPE_CHECKING, Any

from torch import nn

from emodc.denoiser import Denoiser

if TYPE_CHECKING:
    from emodc.train import Trained

#: Projections of the attention blocks of diffusers' U-Nets and transformers.
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj")


def choose_parameters(denoiser: Denoiser, trained: "Trained", lora_rank: int) -> list[nn.Parameter]:
    """Freeze what the stage does not train; the parameters that it does train.

    The image codec is never trained: its latents are what errors are measured in.

    Raises:
        ValueError: If low-rank adapters are asked for and the network has no attention, or the
            package that makes them is not installed.
    """
    denoiser.requires_grad_(False)
    if trained == "lora":
        _add_adapters(denoiser.network, lora_rank)
    elif trained == "text":
        for module in denoiser.text_modules:
            module.requires_grad_(True)
    else:
        for module in (denoiser.network, *denoiser.text_modules):
            module.requires_grad_(True)
    return [parameter for parameter in denoiser.parameters() if parameter.requires_grad]


def merge_adapters(denoiser: Denoiser) -> None:
    """Add low-rank adapters, if there are any, into the weights that they adapt."""
    network: Any = denoiser.network
    if getattr(network, "peft_config", None):
        network.fuse_lora()
        network.unload_lora()


def recompute_activations(denoiser: Denoiser) -> None:
    """Turn the network's gradient checkpointing on.

    Raises:
        ValueError: If it has none.
    """
    network: Any = denoiser.network
    if not getattr(network, "_supports_gradient_checkpointing", False):
        raise ValueError(f"{type(network).__name__} has no gradient checkpointing")
    network.enable_gradient_checkpointing()


def _add_adapters(network: Any, rank: int) -> None:
    names = {name for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    if not any(name.endswith(_ATTENTION) for name in names):
        raise ValueError(f"{type(network).__name__} has no attention for LoRA to adapt; train all")
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("LoRA needs peft: pip install 'emodc-bench[finetune]'") from error
    network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(_ATTENTION)))
