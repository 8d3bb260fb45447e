"""CTGAN's own training loop under a controller, and what that does to held-out quality: `python steered_ctgan.py`.

`SteeredCTGAN` is the `ctgan` package's class with one argument more. Its `fit` is the package's, unchanged: for the time
of the call, its discriminator keeps the scores, and each of its optimisers asks `Steer` before it steps. So this also
shows how to steer a loop that you cannot edit. Needs `pip install ctgan` (Business Source License).

The table is scikit-learn's breast cancer data: 30 measurements and a diagnosis of 569 tumours. A quarter is held out.

    python steered_ctgan.py --controllers gap-aware dyn-gda --seeds 10 --epochs 150
"""

from __future__ import annotations

import argparse
import time
import warnings
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN
from ctgan.synthesizers import ctgan as package
from scipy.stats import t as student
from scipy.stats import wasserstein_distance
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agents.steer import Decision, Steer


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
        loop = Loop(self.controller)
        with (
            mock.patch.object(package.Discriminator, "forward", lambda module, rows: loop.forward(module, rows)),
            mock.patch.object(package, "optim", SimpleNamespace(Adam=loop.build_adam)),
        ):
            super().fit(train_data, discrete_columns)
        self.decisions = loop.decisions


def table() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Breast cancer data, a part to train on and one held out, with the same share of each diagnosis."""
    frame = load_breast_cancer(as_frame=True).frame
    frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
    return train_test_split(frame, test_size=0.25, random_state=0, stratify=frame["target"])


def quality(synthetic: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, float]:
    """How well a classifier trained on synthetic rows does on held-out real ones, and how far the columns are.

    Returns:
        "AUC": ROC AUC of a logistic regression, trained on `synthetic`, on `held_out`; 0.5 where `synthetic` holds one
        class alone. "W1": Wasserstein distance, averaged over columns, each in standard deviations of the real column.
    """
    columns = held_out.columns.drop("target")
    if synthetic["target"].nunique() < 2:
        auc = 0.5
    else:
        judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
        judge.fit(synthetic[columns], synthetic["target"] == "malignant")
        auc = roc_auc_score(held_out["target"] == "malignant", judge.predict_proba(held_out[columns])[:, 1])
    gaps = [wasserstein_distance(synthetic[c], held_out[c]) / held_out[c].std() for c in columns]
    return {"AUC": float(auc), "W1": float(np.mean(gaps))}


def run(controller: str | None, seed: int, epochs: int) -> dict[str, float]:
    """Fits one CTGAN, plain or steered, from the same seed, and judges its samples."""
    train, held_out = table()
    torch.manual_seed(seed)
    np.random.seed(seed)
    options = dict(epochs=epochs, batch_size=50, enable_gpu=False)
    model = CTGAN(**options) if controller is None else SteeredCTGAN(controller, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own: mixtures that do not converge
        model.fit(train, ["target"])
    return quality(model.sample(2_000), held_out)


def paired(differences: list[float]) -> str:
    """Mean of paired differences with a 95 % t interval."""
    mean, n = np.mean(differences), len(differences)
    half = student.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5 if n > 1 else float("nan")
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def main(controllers: list[str], seeds: int, epochs: int) -> dict[str, list[dict[str, float]]]:
    torch.set_num_threads(1)
    train, held_out = table()
    real = quality(train, held_out)
    print(f"real rows instead of synthetic ones: AUC {real['AUC']:.3f}, W1 {real['W1']:.3f}", flush=True)
    results: dict[str, list[dict[str, float]]] = {}
    for name in ["CTGAN alone", *controllers]:
        start = time.perf_counter()
        results[name] = [run(None if name == "CTGAN alone" else name, seed, epochs) for seed in range(seeds)]
        mean = {key: np.mean([row[key] for row in results[name]]) for key in real}
        line = f"{name:<14} AUC {mean['AUC']:.3f}  W1 {mean['W1']:.3f}"
        if name != "CTGAN alone":
            plain = results["CTGAN alone"]
            for key in real:
                line += f"  {key} {paired([a[key] - b[key] for a, b in zip(results[name], plain, strict=True)])}"
        print(f"{line}  [{(time.perf_counter() - start) / seeds:.1f} s a fit]", flush=True)
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--controllers", nargs="+", default=["gap-aware", "dyn-gda"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=150)
    given = parser.parse_args()
    main(given.controllers, given.seeds, given.epochs)
