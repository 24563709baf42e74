"""Files of torch.save, read without running any of their code.

A pickle is a program: it names functions and classes, and has them called. torch's weights-only reader calls those
that make tensors and refuses files that name others. Training scripts, however, save arguments, schedules or
accuracies beside their weights, objects of classes that only they know. Here every such name is answered with a
placeholder: nothing that the file names is imported, and a call makes an object without content.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

_REFUSED = re.compile(r"Unsupported global: GLOBAL (.+?) was not an allowed global", re.DOTALL)
"""How torch's reader says which name it does not know; it leaves out "builtins."."""


class Placeholder:
    """Stands for an object of the file: made from anything, told anything, it holds and does nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Placeholder:
        """Whatever it is made from."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever it is made from."""

    def __setstate__(self, _: Any) -> None:
        """Whatever it should hold."""


def read_inertly(path: Path) -> Any:
    """What a file holds: plain values, tensors, and a `Placeholder` in the place of every other object.

    Raises:
        pickle.UnpicklingError: for a file that asks for more than making objects, such as for a module of the
            operating system, which torch's reader never lets in.
        Exception: whatever torch makes of a damaged file.
    """
    known: dict[str, type[Placeholder]] = {}
    while True:
        try:
            with torch.serialization.safe_globals(list(known.values())), warnings.catch_warnings():
                # An error follows, which says the same.
                warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript")
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            refused = _REFUSED.search(str(error))
            if refused is None or refused[1] in known:
                raise
            known[refused[1]] = _placeholder(refused[1])


def _placeholder(path: str) -> type[Placeholder]:
    """A class that torch's reader takes for the one of this path."""
    module, _, name = path.rpartition(".")
    return type(name, (Placeholder,), {"__module__": module or "builtins", "__qualname__": name})
