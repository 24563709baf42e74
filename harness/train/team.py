"""Several processes that train one network: each takes its share of every batch, and gradients are summed.

Processes are started by `torchrun` or `accelerate launch` (extra `distributed`), one per GPU. All of them hold the
whole network and the whole data set; the first one alone writes and prints. In train mode, BatchNorm and RobustNorm see
the images of their own process alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError


@dataclass(frozen=True)
class Team:
    """The processes of a training; by default this one alone."""

    accelerator: Any = None
    """accelerate's, where there are several."""

    @property
    def size(self) -> int:
        """Number of processes."""
        return int(self.accelerator.num_processes) if self.accelerator else 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return bool(self.accelerator.is_main_process) if self.accelerator else True

    def device(self, wanted: str) -> str:
        """Where this process computes: each has a GPU of its own."""
        return str(self.accelerator.device) if self.accelerator else wanted

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch."""
        return batch[self.accelerator.process_index :: self.size] if self.accelerator else batch

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        summed: Tensor = self.accelerator.reduce(value, "sum") if self.accelerator else value
        return summed

    def sum_gradients(self, parameters: Iterable[nn.Parameter], weight: float) -> None:
        """Give every process the sum of all gradients, this one's with a weight. Alone, nothing changes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not self.accelerator or not gradients:
            return
        together = self.total(weight * torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, together.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def average_statistics(self, network: nn.Module) -> None:
        """Give every process the mean of the running statistics, which each has moved by its own images."""
        for buffer in network.buffers() if self.accelerator else ():
            if buffer.is_floating_point():
                # In double precision, so that the mean of equal numbers, such as frozen ones, is exactly that number.
                buffer.copy_(self.total(buffer.double()) / self.size)


def assemble(device: str) -> Team:
    """The processes that a launcher started, or this one alone.

    Raises:
        HarnessError: when there are several and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team()
    try:
        from accelerate import Accelerator
    except ImportError:
        raise HarnessError("training with several processes needs accelerate.\n     pip install accelerate") from None
    return Team(Accelerator(cpu=device == "cpu"))
