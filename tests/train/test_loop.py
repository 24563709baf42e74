"""The training loop: its schedule, its steps, and resuming bit for bit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.core.errors import HarnessError
from harness.models.recipe import Recipe
from harness.train.autoaugment import autoaugment
from harness.train.checkpoint import Epoch
from harness.train.loop import Images, accuracy_of, train
from harness.train.optimizer import learning_rate


def recipe(**changes: Any) -> Recipe:
    plain = {"epochs": 2, "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0, "warmup": 0.0, "batch_size": 1000}
    return Recipe.model_validate({**plain, **changes})


def images(count: int = 40, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 3)


def network(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


# --- the schedule -----------------------------------------------------------------------------------------------

STEPS = 100


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step"])
def test_the_rate_rises_in_equal_steps_to_its_peak_at_the_end_of_the_warm_up(schedule: str) -> None:
    rates = [learning_rate(step, STEPS, recipe(schedule=schedule, warmup=0.2, learning_rate=2.1)) for step in range(21)]
    # (k + 1) / 21 of the peak in step k of the 20 steps of warm-up.
    assert rates == pytest.approx([2.1 * (step + 1) / 21 for step in range(20)] + [2.1])


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("one-cycle", 20, 1.0), ("one-cycle", 60, 0.5), ("one-cycle", 80, 0.25),
        ("cosine", 20, 1.0), ("cosine", 60, 0.5), ("cosine", 40, (1 + math.cos(math.pi / 4)) / 2),
        ("step", 49, 1.0), ("step", 50, 0.1), ("step", 74, 0.1), ("step", 75, 0.01), ("step", 99, 0.01),
    ],
)  # fmt: skip
def test_the_rate_falls_as_the_schedule_says(schedule: str, step: int, expected: float) -> None:
    rate = learning_rate(step, STEPS, recipe(schedule=schedule, warmup=0.2, learning_rate=1.0))
    assert rate == pytest.approx(expected)


def test_without_a_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate(0, STEPS, recipe(warmup=0.0, learning_rate=0.3)) == 0.3


# --- a step -----------------------------------------------------------------------------------------------------


def test_a_step_goes_down_the_gradient_of_the_mean_loss_and_decays_weights_but_not_biases() -> None:
    data, rate, decay = images(), 0.5, 0.01
    layer = nn.Linear(36, 3)
    linear = nn.Sequential(nn.Flatten(), layer)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    loss = nn.functional.cross_entropy(linear(data.pixels.float() / 255), data.labels)
    gradient_of_weight, gradient_of_bias = torch.autograd.grad(loss, [layer.weight, layer.bias])
    history = train(linear, recipe(epochs=1, learning_rate=rate, weight_decay=decay), data, data, seed=0)
    torch.testing.assert_close(layer.weight.detach(), weight - rate * (gradient_of_weight + decay * weight))
    torch.testing.assert_close(layer.bias.detach(), bias - rate * gradient_of_bias)
    assert history[0].loss == pytest.approx(loss.item(), rel=1e-5)


def test_a_clipped_gradient_has_the_length_of_the_clip() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    before = [parameter.detach().clone() for parameter in linear.parameters()]
    train(linear, recipe(epochs=1, learning_rate=1.0, gradient_clip=1e-3), images(), images(), seed=0)
    moved = [parameter.detach() - old for parameter, old in zip(linear.parameters(), before, strict=True)]
    assert torch.cat([part.flatten() for part in moved]).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_accuracy_is_measured_in_eval_mode_on_every_image_once() -> None:
    class First(nn.Module):
        """Says class 0 in eval mode, class 1 while training."""

        def forward(self, pixels: Tensor) -> Tensor:
            return torch.eye(3)[int(self.training)].expand(len(pixels), 3)

    labels = torch.tensor([0] * 6 + [1] * 4)
    assert accuracy_of(First().train(), Images(torch.zeros(10, 1, 2, 2), labels), batch_size=3) == 0.6


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    orders: list[list[float]] = []
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    net.register_forward_pre_hook(lambda module, inputs: orders.append(inputs[0].flatten(1).sum(1).tolist()))
    data = Images(
        torch.arange(40, dtype=torch.float32).view(40, 1, 1, 1).expand(40, 1, 6, 6) / 40, torch.arange(40) % 3
    )
    train(net, recipe(epochs=2), data, Images(data.pixels[:1], data.labels[:1]), seed=0)
    first, _, second, _ = orders  # each followed by the test image
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 40
    assert first != second


# --- going on ---------------------------------------------------------------------------------------------------

LONG = {
    "epochs": 4, "momentum": 0.9, "weight_decay": 5e-4, "warmup": 0.3, "batch_size": 16, "crop": 1, "flip": True,
}  # fmt: skip


class Kill:
    """Stops a training in the second of the three steps of an epoch."""

    def __init__(self, finished: int) -> None:
        self.steps_left = finished * 3 + 1

    def __call__(self, images_of_step: int) -> None:
        self.steps_left -= 1
        if self.steps_left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("finished", [1, 3])
def test_a_training_that_was_killed_ends_with_the_same_weights_bit_for_bit(finished: int, tmp_path: Path) -> None:
    whole = network()
    expected = train(whole, recipe(**LONG), images(), images(seed=1), seed=3)

    checkpoint = tmp_path / "checkpoint.pt"
    stopped = network()
    with pytest.raises(KeyboardInterrupt):
        train(
            stopped, recipe(**LONG), images(), images(seed=1), seed=3, checkpoint=checkpoint, after_step=Kill(finished)
        )
    resumed, computed = network(seed=99), list[Epoch]()
    history = train(
        resumed,
        recipe(**LONG),
        images(),
        images(seed=1),
        seed=3,
        checkpoint=checkpoint,
        after_epoch=lambda epoch, network: computed.append(epoch),
    )
    assert [epoch.epoch for epoch in computed] == list(range(finished + 1, 5))
    assert [epoch[:4] for epoch in history] == [epoch[:4] for epoch in expected]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_another_seed_trains_other_weights() -> None:
    one, other = network(), network()
    train(one, recipe(**LONG), images(), images(), seed=0)
    train(other, recipe(**LONG), images(), images(), seed=1)
    assert not torch.equal(one.state_dict()["0.weight"], other.state_dict()["0.weight"])


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    train(network(), recipe(**LONG), images(), images(), seed=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_checkpoint_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(HarnessError, match=r"checkpoint\.pt cannot be used: it is damaged, or .*\n +delete it"):
        train(network(), recipe(), images(), images(), seed=0, checkpoint=tmp_path / "checkpoint.pt")


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    train(network(), recipe(), images(), images(), seed=0, checkpoint=tmp_path / "checkpoint.pt")
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    with pytest.raises(HarnessError, match="it is that of another training.\n +delete it to train from the beginning"):
        train(other, recipe(), images(), images(), seed=0, checkpoint=tmp_path / "checkpoint.pt")


def test_a_loss_that_is_not_finite_says_what_to_lower() -> None:
    deep = nn.Sequential(nn.Flatten(), *(nn.Linear(36, 36) for _ in range(4)), nn.Linear(36, 3))
    with pytest.raises(
        HarnessError, match=r"training diverged in epoch \d: .*\n +lower recipe.learning_rate \(1e\+06\)"
    ):
        train(deep, recipe(learning_rate=1e6, epochs=8, batch_size=4), images(), images(), seed=0)


def test_a_last_step_that_leaves_weights_that_are_not_finite_is_no_end(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(HarnessError, match="training diverged in epoch 1: a weight is not finite"):
        train(network(), recipe(epochs=1, learning_rate=math.inf), images(), images(), seed=0, checkpoint=checkpoint)
    assert not checkpoint.exists()


@pytest.mark.parametrize("seed", [20240101123456, 2**63 - 1, -1])
def test_every_seed_of_64_bits_can_be_used(seed: int) -> None:
    asked = recipe(epochs=1, crop=1, adversarial={"epsilon": 0.1, "steps": 1})
    train(network(), asked, images(), images(), seed=seed)


# --- averages, snapshots, optimizers -----------------------------------------------------------------------------


def test_the_average_is_the_moving_one_of_the_weights_after_every_step() -> None:
    decay, states = 0.75, list[Tensor]()
    recipes = {"epochs": 2, "batch_size": 20, "learning_rate": 0.2}
    plain = network()
    plain.register_forward_pre_hook(
        lambda module, inputs: (
            states.append(plain.get_parameter("4.weight").detach().clone()) if plain.training else None
        )
    )
    train(plain, recipe(**recipes), images(), images(), seed=0)
    states.append(plain.get_parameter("4.weight").detach().clone())
    averaged = network()
    train(averaged, recipe(**recipes, average=decay), images(), images(), seed=0)
    # The first update copies the weights.
    expected = states[1]
    for weights in states[2:]:
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(averaged.get_parameter("4.weight").detach(), expected)


def test_a_killed_training_goes_on_with_its_average(tmp_path: Path) -> None:
    asked = recipe(**{**LONG, "average": 0.9, "autoaugment": True})
    colour = Images(images().pixels.expand(-1, 3, -1, -1).contiguous(), images().labels)

    def net() -> nn.Sequential:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))

    whole, stopped, resumed = net(), net(), net()
    train(whole, asked, colour, colour, seed=3)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, asked, colour, colour, seed=3, checkpoint=tmp_path / "checkpoint.pt", after_step=Kill(2))
    train(resumed, asked, colour, colour, seed=3, checkpoint=tmp_path / "checkpoint.pt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adagrad"])
def test_every_optimizer_learns(optimizer: str) -> None:
    asked = recipe(epochs=30, optimizer=optimizer, learning_rate=0.02, momentum=0.9, batch_size=20)
    history = train(network(), asked, images(), images(), seed=0)
    assert history[-1].loss < 0.7 * history[0].loss


def test_the_step_schedule_divides_by_ten_at_its_milestones() -> None:
    asked = recipe(epochs=10, schedule="step", milestones=[2, 9], learning_rate=1.0, warmup=0.0)
    rates = [learning_rate(step, 100, asked) for step in (0, 19, 20, 89, 90)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_weights_and_biases_decay_where_all_is_asked_for() -> None:
    moved = []
    for decay in ("matrices", "all"):
        net = network()
        with torch.no_grad():
            net.get_parameter("1.weight").fill_(3.0)
        train(net, recipe(epochs=1, learning_rate=0.1, weight_decay=0.5, decay=decay), images(), images(), seed=0)
        moved.append(net.get_parameter("1.weight").detach().clone())
    torch.testing.assert_close(moved[0] - moved[1], torch.full((4,), 0.1 * 0.5 * 3.0))


def test_autoaugment_draws_from_the_given_generator_alone() -> None:
    pixels = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = (autoaugment(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == pixels.shape
    assert first.dtype == torch.uint8


def test_parameters_of_one_number_learn_at_a_tenth_of_the_rate() -> None:
    class Scaled(nn.Module):
        """Logits with one number in front and a vector behind."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.shift = nn.Parameter(torch.zeros(3))

        def forward(self, pixels: Tensor) -> Tensor:
            return self.scale * pixels.flatten(1)[:, :3] + self.shift

    net, data = Scaled(), images()
    loss = nn.functional.cross_entropy(net(data.pixels.float() / 255), data.labels)
    scale, shift = torch.autograd.grad(loss, [net.scale, net.shift])
    train(net, recipe(epochs=1, learning_rate=0.5), data, data, seed=0)
    torch.testing.assert_close(net.scale.detach(), 1 - 0.05 * scale)
    torch.testing.assert_close(net.shift.detach(), -0.5 * shift)


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"crop": 6}, "6x6 pixels cannot be padded by 6"), ({"autoaugment": True}, "works on colour images of bytes")],
)
def test_an_augmentation_that_the_images_do_not_allow_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        train(network(), recipe(**keys), images(), images(), seed=0)
