"""Batches that stay whole: what an attack must do on models whose predictions depend on the batch.

Such a model is asked about all samples of a batch at once, at every step and until the end. An attack can do that when
no sample may stop early (`Setting.stop_when_fooled` is false), and says so with an attribute `whole_batches`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from harness.attacks import Attack
from harness.core.errors import HarnessError
from harness.models.ensemble import parts_of


def keeps_batches_whole(attack: Attack) -> bool:
    """Whether an attack asks a model about all samples of a batch at once, or about none of them."""
    return bool(getattr(attack, "whole_batches", False))


@contextmanager
def asked_whole(model: nn.Module, size: int, attack: str) -> Iterator[None]:
    """Hold an attack, named for the message, to its word while it runs on a batch of `size` samples.

    Raises:
        HarnessError: as soon as the model is asked about another number of images.
    """

    def check(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs[0]) != size:
            raise HarnessError(
                f'attack "{attack}" asked about {len(inputs[0])} images of a batch of {size} at once, '
                "but predictions of the model depend on the whole of the batch"
            )

    with ExitStack() as hooks:
        for part in parts_of(model):
            assert isinstance(part, nn.Module)
            hooks.callback(part.register_forward_pre_hook(check).remove)
        yield
