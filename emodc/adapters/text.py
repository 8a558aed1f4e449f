"""Texts to tokens, padded to one length: a prompt's encoding must not depend on its neighbours."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def tokens(
    tokenizer: Any, texts: Sequence[str], length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, int64 (P, length)."""
    batch = tokenizer(
        list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return batch.input_ids.to(device), batch.attention_mask.to(device)


def clip_length(tokenizer: Any, text_encoder: Any) -> int:
    """Tokens per prompt; a tokenizer that names no limit has the text model's."""
    return int(min(tokenizer.model_max_length, text_encoder.config.max_position_embeddings))
