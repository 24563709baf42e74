"""Files of torch.save are read without running what they hold."""

from __future__ import annotations

import argparse
import functools
import os
import pickle
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.models.inert import Placeholder, read_inertly


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __call__(self) -> None:
        """What is called must be callable, as seen from the pickler."""

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


class Rebuilt:
    """Pickles as an object that a method of its own puts together."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["marker"].touch()


class Filled(dict[str, Any]):
    """Does something when it is filled."""

    def __setitem__(self, key: str, value: str) -> None:
        Path(value).touch()


def _weights() -> dict[str, Any]:
    return {"weight": torch.arange(6.0).view(2, 3), "steps": torch.tensor(7)}


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_of_any_class_become_placeholders_and_everything_else_is_read(zipped: bool, tmp_path: Path) -> None:
    content = {
        "state_dict": OrderedDict(_weights()),
        "args": argparse.Namespace(lr=0.1, inner=argparse.Namespace(x=torch.ones(1))),
        "accuracy": np.float64(0.5),
        "rates": np.arange(3),
        "path": tmp_path,
        "schedule": functools.partial(max, 1),
        "epoch": 3,
        "names": ["a", ("b", None, True)],
    }
    torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    read = read_inertly(tmp_path / "file.pt")
    assert [key for key in read if isinstance(read[key], Placeholder)] == [
        "args", "accuracy", "rates", "path", "schedule",
    ]  # fmt: skip
    assert (read["epoch"], read["names"]) == (3, ["a", ("b", None, True)])
    assert all(torch.equal(read["state_dict"][key], tensor) for key, tensor in _weights().items())
    assert type(read["args"]).__name__ == "Namespace"
    assert not hasattr(read["args"], "lr")


class Settings(dict[str, Any]):
    """What configurations are kept in, with attributes of its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(settings)
        self.__dict__.update(settings)


class Meters(list[float]):
    """A kind of list."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (Settings(lr=0.1, inner=Settings(depth=3)), {"lr": 0.1, "inner": {"depth": 3}}),
        (defaultdict(list, {"loss": [1.0, 2.0]}), {"loss": [1.0, 2.0]}),
        (defaultdict(Meters, {"loss": Meters([1.0]), "other": Meters()}), {"loss": [1.0], "other": []}),
        (deque([1.0, 2.0], maxlen=20), [1.0, 2.0]),
        (deque([1.0]), [1.0]),
        (Meters([0.5]), [0.5]),
        ([Settings(a=1), deque([Settings(b=2)])], [{"a": 1}, [{"b": 2}]]),
    ],
)
def test_kinds_of_dicts_and_lists_become_plain_ones(kept: Any, expected: Any, zipped: bool, tmp_path: Path) -> None:
    content = {"state_dict": _weights(), "kept": kept, "args": argparse.Namespace(kept=kept)}
    torch.save(content, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    read = read_inertly(tmp_path / "file.pt")
    assert read["kept"] == expected
    assert type(read["kept"]) in (OrderedDict, list)
    assert isinstance(read["args"], Placeholder)
    assert torch.equal(read["state_dict"]["weight"], _weights()["weight"])


def test_a_kind_of_dict_that_would_run_code_when_it_is_filled_does_not(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    trap = Filled()
    dict.__setitem__(trap, "marker", str(marker))
    torch.save({"state_dict": _weights(), "trap": trap}, tmp_path / "file.pt")
    assert read_inertly(tmp_path / "file.pt")["trap"] == {"marker": str(marker)}
    assert not marker.exists()
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert marker.exists(), "the trap would spring"


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "attack",
    [
        lambda marker: Call(os.system, f"touch {marker}"),
        lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"),
        lambda marker: Call(exec, f"open({str(marker)!r}, 'w')"),
        lambda marker: Call(Path.touch, marker),
        lambda marker: Call(open, str(marker), "w"),
        lambda marker: Call(Call(getattr, Call(__import__, "os"), "system"), f"touch {marker}"),
        lambda marker: Call(map, Call(eval, f"open({str(marker)!r}, 'w')"), [1]),
        lambda marker: [{"deep": (Call(functools.partial(Path.touch, marker)),)}],
        lambda marker: Call(torch.save, {}, str(marker)),
        lambda marker: Call(torch.load, str(marker)),
        lambda marker: Rebuilt(marker),
    ],
)
def test_nothing_in_a_file_is_executed(attack: Callable[[Path], Any], zipped: bool, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = tmp_path / "file.pt"
    torch.save({"state_dict": _weights(), "trap": attack(marker)}, file, _use_new_zipfile_serialization=zipped)
    try:
        read = read_inertly(file)
    except pickle.UnpicklingError:
        pass
    else:
        assert torch.equal(read["state_dict"]["weight"], _weights()["weight"])
    assert not marker.exists()


def test_the_traps_of_these_tests_would_spring(tmp_path: Path) -> None:
    torch.save(Call(eval, f"open({str(tmp_path / 'ran')!r}, 'w').close()"), tmp_path / "file.pt")
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert (tmp_path / "ran").exists()


def _write_pickle(path: Path, opcodes: bytes) -> None:
    """A file of torch.save, in the old format, that holds what these opcodes make."""
    torch.save({}, path, _use_new_zipfile_serialization=False)
    with path.open("rb") as file:
        for _ in range(3):  # magic number, version, machine
            pickle.load(file)
        head = path.read_bytes()[: file.tell()]
    path.write_bytes(head + b"\x80\x02" + opcodes + b"." + pickle.dumps([], protocol=2))


@pytest.mark.parametrize("name", [b"posix\nsystem", b"os\nsystem", b"sys\nexit"])
def test_the_operating_system_is_out_of_reach_altogether(name: bytes, tmp_path: Path) -> None:
    _write_pickle(tmp_path / "trap.pt", b"c" + name + b"\nX\x04\x00\x00\x00true\x85R")
    with pytest.raises(pickle.UnpicklingError, match="is blocked"):
        read_inertly(tmp_path / "trap.pt")


def test_classes_of_torch_cannot_be_changed_by_a_file(tmp_path: Path) -> None:
    # To build with (None, {...}) sets attributes; a plain unpickler sets those of classes too.
    opcodes = b"ctorch\nTensor\n(N}X\x01\x00\x00\x00xX\x01\x00\x00\x00ystb"
    pickle.loads(b"\x80\x02" + opcodes.replace(b"ctorch\nTensor", b"cargparse\nNamespace") + b".")
    assert argparse.Namespace.x == "y"  # type: ignore[attr-defined]
    del argparse.Namespace.x  # type: ignore[attr-defined]
    _write_pickle(tmp_path / "trap.pt", opcodes)
    with pytest.raises(pickle.UnpicklingError, match="Can only build"):
        read_inertly(tmp_path / "trap.pt")
    assert not hasattr(torch.Tensor, "x")


def test_reading_leaves_what_torch_lets_in_as_it_was(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=0.1)}, tmp_path / "file.pt")
    before = torch.serialization.get_safe_globals()
    read_inertly(tmp_path / "file.pt")
    assert torch.serialization.get_safe_globals() == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "file.pt", weights_only=True)
