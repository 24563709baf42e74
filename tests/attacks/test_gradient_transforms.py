"""TI, MI and NI, each against its paper's formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from torch import Tensor, nn

from harness.attacks import ATTACKS, Crafted, Samples, Setting
from harness.attacks.gradient_transforms import Momentum, NesterovMomentum, Smooth, accumulate, smooth, smoothing_kernel
from harness.core.balls import BALLS
from harness.core.registry import parameters_of
from harness.core.threat import ThreatModel

Craft = Callable[..., Crafted]


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- TI --------------------------------------------------------------------------------------------------------


def test_the_gaussian_kernel_is_that_of_the_authors() -> None:
    profile = stats.norm.pdf(np.linspace(-3, 3, 15))
    expected = np.outer(profile, profile) / np.outer(profile, profile).sum()
    np.testing.assert_allclose(smoothing_kernel("gaussian", 15, 3.0).numpy(), expected, rtol=1e-5)


def test_the_linear_kernel_falls_to_zero_just_outside() -> None:
    profile = np.array([1, 2, 3, 2, 1])
    expected = np.outer(profile, profile) / 81
    np.testing.assert_allclose(smoothing_kernel("linear", 5, 3.0).numpy(), expected, rtol=1e-6)


def test_the_uniform_kernel_is_an_average() -> None:
    assert torch.allclose(smoothing_kernel("uniform", 3, 3.0), torch.full((3, 3), 1 / 9))


@pytest.mark.parametrize("kernel", ["gaussian", "linear", "uniform"])
def test_a_kernel_of_one_pixel_changes_nothing(kernel: str) -> None:
    gradients = uniform(0, 2, 3, 5, 5)
    torch.testing.assert_close(smooth(gradients, smoothing_kernel(kernel, 1, 3.0)), gradients)


def test_smoothing_spreads_an_impulse_as_the_kernel_within_its_channel() -> None:
    kernel = smoothing_kernel("gaussian", 5, 2.0)
    impulse = torch.zeros(1, 3, 9, 9)
    impulse[0, 1, 4, 4] = 1
    spread = smooth(impulse, kernel)
    torch.testing.assert_close(spread[0, 1, 2:7, 2:7], kernel)
    assert spread.sum().item() == pytest.approx(1)
    assert spread[0, [0, 2]].abs().max() == 0


def test_smoothing_averages_the_gradients_of_translated_images() -> None:
    # TI's definition: the gradient of sum over shifts of w(shift) * f(image shifted).
    weights = uniform(1, 1, 1, 7, 7)
    image = uniform(0, 1, 1, 7, 7).requires_grad_()
    kernel = smoothing_kernel("uniform", 3, 3.0)
    total = torch.zeros(())
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shifted = F.pad(image, (1, 1, 1, 1)).roll((down, right), (2, 3))[:, :, 1:-1, 1:-1]
            total = total + (weights * shifted).sum() / 9
    (expected,) = torch.autograd.grad(total, image)
    torch.testing.assert_close(smooth(weights, kernel), expected)


@pytest.mark.parametrize("size", [2, 14])
def test_a_kernel_without_a_centre_is_refused(size: int) -> None:
    annotation = parameters_of(Smooth)["kernel_size"].annotation
    with pytest.raises(ValidationError, match="must be odd"):
        TypeAdapter(annotation).validate_python(size)


# --- MI and NI -------------------------------------------------------------------------------------------------


def test_momentum_is_the_decaying_sum_of_gradients_over_their_mean_size() -> None:
    first = torch.tensor([[[[2.0, -2.0], [0.0, 4.0]]]])
    second = torch.tensor([[[[-1.0, 0.0], [0.0, 3.0]]]])
    velocity = accumulate(torch.zeros_like(first), first, decay=0.5)
    torch.testing.assert_close(velocity, torch.tensor([[[[1.0, -1.0], [0.0, 2.0]]]]))
    velocity = accumulate(velocity, second, decay=0.5)
    torch.testing.assert_close(velocity, torch.tensor([[[[0.5 - 1.0, -0.5], [0.0, 1.0 + 3.0]]]]))


def test_momentum_is_per_sample() -> None:
    gradients, velocity = uniform(0, 3, 1, 4, 4) - 0.5, uniform(1, 3, 1, 4, 4)
    scales = torch.tensor([1e-20, 1.0, 1e20]).view(3, 1, 1, 1)
    torch.testing.assert_close(accumulate(velocity, scales * gradients, 1.0), accumulate(velocity, gradients, 1.0))


def test_momentum_with_decay_zero_points_along_the_current_gradient() -> None:
    gradients = uniform(0, 2, 1, 4, 4) - 0.5
    direction, _ = Momentum(0.0)(gradients, 100 * uniform(1, 2, 1, 4, 4))
    cosine = F.cosine_similarity(direction.flatten(1), gradients.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(2))


@pytest.mark.parametrize("scale", [0.0, 1e-38])
def test_a_vanishing_gradient_leaves_the_velocity_finite(scale: float) -> None:
    velocity = uniform(0, 1, 1, 4, 4)
    after = accumulate(velocity, torch.full_like(velocity, scale), decay=0.5)
    assert after.isfinite().all()
    if scale == 0:
        assert torch.equal(after, 0.5 * velocity)


class FlatInTheMiddle(nn.Module):
    """Logits (0, f) with f rising in the first pixel, except that its gradient is zero on [0.54, 0.56]."""

    def forward(self, images: Tensor) -> Tensor:
        pixel = images[:, 0, 0, 0]
        rising = pixel.clamp_max(0.54) + pixel.clamp_min(0.56)
        return torch.stack([torch.zeros_like(rising), rising], dim=1)


@pytest.mark.parametrize("name", ["mi-fgsm", "ni-fgsm"])
def test_a_sample_with_one_zero_gradient_goes_on_moving(name: str, craft: Craft) -> None:
    # torchattacks' MI-FGSM divides 0 by 0 in the second step, and the pixel is NaN from then on.
    samples = Samples(torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), torch.tensor([0]))
    setting = Setting(ThreatModel("linf", 0.2))
    result = craft(ATTACKS.get(name)(steps=4, step_size=0.05), FlatInTheMiddle(), samples, setting)
    assert result.adversarial.item() == pytest.approx(0.7)
    if name == "mi-fgsm":
        assert result.zero_gradient.item(), "0.55 lies on the flat part"


def test_without_momentum_a_zero_gradient_stops_the_sample(craft: Craft) -> None:
    samples = Samples(torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), torch.tensor([0]))
    setting = Setting(ThreatModel("linf", 0.2))
    result = craft(ATTACKS.get("i-fgsm")(steps=4, step_size=0.05), FlatInTheMiddle(), samples, setting)
    assert result.adversarial.item() == pytest.approx(0.55)
    assert result.zero_gradient.item()


def test_nesterov_looks_one_step_ahead_along_the_decayed_velocity() -> None:
    points, velocity = uniform(0, 1, 1, 2, 2), uniform(1, 1, 1, 2, 2)
    ahead = NesterovMomentum(0.5).look_ahead(points, velocity, reach=0.1)
    torch.testing.assert_close(ahead, points + 0.1 * 0.5 * velocity)
    assert Momentum(0.5).look_ahead(points, velocity, reach=0.1) is points


class Valley(nn.Module):
    """Logits (0, -(x - 0.54)^2 - (y - 0.9)^2) of the first two pixels."""

    def forward(self, images: Tensor) -> Tensor:
        x, y = images[:, 0, 0].unbind(1)
        score = -((x - 0.54) ** 2) - (y - 0.9) ** 2
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_nesterov_turns_back_one_step_before_momentum_does(craft: Craft) -> None:
    # At (0.5, 0.5) the gradient is (0.08, 0.8), the velocity (0.08, 0.8) / 0.44 = (0.182, 1.818): both step to
    # (0.55, 0.55). There MI sees (-0.02, 0.7): 0.45 * 0.182 - 0.02 / 0.36 = 0.026, x rises on. NI looks ahead, at
    # (0.5541, 0.5909), and sees (-0.0282, 0.618): 0.45 * 0.182 - 0.0282 / 0.323 = -0.005, x falls.
    samples = Samples(torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([0]), torch.tensor([0]))
    setting = Setting(ThreatModel("linf", 0.3))
    arguments = {"steps": 2, "step_size": 0.05, "loss": "margin", "decay": 0.45}
    momentum = craft(ATTACKS.get("mi-fgsm")(**arguments), Valley(), samples, setting).adversarial
    nesterov = craft(ATTACKS.get("ni-fgsm")(**arguments), Valley(), samples, setting).adversarial
    assert momentum.flatten().tolist() == pytest.approx([0.6, 0.6])
    assert nesterov.flatten().tolist() == pytest.approx([0.5, 0.6])


class Slope(nn.Module):
    """Logits (0, a weighted sum of the pixels); remembers where it was asked."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights, self.asked = weights, list[Tensor]()

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(images.detach())
        rise = (images * self.weights).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(rise), rise], dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nesterov_looks_as_many_steps_ahead_as_the_velocity_has_gathered(norm: str, craft: Craft) -> None:
    # On a slope of equal weights, the velocity after t steps is t in every pixel.
    model = Slope(torch.ones(1, 3, 8, 8))
    samples = Samples(torch.full((1, 3, 8, 8), 0.5), torch.tensor([0]), torch.tensor([0]))
    threat = ThreatModel(norm, 1.0 if norm == "l2" else 0.1)  # type: ignore[arg-type]
    craft(ATTACKS.get("ni-fgsm")(steps=4, step_size="eps/40"), model, samples, Setting(threat))
    away = [BALLS[norm](1.0).distance(samples.images, points).item() for points in model.asked]
    # t steps made, and t ahead.
    assert away == pytest.approx([2 * t * threat.epsilon / 40 for t in range(4)], rel=1e-4, abs=1e-9)
