"""The first screen of a report: an answer in one sentence that follows from the rows, and its evidence."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from agents.benchmark.suites import SUITES
from agents.report.answer import answer, is_tuned
from agents.report.blocks import make_blocks
from agents.report.budget import expected_scores
from agents.report.headline import headline, remarks
from agents.report.html.page import write_report
from agents.report.html.rank_chart import letters_of, rank_chart
from agents.report.model import make_report
from agents.report.questions import QUESTIONS
from agents.report.references import idle, marks
from agents.report.tables import medians, verdicts
from tests.support.report_rows import CONTROLLERS, row, rows, write

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def committed(name):
    """Rows of a committed benchmark, as they stand in its file."""
    with gzip.open(RESULTS / name / "rows.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def scores_by_cell(found, *fields):
    """Scores by the fields' values, then by controller, then by seed; infinite where a run failed."""
    cells = {}
    for each in found:
        key = tuple(each[field] for field in fields)
        value = each["score"] if each["status"] == "ok" else np.inf
        cells.setdefault(key, {}).setdefault(each["controller"], {})[each["seed"]] = value
    return cells


def test_every_suite_has_a_question():
    assert set(QUESTIONS) == set(SUITES)
    assert all(each.text.endswith("?") for each in QUESTIONS.values())


def test_the_report_of_quick_is_official_and_names_the_winner_that_its_rows_have():
    report, _ = make_report(RESULTS / "quick")
    names = list(dict.fromkeys(each["controller"] for each in committed("quick")))
    ranks = [
        rankdata([cell[name][seed] for name in names])
        for cell in scores_by_cell(committed("quick"), "task").values()
        for seed in cell[names[0]]
    ]
    best = names[int(np.argmin(np.mean(ranks, 0)))]
    assert report.ranking is not None and report.ranking.official and not report.ranking.left_out
    assert answer(report).sentence.startswith(f"{best} trains best: average rank {np.mean(ranks, 0).min():.2f} of 7")
    assert any("ranking is official" in line for line in answer(report).evidence)
    assert all(len(set(cell[best])) >= 5 for cell in scores_by_cell(committed("quick"), "task").values())


@pytest.mark.slow
def test_the_first_screen_of_table_1_answers_in_which_order_players_should_be_updated(tmp_path):
    cells = scores_by_cell(committed("dynamic-gda-table-1"), "task", "loss")
    names = list(next(iter(cells.values())))
    average = np.mean([rankdata([np.median(list(cell[n].values())) for n in names]) for cell in cells.values()], 0)
    best = names[int(average.argmin())]
    report, page = write_report(RESULTS / "dynamic-gda-table-1", "sim-gda", tmp_path)
    said = answer(report)
    assert said.sentence.startswith(f"{best} trains best: average rank {average.min():.2f} of 4 over 32 configurations")
    assert page.read_text().index(said.sentence) < page.read_text().index("<h2>")


@pytest.mark.slow
def test_the_first_screen_of_lr_robustness_names_who_is_best_over_all_base_rates_in_each_game(tmp_path):
    found = committed("lr-robustness")
    cells = scores_by_cell(found, "task", "d_lr")
    untrained = {(r["task"], r["d_lr"], r["seed"]): r["untrained_score"] for r in found}
    areas = {}
    for (task, rate), cell in cells.items():
        known = [s for each in cell.values() for s in each.values() if np.isfinite(s)]
        worst = max([*known, *(v for (t, r, _), v in untrained.items() if (t, r) == (task, rate) and v is not None)])
        for name, scores in cell.items():
            if "embedded" not in name:
                areas.setdefault(task, {}).setdefault(name, {})[rate] = np.mean(
                    [min(s, worst) for s in scores.values()]
                )

    def lowest(task, allowed):
        means = {name: [by_rate[r] for r in sorted(by_rate)] for name, by_rate in areas[task].items() if allowed(name)}
        at = np.log(sorted(areas[task]["sim-gda"]))
        return min(means, key=lambda name: np.trapezoid(means[name], at))

    report, _ = make_report(RESULTS / "lr-robustness")
    said = answer(report)
    ranked = report.ranking.controllers
    assert "auto" not in ranked and "the lowest mean score of those ranked is" in said.sentence
    wins = [lowest(task, lambda name: name in ranked) for task in areas]
    first = max(wins, key=wins.count)
    assert f"{first} in {wins.count(first)} of 4 games" in said.sentence
    assert all(
        f"{name} in {task}, bce" in said.sentence for task, name in zip(areas, wins, strict=True) if name != first
    )
    free = [lowest(task, lambda name: name in ranked and not is_tuned(name)) for task in areas]
    first = max(free, key=free.count)
    share = "all 4" if free.count(first) == 4 else f"{free.count(first)} of 4"
    assert any(f"Without tuning on the game itself: {first} in {share}" in e for e in said.evidence)


