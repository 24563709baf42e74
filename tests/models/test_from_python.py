"""`python:`: factories of the user's own code, and their mistakes in words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.core.errors import HarnessError
from harness.models import load_model
from harness.models.classifier import undisturbed

SOURCE = """
import os
import torch
from harness.models.classifier import Classifier, Provenance

class Scaled(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
    def forward(self, images):
        return self.factor * images.mean(dim=(2, 3))

def scaled(factor: float = 1.0):
    return Scaled(factor)

def random_linear():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))

class Settled(torch.nn.Module):
    def __init__(self, levels, shift=0.0):
        super().__init__()
        self.levels = levels
        self.register_buffer("shift", torch.tensor([shift]), persistent=False)
    def forward(self, images):
        return (self.levels * images + self.shift).round().mean(dim=(2, 3))

def two_levels():
    return Settled(2)

def sixteen_levels():
    return Settled(16)

def same_levels():
    return Settled(2)

def from_the_environment():
    return Settled(int(os.environ["LEVELS"]), float(os.environ["SHIFT"]))

def scripted():
    return torch.jit.script(Scaled(2.0))

def scripted_norm():
    return torch.jit.script(torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten()))

def plain():
    return torch.nn.Sequential(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)))

kept = []

def compiled_outside():
    kept.append(torch.compile(plain(), backend="eager"))
    return kept[-1]

def compiled_inside():
    network = plain()
    network[0] = torch.compile(network[0], backend="eager")
    return network

def compiled_in_place():
    network = plain()
    network[0].compile(backend="eager")
    return network

def hooked_after_compiling():
    network = torch.compile(plain(), backend="eager")
    network.register_forward_hook(lambda module, images, logits: 2 * logits)
    return network

def parallel_outside():
    kept.append(torch.nn.DataParallel(torch.nn.DataParallel(plain())))
    return kept[-1]

def parallel_inside():
    network = plain()
    network[0] = torch.compile(torch.nn.DataParallel(network[0]), backend="eager")
    return network

def hooked_in_parallel():
    network = torch.nn.DataParallel(plain())
    network.register_forward_hook(lambda module, images, logits: 2 * logits)
    return network

def distributed():
    return torch.nn.parallel.DistributedDataParallel(plain())

def exported():
    return torch.export.export(plain(), (torch.rand(2, 3, 2, 2),)).module()

def without_modes():
    class Fixed(torch.nn.Module):
        def train(self, mode=True):
            raise NotImplementedError("no modes")
    return Fixed()

class Committee(torch.nn.Module):
    def __init__(self, held):
        super().__init__()
        self.first = plain()
        self.members = {
            "list": lambda: [plain(), plain()],
            "tuple": lambda: (plain(),),
            "dict": lambda: {"a": [plain()]},
            "its own": lambda: [self.first, self.first[0]],
        }[held]()
    def forward(self, images):
        return self.first(images)

def committee(held: str):
    return torch.nn.Sequential(Committee(held))

class Prototypes(torch.nn.Module):
    def __init__(self, held, seed):
        super().__init__()
        table = torch.rand(2, 12, generator=torch.Generator().manual_seed(seed))
        setattr(self, *{
            "tensor": lambda: ("table", table),
            "private tensor": lambda: ("_table", table),
            "array": lambda: ("table", table.numpy()),
            "tensors": lambda: ("tables", [table, {"other": table}]),
            "dict": lambda: ("settings", {"seed": seed, "levels": (1, [2, None])}),
        }[held]())
        self.held = held
    def forward(self, images):
        return -torch.cdist(images.flatten(1), self.table)

def prototypes(held: str):
    return Prototypes(held, int(os.environ["SEED"]))

def shown():
    class Shown(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function
        def forward(self, images):
            return self.function(images)
        def extra_repr(self):
            return f"function={self.function}"
    kept.append(lambda images: images.mean(dim=(2, 3)))
    return Shown(kept[-1])

def normalized():
    return torch.nn.Sequential(torch.nn.utils.weight_norm(torch.nn.Conv2d(3, 4, 4)), torch.nn.Flatten())

def lazy():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))

