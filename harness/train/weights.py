"""Writing the weights of a card."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from harness.core.errors import HarnessError
from harness.core.whole import written_whole
from harness.models.card import Card
from harness.models.classifier import Classifier


def write_weights(network: nn.Module, card: Card, path: Path) -> None:
    """Write a network's state in the card's type, whole or not at all; a classifier's is that of its network.

    Raises:
        HarnessError: when a weight is too large for the card's type, or the file cannot be written.
    """
    inner = network.network if isinstance(network, Classifier) else network
    kept = torch.float16 if card.weights == "float16" else torch.float32
    state = {
        name: (tensor.to(kept) if tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in inner.state_dict().items()
    }
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise HarnessError(f'{path.stem}: a weight is too large for float16; write weights = "float32" in the card')
    with written_whole(path, "make room there; the same command goes on from the last epoch that was kept") as file:
        save_file(state, file)