def test_a_difference_that_may_be_chance_has_no_winner(tmp_path):
    rng = np.random.default_rng(0)
    noise = [row(name, seed, float(rng.uniform(1, 2))) for name in CONTROLLERS for seed in range(6)]
    assert answer(make_report(write(tmp_path / "a", noise))[0]).sentence.startswith("No winner is shown")


def test_the_winner_comes_with_its_gain_over_plain_training_and_the_best_that_was_not_tuned(tmp_path):
    names = {**CONTROLLERS, "best-constant": 0.45, "best-schedule": 0.4}
    said = answer(make_report(write(tmp_path / "a", rows(names)))[0])
    assert said.sentence.startswith("best-schedule trains best: average rank 1.")
    assert any(
        line.startswith("Paired by seed it is better than plain training (sim-gda) by 0.6") for line in said.evidence
    )
    assert any("not tuned on the game itself: dyn-gda" in line for line in said.evidence)


def test_under_five_seeds_the_evidence_says_that_runs_are_too_few(tmp_path):
    said = answer(make_report(write(tmp_path / "a", rows(seeds=4)))[0])
    assert "Too few runs for an interval against plain training (sim-gda)." in said.evidence


def from_file(name, *, of=None, **changes):
    """What a benchmark notes of a controller from a file; `of`: the agent that a recording was made of."""
    hashed = name.encode().hex()[:16]
    runs_as = f"mine {hashed}" if of is None else f"replay {hashed}"
    return {"runs_as": runs_as, "files": {f"{name}.safetensors": hashed}, "replay_of": of, **changes}


def test_a_trained_agents_place_and_difference_to_plain_training_follow_the_answer(tmp_path):
    scores = {name: {row["seed"]: row["score"] for row in rows({**CONTROLLERS, "runs/mine.safetensors": 0.9})
                     if row["controller"] == name} for name in ("sim-gda", "runs/mine.safetensors")}  # fmt: skip
    found = rows({**CONTROLLERS, "runs/mine.safetensors": 0.9})
    found = [each | from_file("runs/mine") if "mine" in each["controller"] else each for each in found]
    replayed = rows({"replay:runs/mine-replay.safetensors": 1.2})
    report, _ = make_report(write(tmp_path, found))
    ranked, _ = make_report(write(tmp_path, found + [r | from_file("runs/mine-replay", of="mine") for r in replayed]))

    gap = np.array(list(scores["sim-gda"].values())) - np.array(list(scores["runs/mine.safetensors"].values()))
    (said,) = answer(report).agents
    assert said.startswith(
        f"Agent mine: 3rd of 5 by mean score; better than plain training (sim-gda) by {gap.mean():.3f} ["
    )
    assert said.endswith(
        "]. Not ranked: learned, and the rows lack its open-loop replay (replay:FILE of a recorded run)."
    )
    assert answer(ranked).agents == [said.replace("5 by mean score", "6 by average rank").partition(" Not ranked")[0]]
    assert headline(ranked)[1:2] == answer(ranked).agents
    write_report(tmp_path, "sim-gda")
    assert f'<p class="agent">{answer(ranked).agents[0]}</p>' in (tmp_path / "report.html").read_text()


def test_an_agent_is_compared_by_counts_in_many_configurations_and_not_at_all_in_too_few_runs(tmp_path):
    many = [each for rate in (1e-4, 2e-4, 5e-4, 1e-3)
            for each in rows({"sim-gda": 1.0, "mine.safetensors": 2.0}, d_lr=rate)]  # fmt: skip
    few = rows({"sim-gda": 1.0, "mine.safetensors": 2.0}, seeds=2)
    said = []
    for found in (many, few, rows()):
        marked = [each | from_file("mine") if "mine" in each["controller"] else each for each in found]
        said.append(answer(make_report(write(tmp_path, marked))[0]).agents)
    assert said[0][0].startswith(
        "Agent mine: better than plain training (sim-gda) in 0 of 4 configurations and worse in 4."
    )
    assert said[1][0].startswith(
        "Agent mine: 2nd of 2 by mean score; too few runs to compare it with plain training (sim-gda)."
    )
    assert said[2] == []


