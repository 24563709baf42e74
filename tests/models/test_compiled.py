"""Compiled passes: full batches only, checked first, and given up where compiling fails.

Tests compile with a backend that runs graphs as they are: the real one takes a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import harness
from harness.attacks.boundary import nearest_boundary
from harness.attacks.slope import input_gradient
from harness.core.losses import cross_entropy
from harness.models import load_model
from harness.models.compiled import Compiled, compile_passes
from harness.models.prepare import prepare

BN, NONE = "zoo:digits-resnet8-bn", "zoo:digits-resnet8-none"

SIZE = 20

Graphs = list[Any]


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graphs]:
    """The graphs that were compiled."""
    seen: Graphs = []

    def backend(graph: Any, examples: Any) -> Callable[..., Any]:
        seen.append(graph)
        run: Callable[..., Any] = graph.forward
        return run

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    yield seen
    torch.compiler.reset()


def pictures(count: int) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("id", [BN, NONE, f"ensemble:{BN}+{NONE}"])
def test_compiled_passes_give_the_logits_and_gradients_of_the_model(id: str, graphs: Graphs) -> None:
    original, images, classes = load_model(id), pictures(SIZE), torch.arange(SIZE) % 10
    twin = prepare(original, pictures(16), "float32", SIZE)
    assert graphs
    torch.testing.assert_close(twin.model(images), original(images), atol=1e-4, rtol=1e-4)
    gradients = [input_gradient(model, images, classes, cross_entropy)[0] for model in (twin.model, original)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)


def test_batches_of_another_size_run_as_they_are(graphs: Graphs) -> None:
    twin = prepare(load_model(BN), pictures(16), "float32", SIZE).model
    compiled = len(graphs)
    for count in (1, SIZE - 1, SIZE + 1):
        twin(pictures(count).requires_grad_())
    assert len(graphs) == compiled


def test_passes_that_are_compiled_may_have_several_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._functorch import config

    monkeypatch.setattr(config, "donated_buffer", True)
    prepare(load_model(BN), pictures(16), "float32", SIZE)
    assert config.donated_buffer is False


def test_without_a_size_nothing_is_compiled(graphs: Graphs) -> None:
    prepare(load_model(BN), pictures(16))
    assert not graphs


def test_every_model_is_compiled_however_many_came_before(graphs: Graphs) -> None:
    for _ in range(12):
        before = len(graphs)
        prepare(load_model(NONE), pictures(16), "float32", SIZE)
        assert len(graphs) > before


def test_a_compiler_that_fails_leaves_the_twin_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: nn.Module, **options: Any) -> Callable[[Tensor], Tensor]:
        def fail(images: Tensor) -> Tensor:
            raise OSError("no compiler found")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match="passes are not compiled: no compiler found"):
        twin = prepare(load_model(BN), pictures(16), "float32", SIZE).model
    assert not isinstance(twin, Compiled)
    assert twin(pictures(SIZE)).shape == (SIZE, 10)


def test_a_compiled_pass_that_deviates_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **options: lambda images: model(images) + 1)
    assert not isinstance(prepare(load_model(BN), pictures(16), "float32", SIZE).model, Compiled)


def test_members_of_an_ensemble_are_compiled_one_by_one() -> None:
    twin = prepare(load_model(f"ensemble:{BN}+{NONE}", arguments={"fuse": "loss"}), pictures(16))
    compiled = compile_passes(twin.model, SIZE)
    assert all(isinstance(member, Compiled) for member in compiled.members)  # type: ignore[union-attr]


def test_a_suite_that_compiles_finds_the_same_as_one_that_does_not(
    suite_file: Callable[..., Any], graphs: Graphs
) -> None:
    plain = harness.run(suite_file(), overrides=["batch_size=5"])
    assert not graphs
    compiled = harness.run(suite_file(), overrides=["batch_size=5", "compile=true"], store="other")
    assert graphs
    assert [cell.id for cell in compiled.plan.cells.cells] == [cell.id for cell in plain.plan.cells.cells]
    for cell in plain.plan.cells.cells:
        assert plain.outcomes(cell.id)["success"].tolist() == compiled.outcomes(cell.id)["success"].tolist()
    assert compiled.store.read(compiled.plan.cells.cells[-1].id).environment["compile"] is True


@pytest.mark.slow
def test_boundaries_of_really_compiled_passes_are_those_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    original, images, classes = load_model(BN), pictures(SIZE), torch.zeros(SIZE, dtype=torch.long)
    rivals = torch.tensor([[1, 2, 3]]).expand(SIZE, 3)
    twin = prepare(original, pictures(16), "float32", SIZE).model
    assert isinstance(twin, Compiled)
    found, expected = (nearest_boundary(model, images, classes, rivals, "l2") for model in (twin, original))
    torch.testing.assert_close(found.normals, expected.normals, atol=1e-4, rtol=1e-3)
