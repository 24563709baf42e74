"""The random changes of Square, against loops over samples that follow the papers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from torch import Tensor

from harness.attacks.squares import L1Squares, L2Squares, LinfSquares, peak, peaks, pyramid, squares_of
from harness.attacks.windows import Windows, sides_of
from harness.core.balls import ball_of
from harness.core.l1 import L1Ball
from harness.core.randomness import Draws
from harness.core.threat import Norm, ThreatModel

Array = npt.NDArray[np.float64]

EPSILONS: dict[Norm, float] = {"linf": 8 / 255, "l2": 0.5, "l1": 4.0}
SHAPES = [(3, 16, 16), (1, 12, 20), (1, 20, 12), (3, 32, 32), (1, 2, 3), (2, 1, 1), (3, 7, 9)]


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def draws(count: int, step: int = 1) -> Draws:
    return Draws(0, torch.arange(count), torch.full((count,), step))


def mixed_levels(count: int) -> Tensor:
    return torch.arange(count) % 10


def test_windows_of_images_of_32_pixels_have_the_sides_of_the_paper() -> None:
    assert sides_of(0.8, 32, 32, smallest=1, odd=False) == (29, 20, 14, 10, 7, 5, 4, 3, 2, 1)
    assert sides_of(0.8, 32, 32, smallest=3, odd=True) == (29, 21, 15, 11, 7, 5, 5, 3, 3, 3)
    assert sides_of(0.05, 224, 224, smallest=1, odd=False)[:3] == (50, 35, 25)


def test_windows_fit_into_images_that_are_not_square_or_tiny() -> None:
    assert sides_of(0.8, 12, 20, smallest=1, odd=False)[:3] == (12, 10, 7)
    assert sides_of(1.0, 2, 3, smallest=3, odd=True) == (2,) * 10


def test_pyramids_sum_nested_rectangles_around_the_centre() -> None:
    torch.testing.assert_close(
        pyramid(3, 3, order=2), torch.tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=torch.float64) / 4
    )
    torch.testing.assert_close(
        pyramid(3, 3, order=1), torch.tensor([[1, 1, 1], [1, 17, 1], [1, 1, 1]], dtype=torch.float64) / 16
    )
    first, second, third = 1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9
    expected = [[third, second, second, second], [third, second, first, second]]
    torch.testing.assert_close(pyramid(2, 4, order=2), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("side", [2, 3, 5, 6, 29])
def test_a_peak_and_its_pit_share_a_length_of_one(side: int, order: int) -> None:
    pattern = peak(side, order)
    upper, lower = pattern[: side // 2], pattern[side // 2 :]
    assert (upper > 0).all()
    assert (lower < 0).all()
    shares = [half.abs().pow(order).sum().item() for half in (upper, lower)]
    assert shares == pytest.approx([0.5, 0.5])


def test_a_peak_of_one_pixel_is_a_pit() -> None:
    assert peak(1, 2).tolist() == [[-1.0]]


def test_every_side_has_its_pattern_and_the_transpose() -> None:
    table = peaks((5, 3), 2, torch.device("cpu"))
    assert table.shape == (4, 5, 5)
    assert torch.equal(table[1], table[0].T)
    torch.testing.assert_close(table[2, :3, :3], peak(3, 2).float())
    assert table[2:, 3:].abs().sum() == 0


def test_windows_lie_everywhere_equally_often() -> None:
    windows = Windows.at(uniform(0, 6000, 2), torch.tensor([3, 2, 5] * 2000), 6, 8)
    for start, side in ((0, 3), (1, 2), (2, 5)):
        canvas = torch.zeros(6000, 1, 6, 8)
        windows.write(canvas, torch.ones(()))
        mine = canvas[start::3, 0]
        assert (mine.sum((1, 2)) == side**2).all()
        corners = mine.flatten(1).argmax(1)
        counts = corners.bincount(minlength=48).view(6, 8)
        assert counts[: 7 - side, : 9 - side].sum() == 2000
        assert stats.chisquare(counts[: 7 - side, : 9 - side].flatten().numpy()).pvalue > 0.001


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", EPSILONS)
@pytest.mark.parametrize("colour", [0.0, 1.0, 0.5, None])
def test_first_points_and_proposals_keep_to_the_budget_and_to_the_range(
    norm: Norm, shape: tuple[int, ...], colour: float | None
) -> None:
    images = uniform(1, 10, *shape) if colour is None else torch.full((10, *shape), colour)
    threat = ThreatModel(norm, EPSILONS[norm])
    squares, ball = squares_of(threat, 0.8), ball_of(threat)
    points = squares.start(images, draws(10, 0))
    for step in range(1, 13):
        assert points.isfinite().all()
        assert points.min() >= 0
        assert points.max() <= 1
        assert ball.distance(images, points).max() <= ball.epsilon * (1 + 1e-6) + 2**-24
        points = squares.propose(images, points, (mixed_levels(10) + step) % 10, draws(10, step))
        assert (points != images).any()


@pytest.mark.parametrize("norm", EPSILONS)
def test_proposals_leave_the_points_alone(norm: Norm) -> None:
    images = uniform(2, 4, 3, 16, 16)
    squares = squares_of(ThreatModel(norm, EPSILONS[norm]), 0.8)
    points = squares.start(images, draws(4, 0))
    copies = images.clone(), points.clone()
    squares.propose(images, points, mixed_levels(4), draws(4))
    assert torch.equal(images, copies[0])
    assert torch.equal(points, copies[1])


@pytest.mark.parametrize("norm", EPSILONS)
def test_a_proposal_does_not_depend_on_the_other_samples(norm: Norm) -> None:
    images, levels = uniform(3, 10, 3, 16, 16), mixed_levels(10)
    squares = squares_of(ThreatModel(norm, EPSILONS[norm]), 0.8)
    points = squares.start(images, draws(10, 0))
    whole = squares.propose(images, points, levels, draws(10))
    for row in range(10):
        one = torch.tensor([row])
        alone = squares.propose(images[one], points[one], levels[one], draws(10).select(one))
        torch.testing.assert_close(alone, whole[one], rtol=0, atol=1e-7)


def test_the_first_linf_points_are_vertical_stripes_of_both_signs() -> None:
    points = LinfSquares(0.1, 0.8).start(torch.full((50, 3, 8, 8), 0.5), draws(50, 0))
    changes = points - 0.5
    assert (changes == changes[:, :, :1]).all()
    torch.testing.assert_close(changes.abs(), torch.full_like(changes, 0.1))
    assert stats.binomtest(int((changes[:, :, 0] > 0).sum()), 50 * 3 * 8).pvalue > 0.01


def test_an_linf_proposal_puts_one_square_of_one_colour_at_the_edge_of_the_budget() -> None:
    images, levels = uniform(4, 20, 3, 32, 32), mixed_levels(20)
    proposals = LinfSquares(0.1, 0.8).propose(images, images, levels, draws(20))
    seen = set()
    for image, proposal, level in zip(images, proposals, levels.tolist(), strict=True):
        side = (29, 20, 14, 10, 7, 5, 4, 3, 2, 1)[level]
        rows, columns = (proposal != image).any(0).nonzero().T
        top, left = int(rows.min()), int(columns.min())
        assert (int(rows.max()) - top + 1, int(columns.max()) - left + 1) == (side, side)
        part = (slice(None), slice(top, top + side), slice(left, left + side))
        colours = (proposal - image)[part].flatten(1).sum(1).sign()
        expected = image.clone()
        expected[part] = (image[part] + 0.1 * colours[:, None, None]).clamp(0, 1)
        torch.testing.assert_close(proposal, expected)
        seen.add(tuple(colours.tolist()))
    assert len(seen) > 3


def test_the_first_l2_points_are_five_by_five_tiles_of_the_whole_budget() -> None:
    images = torch.full((4, 3, 32, 32), 0.5)
    changes = (L2Squares(0.5, 0.8).start(images, draws(4, 0)) - 0.5).double()
    torch.testing.assert_close(changes.flatten(1).norm(dim=1), torch.full((4,), 0.5, dtype=torch.float64))
    assert changes[..., [0, -1]].abs().sum() == 0
    tiles = changes[:, :, 1:-1, 1:-1].reshape(4, 3, 5, 6, 5, 6).transpose(3, 4).flatten(0, 3) * math.sqrt(3 * 25) / 0.5
    patterns = torch.stack([end * turned for turned in (peak(6, 2), peak(6, 2).T) for end in (1, -1)])
    distances = (tiles[:, None] - patterns).flatten(2).norm(dim=2)
    assert distances.amin(1).max() < 1e-5
    assert set(distances.argmin(1).tolist()) == {0, 1, 2, 3}


def reference(image: Array, point: Array, side: int, chances: Array, epsilon: float, order: int) -> Array:
    """Algorithm 3 of Andriushchenko et al. (2020) for one sample, and its change in the code of Croce & Hein (2021)."""
    channels, height, width = image.shape
    top, left, other_top, other_left = (
        int(chance * (extent - side + 1)) for chance, extent in zip(chances[:4], (height, width) * 2, strict=True)
    )
    window = (slice(top, top + side), slice(left, left + side))
    other = (slice(other_top, other_top + side), slice(other_left, other_left + side))
    pattern = peak(side, order).numpy()
    if chances[4] < 0.5:
        pattern = pattern.T
    either = np.zeros((height, width), dtype=bool)
    either[window] = either[other] = True
    change = point - image
    left_over = max(epsilon**order - (np.abs(change) ** order).sum(), 0) / channels
    result = change.copy()
    result[:, other[0], other[1]] = 0
    for channel in range(channels):
        old = change[channel][window]
        sign = -1 if chances[5 + channel] < 0.5 else 1
        new = sign * pattern + old / max(np.linalg.norm(old.ravel(), order), 1e-12)
        budget = (left_over + (np.abs(change[channel][either]) ** order).sum()) ** (1 / order)
        new *= budget * (channels if order == 1 else 1) / max(np.linalg.norm(new.ravel(), order), 1e-12)
        result[channel][window] = new
    if order == 1:
        new_image, new_point = (torch.from_numpy(part)[None].float() for part in (image, image + result))
        return np.asarray(L1Ball(epsilon).project(new_image, new_point)[0].double())
    return np.clip(image + epsilon * result / np.linalg.norm(result), 0, 1)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 12, 20), (2, 9, 7)])
@pytest.mark.parametrize("kind", [L2Squares, L1Squares])
def test_l2_and_l1_proposals_are_those_of_a_loop_over_samples(
    kind: type[L2Squares] | type[L1Squares], shape: tuple[int, int, int]
) -> None:
    images, levels = uniform(5, 20, *shape), mixed_levels(20)
    squares = kind(0.5 if kind is L2Squares else 4.0, 0.8)
    sides = sides_of(0.8, *shape[1:], smallest=3, odd=True)
    points = squares.start(images, draws(20, 0))
    for step in range(1, 4):
        chances = draws(20, step).uniform("square", shape[0] + 5)
        proposals = squares.propose(images, points, levels, draws(20, step))
        for row in range(20):
            image, point, numbers = (part[row].double().numpy() for part in (images, points, chances))
            expected = reference(image, point, sides[levels[row]], numbers, squares.epsilon, squares.order)
            torch.testing.assert_close(proposals[row].double(), torch.from_numpy(expected), rtol=0, atol=2e-6)
        points = proposals


def test_l2_proposals_spend_the_whole_budget_where_the_range_is_not_reached() -> None:
    images, levels = torch.full((10, 3, 16, 16), 0.5), mixed_levels(10)
    squares = L2Squares(0.5, 0.8)
    points = squares.start(images, draws(10, 0))
    for step in range(1, 20):
        points = squares.propose(images, points, levels, draws(10, step))
        lengths = (points - images).double().flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full((10,), 0.5, dtype=torch.float64), rtol=1e-5, atol=0)


def test_l1_proposals_change_few_pixels() -> None:
    images, levels = uniform(6, 10, 3, 32, 32), mixed_levels(10)
    squares = L1Squares(4.0, 0.8)
    points = squares.start(images, draws(10, 0))
    for step in range(1, 20):
        points = squares.propose(images, points, levels, draws(10, step))
    assert (points != images).double().mean() < 0.1
