"""CTGAN's own training loop under a controller, and what that does to held-out quality: `python steered_ctgan.py`.

`SteeredCTGAN` is the `ctgan` package's class with one argument more. Its `fit` is the package's, unchanged: during the
call its discriminator keeps the scores, and each of its optimisers asks `Steer` before it steps. So this also shows how
to steer a loop that you cannot edit. Needs `pip install ctgan` (Business Source License).

The table is one of scikit-learn's, iris by default: a quarter of it is held out, and synthetic rows are judged by how
well a classifier that is trained on them does there, and by how far their columns are from the held-out ones.

    python steered_ctgan.py --controllers gap-aware dyn-gda --seeds 0 1 2 6 7 8 --epochs 300
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import sklearn.datasets
import torch
from ctgan import CTGAN
from ctgan.synthesizers import ctgan as package
from scipy.stats import t as student
from scipy.stats import wasserstein_distance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agents import Decision, Steer

ALONE = "CTGAN alone"
FORWARD = package.Discriminator.forward


class Loop:
    """What the discriminator and the two optimisers of one `fit` share."""

    def __init__(self, controller: str, **options):
        self.controller, self.options = controller, options
        self.steer: Steer | None = None
        self.decision: Decision | None = None
        self.scores: list[torch.Tensor] = []  # of the discriminator's calls since the last step
        self.optimizers: list[torch.optim.Optimizer] = []  # CTGAN builds G's first
        self.decisions: list[Decision] = []

    def forward(self, discriminator: package.Discriminator, rows: torch.Tensor) -> torch.Tensor:
        scores = FORWARD(discriminator, rows)
        self.scores.append(scores)
        return scores

    def build_adam(self, parameters, **options) -> torch.optim.Optimizer:
        optimizer = torch.optim.Adam(parameters, **options)
        step = (self.step_g, self.step_d)[len(self.optimizers)]
        self.optimizers.append(optimizer)
        optimizer.step = lambda plain=optimizer.step: step(plain)
        return optimizer

    def step_d(self, plain) -> None:
        """CTGAN has computed the scores of a generated and of a real batch, and D's gradients."""
        fake, real = self.scores[:2]
        self.scores.clear()
        if self.steer is None:
            self.steer = Steer(self.controller, *self.optimizers, loss="wgan-gp", kind="plane", **self.options)
        if self.decision is None:  # the first of `discriminator_steps`
            self.decision = self.steer(real, fake)
            self.decisions.append(self.decision)
        if self.decision.update_d:
            plain()

    def step_g(self, plain) -> None:
        """G's gradients are there; its step ends CTGAN's iteration."""
        self.scores.clear()
        if self.decision.update_g:
            plain()
        self.steer.done()
        self.decision = None


class SteeredCTGAN(CTGAN):
    """CTGAN whose optimisers a controller steers.

    Args:
        controller: Any name or file that `Steer` takes.
        **options: CTGAN's own.
    """

    def __init__(self, controller: str, **options):
        super().__init__(**options)
        self.controller = controller
        self.decisions: list[Decision] = []

    def fit(self, train_data, discrete_columns=()):
        updates = self._epochs * max(len(train_data) // self._batch_size, 1)  # as the package counts them
        loop = Loop(self.controller, episode_updates=updates)
        with (
            mock.patch.object(package.Discriminator, "forward", lambda module, rows: loop.forward(module, rows)),
            mock.patch.object(package, "optim", SimpleNamespace(Adam=loop.build_adam)),
        ):
            super().fit(train_data, discrete_columns)
        self.decisions = loop.decisions


def table(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Splits one of scikit-learn's tables, three quarters to train on and one held out, alike in every class."""
    frame = getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame
    frame["target"] = "class " + frame["target"].astype(str)
    return train_test_split(frame, test_size=0.25, random_state=0, stratify=frame["target"])


def quality(synthetic: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, float]:
    """Measures how useful synthetic rows are and how far they are from held-out real ones.

    Returns:
        "accuracy": Balanced accuracy on `held_out` of a logistic regression that was trained on `synthetic`.
        "W1": Wasserstein distance, averaged over columns, each in standard deviations of the real column.
    """
    columns = held_out.columns.drop("target")
    predicted = synthetic["target"].iloc[0]  # where there is one class alone
    if synthetic["target"].nunique() > 1:
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
        predicted = judge.fit(synthetic[columns], synthetic["target"]).predict(held_out[columns])
    recalls = [(held_out["target"] == predicted)[held_out["target"] == c].mean() for c in held_out["target"].unique()]
    gaps = [wasserstein_distance(synthetic[c], held_out[c]) / held_out[c].std() for c in columns]
    return {"accuracy": float(np.mean(recalls)), "W1": float(np.mean(gaps))}


def run(controller: str | None, seed: int, epochs: int, data: str = "iris") -> dict[str, float]:
    """Fits one CTGAN, plain or steered, from the same seed, and judges its samples."""
    train, held_out = table(data)
    torch.manual_seed(seed)
    np.random.seed(seed)
    options = dict(epochs=epochs, batch_size=50, enable_gpu=False)
    model = CTGAN(**options) if controller is None else SteeredCTGAN(controller, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own: mixtures that do not converge
        model.fit(train, ["target"])
    found = quality(model.sample(1_000), held_out)
    if controller is not None:
        n = len(model.decisions)
        found |= {
            "G steps": sum(d.update_g for d in model.decisions) / n,
            "D steps": sum(d.update_d for d in model.decisions) / n,
            "D's rate": float(np.mean([d.d_multiplier for d in model.decisions])),
        }
    return found


def rounded(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())


def paired(differences: list[float]) -> str:
    """Gives the mean of paired differences, steered minus plain, with a 95 % t interval."""
    mean, n = np.mean(differences), len(differences)
    half = student.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def main(
    controllers: list[str], seeds: Sequence[int], epochs: int, data: str = "iris"
) -> dict[str, list[dict[str, float]]]:
    """Prints a line for each fit, then means and paired differences; returns the numbers of each arm, seed by seed."""
    torch.set_num_threads(1)
    print("real rows in place of synthetic ones:", rounded(quality(*table(data))), flush=True)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in [ALONE, *controllers]}
    for seed in seeds:
        for name, rows in results.items():
            rows.append(run(None if name == ALONE else name, seed, epochs, data))
            print(f"seed {seed:<3} {name:<12} {rounded(rows[-1])}", flush=True)
    for name, rows in results.items():
        print(
            f"\n{name}: mean of {len(seeds)} seeds", rounded({k: float(np.mean([r[k] for r in rows])) for k in rows[0]})
        )
        if name != ALONE and len(seeds) > 1:
            for key in ("accuracy", "W1"):
                print(f"  {key}:", paired([a[key] - b[key] for a, b in zip(rows, results[ALONE], strict=True)]))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--controllers", nargs="+", default=["gap-aware", "dyn-gda"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(12)))
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--table", default="iris", choices=["iris", "wine", "breast_cancer"])
    given = parser.parse_args()
    main(given.controllers, given.seeds, given.epochs, given.table)
