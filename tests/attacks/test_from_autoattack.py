"""The official AutoAttack package, behind its fence; what needs the package is skipped without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.attacks import Crafted, Samples, Setting
from harness.attacks.from_autoattack import OfficialAutoAttack, untraced
from harness.attacks.resolve import find_factory
from harness.core.errors import HarnessError
from harness.core.threat import ThreatModel

LINF = ThreatModel("linf", 0.1)

needs_package = pytest.mark.skipif(find_spec("autoattack") is None, reason="the official package is not installed")


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.attacks.from_autoattack.find_spec", lambda name: None)
    with pytest.raises(HarnessError, match=r'pip install -e "\.\[autoattack\]" in the clone'):
        find_factory("autoattack:standard")


def test_an_unknown_ensemble_is_named_with_what_was_probably_meant() -> None:
    with pytest.raises(HarnessError, match="standard"):
        find_factory("autoattack:standart")


def test_other_goals_are_refused() -> None:
    with pytest.raises(HarnessError, match="untargeted"):
        OfficialAutoAttack("standard").resolved(ThreatModel("linf", 0.1, "next"))


@pytest.mark.parametrize(("ensemble", "classes"), [("standard", 9), ("plus", 4), ("rand", 2)])
def test_models_with_fewer_classes_than_its_losses_look_at_are_refused(
    ensemble: Any, classes: int, craft: Callable[..., Crafted]
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, classes)).eval()
    samples = Samples(torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), torch.arange(2))
    with pytest.raises(HarnessError, match=f"needs a model with at least .* and this one has {classes}; our own"):
        craft(OfficialAutoAttack(ensemble), model, samples, Setting(LINF))


def test_tracing_functions_survive() -> None:
    def trace(frame: FrameType, event: str, argument: Any) -> None:
        return None

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with untraced():
            sys.settrace(None)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


class Quiet(nn.Module):
    """Ten classes, of which random draws decide nothing."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(10, 48, generator=generator), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights.T


@needs_package
def test_the_package_runs_behind_the_fence(craft: Callable[..., Crafted], capsys: pytest.CaptureFixture[str]) -> None:
    model = Quiet().eval()
    images = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    samples = Samples(images, model(images).argmax(1), torch.arange(6))
    generator = torch.random.get_rng_state()
    result = craft(OfficialAutoAttack("standard"), model, samples, Setting(LINF, stop_when_fooled=True))
    assert (model(result.adversarial).argmax(1) != samples.classes).all()
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert (result.passes > 1).all(), "what it asks is counted"
    assert capsys.readouterr().out == ""