def test_every_controller_that_ran_stands_in_the_verdicts_and_medians_and_unranked_ones_are_grey(tmp_path):
    names = {**CONTROLLERS, "fsco (embedded)": 0.4, "dirac-oracle": 0.3}
    report, _ = make_report(write(tmp_path / "a", rows(names) + rows(names, d_lr=1e-3)))
    assert set(report.order) == set(names) and report.order[-2:] == ["fsco (embedded)", "dirac-oracle"]
    table = verdicts(report)
    assert [line[0].text for line in table.lines] == report.order
    assert [line[0].text for line in table.lines if line[0].muted] == ["fsco (embedded)", "dirac-oracle"]
    head = medians(report).head
    assert [cell.text for cell in head] == ["configuration", *report.order, "floor", "untrained"]
    line = dict(zip(report.order, medians(report).lines[0][1:], strict=False))
    # The lowest of those that compete is blue, not the oracle, and shades rise with the score.
    assert line["dyn-gda"].verdict == -1 and line["dirac-oracle"].verdict == 0 and line["dirac-oracle"].heat is None
    assert line["dyn-gda"].heat == 0 < line["constant:3"].heat < line["sim-gda"].heat < line["alt-gda-1"].heat < 1


def test_a_sentence_names_who_is_no_better_than_untrained_and_who_never_moved_the_generator(tmp_path):
    found = rows({**CONTROLLERS, "frozen-g": 1.5}, untrained_score=1.45)
    for each in found:
        each["g_updates"] = 0 if each["controller"] == "frozen-g" else 100
    report, (block,) = make_report(write(tmp_path / "a", found))
    assert marks(block).untrained == 1.45 and marks(block).floor == 0.02
    assert {name for name, each in idle([block]).items() if each.no_better} == {"alt-gda-1", "frozen-g"}
    said = remarks(report)
    assert said[0] == "No better than the untrained generator, by median score: alt-gda-1, frozen-g."
    assert said[1] == "The generator never moved under frozen-g (every run)."
    assert set(said) <= set(headline(report))


def test_rows_without_the_untrained_generators_score_claim_nothing_about_it():
    (block,) = make_blocks(rows())
    assert marks(block).untrained is None and idle([block]) == {}


def test_letters_are_shared_exactly_by_controllers_that_nemenyis_test_does_not_distinguish(tmp_path):
    names = ["sim-gda", "dyn-gda", "alt-gda-1", "alt-gda-5", "gap-aware", "pi", "began", "random"]
    report, _ = make_report(write(tmp_path / "b", rows({n: 1.0 + 0.02 * i for i, n in enumerate(names)}, seeds=12)))
    ranking = report.ranking
    letters = letters_of(ranking)
    averages = [rank.value for rank in ranking.ranks]
    for i, j in itertools.combinations(range(len(names)), 2):
        close = averages[j] - averages[i] <= ranking.critical_difference
        assert bool(set(letters[i]) & set(letters[j])) == close
    chart = rank_chart(report)
    assert [lane.name for lane in chart.lanes] == ranking.controllers
    assert all(0 <= lane.low <= lane.at <= lane.high <= 100 for lane in chart.lanes)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_expected_score_of_the_best_of_k_trials_is_the_mean_over_all_choices_of_k(n):
    rng = np.random.default_rng(n)
    quality, scores = rng.normal(size=n), rng.normal(size=n)
    for k in range(1, n + 1):
        chosen = [scores[min(trial, key=lambda i: quality[i])] for trial in itertools.combinations(range(n), k)]
        assert expected_scores(quality, scores)[k - 1] == pytest.approx(np.mean(chosen))


def test_a_tuning_budget_is_answered_by_the_score_after_a_few_trials(tmp_path):
    found = [
        each | {"quality": each["score"]}
        for rate, level in ((1e-4, 3.0), (1e-3, 1.0), (1e-2, 2.0))
        for each in rows({"sim-gda": level, "pi": level - 0.5 if rate == 1e-4 else level + 0.5}, d_lr=rate, g_lr=rate)
    ]
    report, path = write_report(write(tmp_path / "a", found, {"suite": "tuning-budget"}), "sim-gda")
    assert answer(report).sentence.startswith(
        "After 3 trials of the rate, the lowest expected score is that of sim-gda"
    )
    assert (path.parent / "figures" / "budget.png").is_file()
    curve = next(c for c in report.budget if c.controller == "sim-gda")
    assert curve.means[0].value == pytest.approx(2.0, abs=0.1) and curve.means[2].value == pytest.approx(1.0, abs=0.1)
