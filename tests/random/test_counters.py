"""The counter-based generator that a GPU uses; everything here runs on the CPU."""

import numpy as np
import pytest
import torch

from gan_env.data.datasets import DISTRIBUTIONS, ArrayData, PlaneData
from gan_env.random.counters import Draws, philox
from gan_env.random.streams import BlockStream, Purpose


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # known answers published with the generator (Random123, kat_vectors, philox4x32 10)
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_its_published_answers(counter, key, expected):
    words = philox(tuple(torch.tensor([c]) for c in counter), tuple(torch.tensor([k]) for k in key))
    assert tuple(int(w) for w in words) == expected


def draws(rows=4, number=3):
    keys = torch.tensor([[11 * r + 1, 7 * r + 2] for r in range(rows)])
    return Draws(keys, torch.full((rows,), number))


def test_normals_are_normal_and_uniforms_uniform():
    normal, uniform = draws().normal(50_000).double(), draws().uniform(50_000).double()
    assert normal.mean().abs() < 0.01 and (normal.std() - 1).abs() < 0.01
    assert (normal.abs() > 1.959964).double().mean().item() == pytest.approx(0.05, abs=0.003)
    assert 0 <= uniform.min() and uniform.max() < 1
    assert (uniform.mean() - 0.5).abs() < 0.005 and (uniform.var() - 1 / 12).abs() < 0.002
    assert torch.corrcoef(normal).fill_diagonal_(0).abs().max() < 0.02


def test_a_row_draws_the_same_whoever_stands_beside_it():
    alone = Draws(torch.tensor([[12, 9]]), torch.tensor([3])).normal(8, 5)
    assert torch.equal(draws().normal(8, 5)[1], alone[0])
    assert not torch.equal(draws(number=4).normal(8, 5)[1], alone[0])
    twice = draws()
    assert not torch.equal(twice.normal(8, 5), twice.normal(8, 5))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_points_drawn_from_counters_have_the_distribution_of_those_drawn_on_the_cpu(name):
    data = PlaneData(DISTRIBUTIONS[name]())
    counted = data.device_codes(draws(2), 2_000).flatten(0, 2).double()
    keyed = torch.from_numpy(np.stack([data.codes(np.random.default_rng(i), 2_000) for i in range(2)])).flatten(0, 2)
    torch.testing.assert_close(counted.mean(0), keyed.double().mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(counted.T.cov(), keyed.double().T.cov(), atol=0.005, rtol=0)


def test_an_epoch_drawn_from_counters_visits_each_sample_at_most_once():
    data = ArrayData(torch.rand(103, 2), torch.rand(5, 2), torch.rand(5, 2))
    for epoch in data.device_codes(draws(3), 10):
        assert epoch.shape == (10, 10) and len(epoch.unique()) == 100


@pytest.mark.gpu
def test_a_stream_on_a_gpu_gives_the_bits_that_its_counters_give_on_the_cpu():
    stream = BlockStream(3, 4, Purpose.LATENTS, [lambda g: g.random(1)], [lambda d: d.uniform(4, 6)], "cuda")
    seed, zero = np.arange(3), np.zeros(3, np.int64)
    first = stream.at(slice(0, 3), np.array([0, 5, 9]), seed, zero).cpu()
    again = stream.at(slice(1, 2), np.array([5]), seed[1:2], zero[1:2]).cpu()
    assert torch.equal(first[1], again[0])