def nowhere():
    with torch.device("meta"):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))

class Remembering(torch.nn.Module):
    def __init__(self, note):
        super().__init__()
        self._note = note
    def get_extra_state(self):
        return {"note": self._note, "weights": torch.arange(3)}
    def set_extra_state(self, state):
        self._note = state["note"]
    def forward(self, images):
        return images.mean(dim=(2, 3))

def remembering(note: str):
    return Remembering(note)

def quantized():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    return torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear})

def wrapped():
    return Classifier(Scaled(1.0), Provenance("mine", random_weights=True), mean=(0.5,), std=(0.5,), input_size=(8, 8))

def in_train_mode():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten())
    return Classifier(network, Provenance("mine")).train().requires_grad_(True)

def untyped():
    return [1, 2]

def broken():
    raise ZeroDivisionError("my mistake")

number = 3
"""


@pytest.fixture(autouse=True)
def module() -> Iterator[Path]:
    """A module `my_models` in the working directory, forgotten afterwards."""
    path = Path("my_models.py")
    path.write_text(SOURCE)
    yield path
    for name in ("my_models", "my_broken_models"):
        sys.modules.pop(name, None)


def test_a_factory_in_the_working_directory_gives_a_model_of_images_in_0_to_1() -> None:
    path_before = list(sys.path)
    model = load_model("python:my_models:scaled", arguments={"factor": 2.0})
    images = torch.full((1, 3, 4, 4), 0.25)
    assert model(images).tolist() == [[0.5, 0.5, 0.5]]
    assert model.provenance.id == "python:my_models:scaled"
    assert sys.path == path_before


def test_a_standardization_may_be_given() -> None:
    model = load_model("python:my_models:scaled", mean=[0.5] * 3, std=[0.25] * 3, input_size=[4, 4])
    assert model(torch.full((1, 3, 4, 4), 0.75)).tolist() == [[1.0, 1.0, 1.0]]
    assert model.input_size == (4, 4)


def test_a_classifier_is_passed_through_with_its_own_standardization() -> None:
    model = load_model("python:my_models:wrapped")
    assert model(torch.full((1, 3, 4, 4), 0.5)).tolist() == [[0.0, 0.0, 0.0]]
    assert model.input_size == (8, 8)
    assert model.provenance.id == "python:my_models:wrapped"
    assert model.provenance.random_weights
    assert model.provenance.details["wraps"] == {"id": "mine"}
    with pytest.raises(HarnessError, match="brings its own"):
        load_model("python:my_models:wrapped", mean=[0.5], std=[0.5])


def test_a_classifier_is_put_in_eval_mode() -> None:
    model = load_model("python:my_models:in_train_mode")
    assert not any(part.training for part in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_fingerprint_depends_on_the_source_and_the_arguments(module: Path) -> None:
    fingerprint = load_model("python:my_models:scaled").fingerprint
    assert fingerprint == load_model("python:my_models:scaled").fingerprint
    assert fingerprint != load_model("python:my_models:scaled", arguments={"factor": 2.0}).fingerprint
    del sys.modules["my_models"]
    module.write_text(SOURCE.replace("self.factor * images", "-self.factor * images"))
    assert fingerprint != load_model("python:my_models:scaled").fingerprint


def test_the_source_of_layers_from_other_modules_counts_too(module: Path) -> None:
    Path("my_broken_models.py").write_text("from my_models import Scaled\ndef one():\n    return Scaled(1.0)\n")
    fingerprint = load_model("python:my_broken_models:one").fingerprint
    del sys.modules["my_models"], sys.modules["my_broken_models"]
    module.write_text(SOURCE + "\n# changed\n")
    assert fingerprint != load_model("python:my_broken_models:one").fingerprint


def test_functions_that_a_module_imports_count_too(module: Path) -> None:
    Path("my_broken_models.py").write_text(
        "from my_purifier import gain\nfrom torch import nn\ndef one():\n    return nn.Flatten()\n"
    )
    fingerprints = set()
    for gain in (1.0, 2.0):
        Path("my_purifier.py").write_text(f"gain = {gain}\n")
        sys.modules.pop("my_broken_models", None)
        sys.modules.pop("my_purifier", None)
        fingerprints.add(load_model("python:my_broken_models:one").fingerprint)
    sys.modules.pop("my_purifier")
    assert len(fingerprints) == 2


def test_factories_of_one_module_are_models_of_their_own() -> None:
    names = ("two_levels", "sixteen_levels", "same_levels")
    assert len({load_model(f"python:my_models:{name}").fingerprint for name in names}) == 3


def test_the_fingerprint_knows_settings_that_neither_layers_nor_state_show(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprints = set()
    for levels, shift in (("2", "0"), ("4", "0"), ("2", "0.5"), ("2", "0")):
        monkeypatch.setenv("LEVELS", levels)
        monkeypatch.setenv("SHIFT", shift)
        fingerprints.add(load_model("python:my_models:from_the_environment").fingerprint)
    assert len(fingerprints) == 3


def test_the_fingerprint_knows_what_modules_keep_beside_tensors() -> None:
    first, second = (
        load_model("python:my_models:remembering", arguments={"note": note}) for note in ("one", "another")
    )
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == load_model("python:my_models:remembering", arguments={"note": "one"}).fingerprint


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["scripted", "normalized", "quantized"])
def test_networks_that_torch_copies_or_lists_in_ways_of_its_own_are_loaded(name: str) -> None:
    model = load_model(f"python:my_models:{name}")
    assert model.fingerprint == load_model(f"python:my_models:{name}").fingerprint
    images = torch.rand(2, 3, 4, 4) if name == "normalized" else torch.rand(2, 3, 2, 2)
    assert len(model(images)) == 2
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("held", ["list", "tuple", "dict"])
def test_networks_that_torch_cannot_find_are_refused(held: str) -> None:
    with pytest.raises(HarnessError, match=rf"0\.members holds networks in a plain {held}(.|\n)*nn.ModuleList"):
        load_model("python:my_models:committee", arguments={"held": held})


def test_a_list_of_parts_that_torch_knows_is_no_matter() -> None:
    load_model("python:my_models:committee", arguments={"held": "its own"})


@pytest.mark.parametrize("held", ["tensor", "private tensor", "array", "tensors", "dict"])
def test_the_fingerprint_knows_tensors_and_tables_that_are_not_registered(
    held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = []
    for seed in ("0", "1", "0"):
        monkeypatch.setenv("SEED", seed)
        fingerprints.append(load_model("python:my_models:prototypes", arguments={"held": held}).fingerprint)
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]


def test_layers_without_weights_may_stand_in_a_plain_list() -> None:
    Path("my_broken_models.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(4, 2)\n"
        "        self.steps = [nn.Flatten(), self.layer, nn.ReLU()]\n"
        "    def forward(self, images):\n"
        "        for step in self.steps:\n"
        "            images = step(images)\n"
        "        return images\n"
    )
    assert load_model("python:my_broken_models:Net")(torch.rand(3, 1, 2, 2)).shape == (3, 2)


def test_tensors_that_are_not_registered_go_where_the_model_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "0")
    model = load_model("python:my_models:prototypes", arguments={"held": "tensor"})
    assert model.double().network.table.dtype == torch.float64
    assert model.to("meta").network.table.is_meta


def test_a_function_that_a_layer_shows_is_in_another_place_of_memory_every_time() -> None:
    models = [load_model("python:my_models:shown") for _ in range(2)]
    assert repr(models[0].network) != repr(models[1].network)
    assert models[0].fingerprint == models[1].fingerprint


@pytest.mark.filterwarnings("ignore:.*[Ll]azy.*:UserWarning")
@pytest.mark.parametrize(("name", "reason"), [("lazy", "has no shape yet"), ("nowhere", "is on the meta device")])
def test_networks_without_values_are_refused_in_words(name: str, reason: str) -> None:
    with pytest.raises(HarnessError, match=reason):
        load_model(f"python:my_models:{name}")


def test_random_initialization_is_reproducible_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = (load_model("python:my_models:random_linear") for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_models", "write python:PACKAGE.MODULE:FACTORY"),
        ("my_modles:scaled", 'there is no module "my_modles"'),
        ("my_models.inner:scaled", "my_models.inner"),
        ("my_models:scald", r"did you mean: scaled, Scaled|did you mean: Scaled, scaled|did you mean: scaled"),
        ("my_models:number", "is of type int"),
        ("my_models:untyped", "returned something of type list"),
        ("my_models:broken", r"ZeroDivisionError: my mistake\n     at .*my_models.py:\d+"),
    ],
)
def test_a_mistake_is_named(name: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        load_model(f"python:{name}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import no_such_library",
            r"importing my_broken_models failed: ModuleNotFoundError.*\n     at .*my_broken_models.py:1",
        ),
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_fails_on_import_is_named(source: str, message: str) -> None:
    Path("my_broken_models.py").write_text(source)
    with pytest.raises(HarnessError, match=message):
        load_model("python:my_broken_models:anything")


def test_unknown_arguments_are_refused_with_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="known: factor"):
        load_model("python:my_models:scaled", arguments={"scale": 2.0})


@pytest.mark.parametrize(
    "factory", ["compiled_outside", "compiled_inside", "compiled_in_place", "parallel_outside", "parallel_inside"]
)
def test_a_network_that_comes_compiled_or_in_parallel_is_taken_apart(factory: str) -> None:
    model, plain = load_model(f"python:my_models:{factory}"), load_model("python:my_models:plain")
    assert repr(model.network) == repr(plain.network)
    assert all(part._compiled_call_impl is None for part in model.modules())
    images = torch.rand(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), plain(images))


def test_the_compiled_network_itself_stays_compiled() -> None:
    load_model("python:my_models:compiled_outside")
    (network,) = sys.modules["my_models"].kept
    assert type(network).__name__ == "OptimizedModule"


@pytest.mark.parametrize("factory", ["hooked_after_compiling", "hooked_in_parallel"])
def test_hooks_that_a_copy_would_lose_are_an_error(factory: str) -> None:
    with pytest.raises(HarnessError, match="hooks, which are lost when it is copied"):
        load_model(f"python:my_models:{factory}")


def test_a_network_that_comes_distributed_is_taken_apart(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        model = load_model("python:my_models:distributed")
    finally:
        torch.distributed.destroy_process_group()
    assert repr(model.network) == repr(load_model("python:my_models:plain").network)


def test_a_network_without_modes_is_refused_in_words() -> None:
    with pytest.raises(
        HarnessError, match=r"cannot be put in eval mode: NotImplementedError: no modes\n     at .*py:\d"
    ):
        load_model("python:my_models:without_modes")


def test_an_exported_network_is_loaded() -> None:
    images = torch.rand(2, 3, 2, 2)
    assert load_model("python:my_models:exported")(images).shape == (2, 2)


ON_A_GPU = """
import torch
from torch import nn
from harness.models import load_model
from tests.pretended import device

class Far(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 2)
        self.shift = torch.ones(2)
    def forward(self, images):
        return self.layer(images.flatten(1)) + self.shift

def far():
    network = Far().to("pretended:0")
    network.shift = network.shift.to("pretended:0")
    return network

if __name__ == "__main__":
    with device() as there:
        model = load_model("python:far_away:far")
        print(model(torch.rand(2, 3, 2, 2)).device)
        print(model.to(there)(torch.rand(2, 3, 2, 2).to(there)).device)
"""


def test_a_network_that_comes_on_a_gpu_starts_on_the_cpu() -> None:
    Path("far_away.py").write_text(ON_A_GPU)
    printed = subprocess.run(
        [sys.executable, "far_away.py"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert printed.stdout.split() == ["cpu", "pretended:0"], printed.stderr


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_network_with_buffers_is_left_as_it_was() -> None:
    model = load_model("python:my_models:scripted_norm")
    before = model.fingerprint
    with undisturbed(model):
        model.train()
        model(torch.rand(4, 3, 2, 2))
        assert model.fingerprint != before
    assert model.fingerprint == before
    assert not model.training
