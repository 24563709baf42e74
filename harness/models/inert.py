"""Files of torch.save, read without running any of their code.

A pickle is a program: it names functions and classes, and has them called. torch's weights-only reader calls those
that make tensors and refuses files that name others. Training scripts, however, save arguments, schedules or
accuracies beside their weights, objects of classes that only they know. Here every such name is answered with a
placeholder: nothing that the file names is imported, and a call makes an object without content. Dicts and lists of
classes of their own (settings, meters) become plain ones.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

_REFUSED = re.compile(r"Unsupported global: GLOBAL (.+?) was not an allowed global", re.DOTALL)
"""How torch's reader says which name it does not know; it leaves out "builtins."."""

_FILLED = re.compile(r"Can only (SETITEM|append|extend).*? but got <class '(.+?)'>", re.DOTALL)
"""How it says that something is put into an object that is neither a dict nor a list, and of which class that is."""


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

    def __setitem__(self, key: Any, _: Any) -> None:
        """The same; older versions of torch fill dicts of any class."""


class Dict:
    """Stands for a kind of dict: calling it makes a plain one, the only one that torch's reader fills."""

    def __new__(cls, *_: Any, **__: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        """Whatever it is made from. Not a `dict`, whose attributes the reader refuses to set."""
        return OrderedDict()


class List:
    """Stands for a kind of list: calling it makes a plain one."""

    def __new__(cls, *_: Any, **__: Any) -> list[Any]:  # type: ignore[misc]
        """Whatever it is made from."""
        return []


def read_inertly(path: Path) -> Any:
    """What a file holds: plain values, tensors, and a `Placeholder` in the place of every other object.

    Which names the file needs, and which of these are of dicts or lists, torch's reader says one by one.

    Raises:
        pickle.UnpicklingError: for a file that asks for more than making objects, such as for a module of the
            operating system, which torch's reader never lets in.
        Exception: whatever torch makes of a damaged file.
    """
    known: dict[str, type] = {}
    while True:
        try:
            with torch.serialization.safe_globals(list(known.values())), warnings.catch_warnings():
                # An error follows, which says the same.
                warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript")
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            refused, filled = _REFUSED.search(str(error)), _FILLED.search(str(error))
            if refused and refused[1] not in known:
                known[refused[1]] = _stand_in(refused[1], Placeholder)
            elif filled and issubclass(known.get(filled[2], object), Placeholder):
                known[filled[2]] = _stand_in(filled[2], Dict if filled[1] == "SETITEM" else List)
            else:
                raise


def _stand_in(path: str, kind: type) -> type:
    """A class that torch's reader takes for the one of this path."""
    module, _, name = path.rpartition(".")
    return type(name, (kind,), {"__module__": module or "builtins", "__qualname__": name})
