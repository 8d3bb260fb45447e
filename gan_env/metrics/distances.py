"""Distances between generated and real samples, and coverage of modes and classes. All are deterministic.

Lower is better for every distance. Functions that take N rows at once compute each row independently.
"""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gan_env.native import transport


def require_finite(samples: Tensor, what: str = "generated samples") -> None:
    """Raises ValueError, with the count, if any value is NaN or infinite."""
    bad = int((~torch.isfinite(samples)).sum())
    if bad:
        raise ValueError(f"{what}: {bad} of {samples.numel()} values are NaN or infinite; no distance is defined")


def wasserstein1(real: Float[Tensor, "M X"], fake: Float[Tensor, "K X"]) -> float:
    """Computes the exact 1-Wasserstein distance of two equally large sets of points, in data units.

    This is the mean Euclidean length of the cheapest one-to-one matching. The compiled solver takes 0.1 to 0.3 s for
    2,000 points; if it was not compiled, POT's network simplex takes 0.2 to 3 s. Both are exact: they agree to 1e-9,
    and to the bit if the cheapest matching is unique.

    Raises:
        ValueError: If the sets differ in size, are empty, or hold NaN or infinity.
        OverflowError: If squared lengths are too large for float64.
    """
    if real.shape != fake.shape:
        raise ValueError(f"exact W1 needs equally many points, got {tuple(real.shape)} real, {tuple(fake.shape)} fake")
    if not len(real):
        raise ValueError("exact W1 needs at least one point, got none")
    require_finite(real, "real points")
    require_finite(fake)
    x, y = (points.detach().to("cpu", torch.float64).numpy() for points in (real, fake))
    with np.errstate(over="ignore"):
        norm = float(max(np.square(x).sum(axis=1).max(), np.square(y).sum(axis=1).max()))
    if not math.isfinite(4 * norm):
        raise OverflowError("exact W1: the points are so far from zero that squared lengths overflow float64")
    if (along := positions_on_line(np.concatenate([x, y]))) is not None:
        return float(np.abs(np.sort(along[: len(x)]) - np.sort(along[len(x) :])).mean())
    lengths = cheapest_lengths(euclidean_costs(x, y))
    # Rounding in the product formula moves the square of each length by at most `error`. That matters where lengths are
    # tiny beside the points' distance from zero; the slower formula by differences is exact there.
    error = (2 * x.shape[1] + 4) * np.finfo(np.float64).eps * norm
    if (error / np.maximum(lengths, math.sqrt(error))).sum() > 1e-8 * lengths.sum():
        from scipy.spatial.distance import cdist  # here, for what a controller in a user's own loop does without

        lengths = cheapest_lengths(cdist(x, y))
    # Added one by one from the last row, each divided first, as POT does.
    return float(np.cumsum((lengths * (1 / len(lengths)))[::-1])[-1])


def positions_on_line(points: Float64[np.ndarray, "M X"]) -> Float64[np.ndarray, " M"] | None:
    """Returns positions along the straight line on which all points lie exactly; None if there is no such line.

    On a line, matching in order is cheapest; a general solver is slow because many matchings are equally cheap.
    """
    offset = points - points[0]
    far = offset[np.square(offset).sum(axis=1).argmax()]
    axis = np.abs(far).argmax()
    if far[axis] == 0:
        return np.zeros(len(points))
    if not np.array_equal(offset * far[axis], offset[:, [axis]] * far):
        return None
    return offset[:, axis] * (math.sqrt(np.square(far / far[axis]).sum()))


def euclidean_costs(x: Float64[np.ndarray, "M X"], y: Float64[np.ndarray, "K X"]) -> Float64[np.ndarray, "M K"]:
    """Computes Euclidean distances of all pairs by the product formula: equal to `ot.dist` to the bit, without POT.

    Fast, but distances much smaller than the points' norms are lost in rounding.
    """
    squares = -2 * (x @ y.T)
    squares += np.einsum("ij,ij->i", x, x)[:, None]
    squares += np.einsum("ij,ij->i", y, y)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def cheapest_lengths(cost: Float64[np.ndarray, "M M"]) -> Float64[np.ndarray, " M"]:
    """Returns the length of each row's match in the one-to-one matching of least total length.

    Raises:
        RuntimeError: If the solver's dual potentials do not certify the total to 1e-9, or POT did not converge.
    """
    solve = transport.solver()
    if solve is None:
        return _network_simplex(cost)
    found = solve(cost)
    lengths = cost[np.arange(len(cost)), found.columns]
    total = math.fsum(lengths)
    gap = total - math.fsum(found.row_potentials) - math.fsum(found.column_potentials)
    if gap > 1e-9 * total + 1e-13 * len(cost) * float(cost.max()):
        raise RuntimeError(f"exact W1 of {len(cost)} points is not certified: duality gap {gap} of {total}")
    return lengths


def _network_simplex(cost: Float64[np.ndarray, "M M"]) -> Float64[np.ndarray, " M"]:
    state = random.getstate()
    import ot  # imports every array library that it finds: seconds, and one of these draws from Python's generator

    random.setstate(state)
    weights = np.full(len(cost), 1 / len(cost))
    # The default limit of 100,000 pivots can be too low for some thousand points; then POT only warns.
    plan, log = ot.emd(weights, weights, cost, numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"exact W1 of {len(cost)} points did not converge: {log['warning']}")
    return cost[np.arange(len(cost)), plan.argmax(axis=1)]


