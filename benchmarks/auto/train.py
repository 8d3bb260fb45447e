"""Searches for a policy by CMA-ES on games drawn at random; every generation is kept, and a killed search goes on.

python benchmarks/auto/train.py no-steps --search gradient --generations 120
python benchmarks/auto/train.py schedule --generations 60                     # CMA-ES, as the first version was found
python benchmarks/auto/train.py feedback --after schedule --generations 60
python benchmarks/auto/train.py feedback --seed 1 --generations 60 --shorten    # what an earlier stop would have given
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from games import draw
from policies import FORMS, Form
from searches import Cma, Gradient, Search

from agents.policies.policy_files import save_controller
from gan_env import GANVectorEnv

RESULTS = Path(__file__).parent.parent / "results" / "auto"
SIGMA = 0.3
"""First standard deviation of the search, in decades of a learning rate."""


def play(job: tuple[int, Form, np.ndarray, bool]) -> tuple[str, list[float]]:
    """Trains the GANs of one game under each policy, all with the same seed; returns log(distance / untrained)."""
    seed, form, thetas, one_dataset = job
    torch.set_num_threads(1)
    what, config = draw(seed, one_dataset=one_dataset)
    rows = len(thetas)
    env = GANVectorEnv(rows, control="rates", autoreset_mode="Disabled", config=config)
    env.trainer.seed[:] = seed
    env.episodes.start(np.arange(rows))
    layers = [form.layer(theta) for theta in thetas]
    weight, bias = (np.stack(parts) for parts in zip(*layers, strict=True))
    failed = np.zeros(rows, bool)
    while not env.episodes.done.all():
        seen = env.episodes.observations().astype(np.float64)
        actions = np.clip(np.einsum("paf,pf->pa", weight, seen) + bias, -1, 1)
        failed |= env.episodes.decide(env.codec.decode(actions)).terminated
    worst = env.trainer.task.quality.worst
    found = np.where(failed, 10 * worst, np.minimum(env.episodes.quality, 10 * worst))
    return what, np.log(found / worst).tolist()


def generations_of(file: Path) -> list[dict]:
    """Reads the generations that are finished; a line that was cut off is left out."""
    found: list[dict] = []
    if file.is_file():
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            found.append(json.loads(line))
    return found


def folder_of(asked: argparse.Namespace, form: str) -> Path:
    """Returns the folder of a search of a form with the seed and the data that are asked for."""
    by = "" if asked.search == "cma" else f"-{asked.search}"
    return RESULTS / f"{form}{by}{'-one-dataset' if asked.one_dataset else ''}-{asked.seed}"


def begun(asked: argparse.Namespace) -> Search:
    """Returns the search before its first generation."""
    form = FORMS[asked.form]
    if asked.search == "gradient":
        if asked.after:
            raise ValueError(f"--after {asked.after}: the search by gradient begins where the first one did")
        return Gradient(form, asked.games, asked.policies, asked.seed)
    start, sigma = form.start, SIGMA
    if asked.after:
        before = json.loads((folder_of(asked, asked.after) / "theta.json").read_text())
        start = FORMS[asked.after].grown(np.array(list(before["theta"].values())), form)
        sigma = SIGMA / 2
    return Cma(start, sigma, asked.games, asked.policies, asked.seed)


def go_on(asked: argparse.Namespace, folder: Path) -> None:
    """Runs a search, or what is left of it."""
    search, form = begun(asked), FORMS[asked.form]
    log, done = folder / "generations.jsonl.gz", []
    for each in generations_of(log):
        search.ask()
        search.tell(np.array(each["scores"]))
        done.append(each)
    if done:
        kept = json.loads((folder / "theta.json").read_text())["theta"]
        if list(kept.values()) != search.theta.round(5).tolist():
            raise ValueError(f"{folder}/theta.json does not follow from the generations beside it; was one changed?")
        print(f"{len(done)} generations are there, and lead to {folder}/theta.json", flush=True)
    began = time.monotonic()
    with ProcessPoolExecutor(asked.jobs) as pool:
        while len(done) < asked.generations and time.monotonic() - began < 60 * asked.minutes:
            thetas, first = search.ask(), (asked.seed * 1_000 + len(done)) * asked.games
            jobs = [(first + game, form, thetas[game], asked.one_dataset) for game in range(asked.games)]
            played = list(pool.map(play, jobs))
            scores = np.array([score for _, score in played]).round(5)
            search.tell(scores)
            done.append({"generation": len(done), "games": [what for what, _ in played], "scores": scores.tolist()})
            _write(log, done)
            print(
                f"generation {len(done)}/{asked.generations}: median log distance {np.median(scores):.3f}, "
                f"mean {scores.mean():.3f}, spread {search.spread:.3f}, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            _save(folder, form, asked, search.theta, len(done))


def shorten(asked: argparse.Namespace, folder: Path) -> None:
    """Writes what a finished search would have given after fewer generations, into a folder of its own."""
    search, done = begun(asked), generations_of(folder / "generations.jsonl.gz")[: asked.generations]
    if len(done) < asked.generations:
        raise ValueError(f"{folder} has {len(done)} generations, {asked.generations} are asked for")
    for each in done:
        search.ask()
        search.tell(np.array(each["scores"]))
    short = folder.with_name(f"{folder.name}-after-{asked.generations}")
    short.mkdir(exist_ok=True)
    _save(short, FORMS[asked.form], asked, search.theta, len(done))


def main() -> None:
    """Runs or goes on with a search."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("form", choices=list(FORMS))
    parser.add_argument("--search", choices=["cma", "gradient"], default="cma")
    parser.add_argument("--after", choices=list(FORMS), help="begin with the policy that this search ended with")
    parser.add_argument("--generations", type=int, default=60)
    parser.add_argument("--games", type=int, default=16, help="in a generation")
    parser.add_argument("--policies", type=int, default=16, help="in a generation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after that long; more goes on")
    parser.add_argument("--one-dataset", action="store_true", help="the same data in every game: an ablation")
    parser.add_argument("--shorten", action="store_true", help="trains nothing: cuts a finished search short")
    asked = parser.parse_args()
    folder = folder_of(asked, asked.form)
    folder.mkdir(parents=True, exist_ok=True)
    (shorten if asked.shorten else go_on)(asked, folder)


def _write(log: Path, generations: list[dict]) -> None:
    fresh = log.with_suffix(".new")
    fresh.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in generations).encode(), mtime=0))
    fresh.replace(log)


def _save(folder: Path, form: Form, asked: argparse.Namespace, theta: np.ndarray, generations: int) -> None:
    command = f"python benchmarks/auto/train.py {asked.form} --generations {generations} --seed {asked.seed}"
    command += f" --search {asked.search}" if asked.search != "cma" else ""
    command += f" --after {asked.after}" if asked.after else ""
    command += " --one-dataset" if asked.one_dataset else ""
    provenance: dict[str, object] = {
        "command": f"{command} --games {asked.games} --policies {asked.policies}",
        "trained_on": "games drawn at random, see benchmarks/auto/games.py",
    }
    named = dict(zip(form.names, theta.round(5).tolist(), strict=True))
    (folder / "theta.json").write_text(json.dumps({**provenance, "theta": named}, indent=1) + "\n")
    save_controller(form.controller(theta.round(5), asked.form, provenance), folder / "policy.safetensors")


if __name__ == "__main__":
    main()
