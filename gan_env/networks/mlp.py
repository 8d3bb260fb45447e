"""Players as plain `torch.nn.Module`s, with PyTorch's default initialisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

# The batched engine recognises an nn.Sequential of [Flatten], Linear, ReLU | LeakyReLU | Tanh, [Unflatten] and runs N
# of them as one multiplication a layer; any other module takes a slower path. Hence nothing else in here.


def mlp(
    sizes: Sequence[int], hidden_activation: Callable[[], nn.Module], output: Callable[[], nn.Module] | None = None
) -> nn.Sequential:
    """Builds linear layers from `sizes[0]` inputs to `sizes[-1]` outputs with activations between them.

    Args:
        sizes: Inputs, widths of the hidden layers, outputs; at least two numbers.
        hidden_activation: Builds the activation after every layer but the last.
        output: Builds the activation after the last layer; None leaves the output linear.

    Raises:
        ValueError: If `sizes` has fewer than two numbers.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes={tuple(sizes)} must name at least the inputs and the outputs")
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(hidden_activation())
    if output is not None:
        layers.append(output())
    return nn.Sequential(*layers)


def mlp_generator(sizes: Sequence[int], shape: tuple[int, ...], *, bounded: bool = False) -> nn.Sequential:
    """Builds a ReLU MLP from latents (B, sizes[0]) to samples (B, *shape); `bounded` adds a tanh, for [-1, 1].

    Examples:
        >>> import torch
        >>> mlp_generator((16, 128, 784), (1, 28, 28), bounded=True)(torch.zeros(3, 16)).shape
        torch.Size([3, 1, 28, 28])
    """
    net = mlp(sizes, nn.ReLU, nn.Tanh if bounded else None)
    if len(shape) > 1:
        net.append(nn.Unflatten(1, shape))
    return net


def mlp_discriminator(sizes: Sequence[int], shape: tuple[int, ...], *, slope: float = 0.2) -> nn.Sequential:
    """Builds a LeakyReLU MLP from samples (B, *shape) to logits (B, sizes[-1]); `slope` is the negative slope.

    Examples:
        >>> import torch
        >>> mlp_discriminator((784, 128, 1), (1, 28, 28))(torch.zeros(3, 1, 28, 28)).shape
        torch.Size([3, 1])
    """
    net = mlp(sizes, partial(nn.LeakyReLU, slope))
    if len(shape) > 1:
        net.insert(0, nn.Flatten(1))
    return net