def directions(count: int) -> Float64[Tensor, "K 2"]:
    """Returns unit vectors evenly spaced over half a turn; the other half would repeat them."""
    angle = torch.arange(count, dtype=torch.float64) * (math.pi / count)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def sorted_projections(points: Float[Tensor, "*N M 2"], count: int) -> Float[Tensor, "*N K M"]:
    """Projects points on `count` directions and sorts each projection in ascending order."""
    along = (points.detach() @ directions(count).to(points).T).mT
    if along.device.type == "cpu":  # NumPy's vectorised sort: about ten times as fast as torch.sort, the same values
        return torch.from_numpy(np.sort(along.contiguous().numpy(), axis=-1))
    return along.sort(dim=-1).values


def sliced_wasserstein1(real: Float[Tensor, "K M"], fake: Float[Tensor, "*N M 2"]) -> Float64[Tensor, "*N"]:
    """Computes the mean over K directions of the W1 between projections, for sets of plane points; in data units.

    At most the exact W1, and 2/pi = 0.64 of it if one set is a translation of the other.

    Args:
        real: Sorted projections of the real points, from `sorted_projections`.
        fake: Points; NaN gives a distance of NaN, for that set only.

    Source: Bonneel et al. 2015, Sliced and Radon Wasserstein Barycenters of Measures, with fixed directions.
    """
    ours = sorted_projections(fake, real.shape[0])
    return (ours - real.to(ours)).abs().mean(dim=-1, dtype=torch.float64).mean(dim=-1)


def good_samples(
    points: Float[Tensor, "M 2"], centres: Float[Tensor, "K 2"], std: float, *, within: float = 3.0
) -> Bool[Tensor, "M K"]:
    """Returns whether each point lies within `within` standard deviations of each centre; 0.989 of real points do at 3.

    Source: Srivastava et al. 2017, VEEGAN, arXiv:1705.07761, section 4 ("high quality samples").
    """
    return torch.cdist(points.double(), centres.double()) <= within * std


def mode_coverage(
    points: Float[Tensor, "M 2"], centres: Float[Tensor, "K 2"], std: float, *, least_share: float = 0.1
) -> tuple[int, float]:
    """Counts the modes that are hit, and returns it with the share of good points.

    A point is good if it lies within 3 standard deviations of a centre. A mode is hit if it holds at least
    `least_share` of its fair share M / K of good points, so that a stray point hits nothing.

    Raises:
        ValueError: If a point is NaN or infinite.
    """
    require_finite(points)
    good = good_samples(points, centres, std)
    hit = good.sum(dim=0) >= least_share * len(points) / len(centres)
    return int(hit.sum()), float(good.any(dim=1).double().mean())


def moments(features: Float[Tensor, "*N M F"]) -> tuple[Float64[Tensor, "*N F"], Float64[Tensor, "*N F F"]]:
    """Computes mean and unbiased covariance over the M samples, in float64."""
    features = features.double()
    mean = features.mean(dim=-2)
    centred = features - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / (features.shape[-2] - 1)


def _square_root(matrix: Float64[Tensor, "*N F F"]) -> Float64[Tensor, "*N F F"]:
    """Computes the symmetric square root of a covariance; eigenvalues below zero from rounding count as zero."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT


def frechet_distance(
    real_mean: Float64[Tensor, " F"],
    real_cov: Float64[Tensor, "F F"],
    fake_mean: Float64[Tensor, "*N F"],
    fake_cov: Float64[Tensor, "*N F F"],
) -> Float64[Tensor, "*N"]:
    """Computes squared Frechet distances |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of Gaussians to one reference.

    S1 S2 has the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric, so no general matrix root is needed.
    Non-finite moments give NaN, for that row only.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6.
    """
    finite = torch.isfinite(fake_mean).all(dim=-1) & torch.isfinite(fake_cov).flatten(-2).all(dim=-1)
    # The eigenvalue routine raises for the whole batch if one matrix holds NaN.
    fake_cov = torch.where(finite[..., None, None], fake_cov, 0.0)
    root = _square_root(real_cov)
    values = torch.linalg.eigvalsh(root @ fake_cov @ root)
    spread = _trace(real_cov) + _trace(fake_cov) - 2 * values.clamp(min=0).sqrt().sum(dim=-1)
    distance = (fake_mean - real_mean).square().sum(dim=-1) + spread.clamp(min=0)
    return torch.where(finite, distance, torch.nan)


def _trace(matrix: Float64[Tensor, "*N F F"]) -> Float64[Tensor, "*N"]:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def kernel_distance(real: Float[Tensor, "M F"], fake: Float[Tensor, "K F"]) -> float:
    """Computes the unbiased squared maximum mean discrepancy with kernel (x.y / F + 1)^3; about 0 or below if alike.

    Uses all pairs instead of random subsets, so that it is deterministic.

    Source: Binkowski et al. 2018, arXiv:1801.01401, section 4 (KID, there averaged over random subsets).
    """
    x, y = real.detach().double(), fake.detach().double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def apart(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(apart(x) + apart(y) - 2 * kernel(x, y).mean())


def class_coverage(
    labels: Int64[Tensor, " M"], reference: Int64[Tensor, " R"], classes: int, *, least_share: float = 0.01
) -> tuple[int, float]:
    """Counts the classes that are hit; returns it with the total variation distance of class shares to the reference's.

    Args:
        labels: Classes of the generated samples.
        reference: Classes of real samples.
        classes: Number of classes.
        least_share: A class is hit if at least this share of the samples belongs to it: for ten equal classes a tenth
            of its fair share, so that one or two misclassified samples do not count.
    """
    ours, theirs = (torch.bincount(x, minlength=classes).double() / len(x) for x in (labels, reference))
    return int((ours >= least_share).sum()), float((ours - theirs).abs().sum() / 2)
