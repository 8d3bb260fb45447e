"""`gan-env report`: numbers that follow from the rows, a page that loads nothing, one clear error for bad rows."""

import gzip
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

from agents import compare
from agents.registry import is_embedded, is_learned
from agents.report.answer import answer
from agents.report.blocks import make_blocks, read_rows
from agents.report.headline import headline
from agents.report.html.figures import png_of, short
from agents.report.html.line_figures import profile_lines, training_curves
from agents.report.html.page import write_report
from agents.report.model import make_report
from agents.report.numbers import estimate, number, p_value
from agents.report.published import THESIS_RANKS, THESIS_SUITE
from agents.report.text import as_json, summary, tables
from gan_env.cli import main
from gan_env.envs.config import EnvConfig
from tests.support.report_rows import CONTROLLERS, row, rows, write

PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert(1)</script>$x_{"


class Page(HTMLParser):
    """Tags, what attributes point to, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.heads, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.heads.append(data)
        self.text += data


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A page with every section: two base rates, failures, samples, a learner and a hostile name."""
    folder = tmp_path_factory.mktemp("report")
    names = {**CONTROLLERS, "fsco (embedded)": 0.4, "dirac-oracle": 0.3, HOSTILE: 0.9}
    found = rows(names, seeds=4) + rows(names, seeds=4, d_lr=1e-2, g_lr=1e-2)
    found[1] |= {"status": "diverged", "score": None, "failure": "<b>weights</b>", "ended": 40}
    write(folder, found, {"command": "gan-env bench --tasks <ring>", "machine": "a & b", "wall_s": 30.0})
    (folder / "samples").mkdir()
    (folder / "samples" / "update-100.png").write_bytes(png_of(Figure(figsize=(1, 1))))
    (folder / "samples" / "fake.png").write_bytes(b"<script>")
    report, path = write_report(folder, "sim-gda")
    return report, path


def test_the_page_is_one_file_that_loads_nothing(everything):
    text = everything[1].read_text()
    page = Page(text)
    assert page.links and all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "@media print" in style and 'name="viewport"' in text


def test_what_rows_say_is_text_and_never_markup(everything):
    text = everything[1].read_text()
    assert "<script" not in text and "<b>" not in text and "<ring>" not in text
    shown = Page(text).text
    assert HOSTILE in shown and "<b>weights</b>" in shown and "--tasks <ring>" in shown and "a & b" in shown


def test_the_answer_comes_first_and_provenance_last(everything):
    text = everything[1].read_text()
    page = Page(text)
    assert page.heads == [
        "Ranks", "Every run", "Samples", "Scores", "Differences", "Profiles", "Tests", "Curves", "Reward", "Failures",
        "What was run",
    ]  # fmt: skip
    said = answer(everything[0])
    assert Page(text[text.index("<main>") : text.index("<h2>")]).text.index(said.sentence) < 300
    # The list of sections leads to each of them.
    assert [link for link in page.links if link.startswith("#")] == [
        f"#{i}" for i in re.findall(r'<section id="(\w+)"', text)
    ]


def test_cells_and_failures_are_folded_and_the_page_suits_dark_rooms_and_paper(everything):
    text = everything[1].read_text()
    folded = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "prefers-color-scheme: dark" in text and "&lt;b&gt;weights" in text and "&lt;b&gt;weights" not in folded
    assert ">s per run<" in text and ">s per run<" not in folded


def test_the_pages_figures_are_the_folders(everything):
    page, folder = everything[1].read_text(), everything[1].parent
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"critical-difference.png", "profiles.png", "rates.png", "curves-1.png", "scores-2.png"} <= names
    assert all((folder / "figures" / name).read_bytes().startswith(PNG) for name in names)
    assert page.count("<img") == len(names) + 1  # and the samples that are a PNG
    assert len(re.findall(r'<img [^>]* width="\d+" height="\d+" loading="lazy">', page)) == len(names) + 1
    assert "update-100</figcaption>" not in page and 'alt="samples, update-100"' in page


def test_every_failure_is_listed_and_imputed_scores_are_marked(everything):
    report, path = everything
    (failure,) = report.failures
    assert (failure.controller, failure.seed, failure.ended) == ("sim-gda", 3_000_001, 40)
    found = {(s.controller, s.block): s for s in report.scores}
    assert found["sim-gda", failure.block].failed == 1
    assert "†" in path.read_text()


def test_controllers_trained_online_and_oracles_are_listed_separately(everything):
    report, path = everything
    assert report.ranking is not None
    assert report.ranking.left_out.keys() == {"fsco (embedded)", "dirac-oracle", HOSTILE}
    assert report.embedded == ["fsco (embedded)"] and "not ranked" in report.notes["dirac-oracle"]
    text = Page(path.read_text()).text
    assert "Listed separately: trained online, during the evaluation run" in text
    assert "dirac-oracle (an oracle, not ranked)" in text
    assert not any("dirac-oracle" in line or "embedded" in line for line in headline(report))


def test_numbers_are_those_of_the_rows(tmp_path):
    found = rows()
    report, _ = make_report(write(tmp_path / "a", found))
    scores = {name: np.array([r["score"] for r in found if r["controller"] == name]) for name in CONTROLLERS}
    for each in report.scores:
        assert each.mean and each.mean.value == pytest.approx(scores[each.controller].mean())
        assert each.excess == pytest.approx(each.mean.value - 0.02)
    gap = {d.controller: d for d in report.to_baseline}
    assert gap["dyn-gda"].t.value == pytest.approx((scores["dyn-gda"] - scores["sim-gda"]).mean())
    assert [gap[n].verdict for n in ("dyn-gda", "constant:3", "alt-gda-1")] == [-1, -1, 1]
    assert report.best_constants == {"ring, bce": "constant:3"}
    assert {d.controller: d.verdict for d in report.to_best_constant} == {"sim-gda": 1, "dyn-gda": -1, "alt-gda-1": 1}
    assert report.ranking and report.ranking.controllers == ["dyn-gda", "constant:3", "sim-gda", "alt-gda-1"]
    assert report.ranking.blocks == 10


def test_the_headline_says_who_wins_and_who_loses(tmp_path):
    said = "\n".join(headline(make_report(write(tmp_path / "a", rows()))[0]))
    assert "Better than sim-gda: dyn-gda (−0.5" in said and "Worse than sim-gda: alt-gda-1 (+0.5" in said
    assert "Better than the best constant multiplier (constant:3): dyn-gda" in said
    assert "None of 40 runs failed" in said


def test_the_headline_says_so_when_no_difference_is_shown(tmp_path):
    rng = np.random.default_rng(0)
    noise = [row(name, seed, float(rng.uniform(1, 2))) for name in CONTROLLERS for seed in range(6)]
    said = headline(make_report(write(tmp_path / "a", noise))[0])
    assert said[0].startswith("No winner is shown: the lowest average rank is that of ")
    assert "No controller's 95 % interval excludes zero against sim-gda." in said
    assert any("shows no difference between average ranks" in line for line in said)


def test_who_shares_the_best_rank_is_named_with_the_first(tmp_path):
    names = ("sim-gda", "constant:3", "dyn-gda", "best-schedule")
    same = [row(name, seed, 1.0 + seed) for name in names for seed in range(4)]
    ties = answer(make_report(write(tmp_path / "a", same))[0]).sentence
    assert all(name in ties for name in names) and "(2.50 of 4)" in ties and "may be chance" in ties


@pytest.mark.parametrize(
    ("p", "shown"), [(None, "–"), (2e-5, "< 0.0001"), (0.0123, "0.012"), (0.0498, "0.0498"), (0.0502, "0.05")]
)
def test_a_p_value_is_never_rounded_across_a_twentieth(p, shown):
    assert p_value(p) == shown


def test_without_a_constant_nothing_is_ranked_officially(tmp_path):
    found = [r for r in rows() if r["controller"] != "constant:3"]
    report, path = write_report(write(tmp_path / "a", found), "sim-gda")
    assert report.ranking and not report.ranking.official
    assert "Not an official ranking" in path.read_text() and "ranking is not official" in "\n".join(headline(report))


def test_a_constant_that_was_chosen_on_tune_seeds_goes_before_one_chosen_here(tmp_path):
    names = {**CONTROLLERS, "best-constant": 0.9, "best-schedule": 0.7}
    report, _ = make_report(write(tmp_path / "a", rows(names)))
    assert report.best_constants == {"ring, bce": "best-constant"}
    assert report.ranking and report.ranking.official and "best-constant" in report.ranking.controllers


def test_without_the_best_schedule_nothing_is_ranked_officially_and_the_report_says_so(tmp_path):
    report, path = write_report(write(tmp_path / "a", rows()), "sim-gda")
    assert report.ranking and not report.ranking.official and not report.to_best_schedule
    assert report.ranking.missing == ["no best-schedule was run in any configuration"]
    assert "no best-schedule was run in any configuration" in path.read_text()
    assert "not official: no best-schedule was run in any configuration." in " ".join(headline(report))
    some = [*rows({"best-schedule": 0.7}), *rows(), *rows(d_lr=1e-3)]
    report, _ = make_report(write(tmp_path / "b", some))
    assert report.ranking and report.ranking.missing == ["no best-schedule was run in ring, bce, rate 0.001"]


def test_differences_to_the_best_schedule_and_what_it_cost_are_shown(tmp_path):
    spent = {"selection_updates": {"best-constant": 4_000, "best-schedule": 13_200}}
    found = rows({**CONTROLLERS, "best-schedule": 0.7}, **spent)
    report, path = write_report(write(tmp_path / "a", found), "sim-gda")
    assert {d.controller: d.verdict for d in report.to_best_schedule}["dyn-gda"] == -1
    assert "Better than the best schedule of both rates: dyn-gda" in " ".join(headline(report))
    assert report.facts.tuning == {"best-constant": [4_000], "best-schedule": [13_200]}
    assert "best-schedule took 13,200" in path.read_text()
    assert "best-schedule was chosen by 13,200 updates of GANs on tune seeds, those of 132 runs" in tables(found)


@pytest.mark.parametrize(("agent", "shown"), [("fsco (meta)", "fsco (meta)"), ("runs/a/agent.safetensors", "agent")])
@pytest.mark.parametrize(
    ("replay", "of", "counts"),
    [
        ("{} (replay)", None, True), ("replay:run.safetensors", "fsco (meta)", True),
        ("replay:run.safetensors", "dyn-gda", False), ("alt-gda-5", None, False),
    ],
)  # fmt: skip
def test_a_learned_controller_is_ranked_beside_its_open_loop_replay_alone(tmp_path, agent, shown, replay, of, counts):
    found = rows({**CONTROLLERS, "fsco (untrained)": 0.9})
    found += rows({agent: 0.3}, runs_as="fsco (meta) 0123456789abcdef") + rows(
        {replay.format(agent): 0.4}, replay_of=of
    )
    ranking = make_report(write(tmp_path / "a", found))[0].ranking
    assert ranking and (shown in ranking.controllers) == counts
    assert {"fsco (untrained)", replay.format(shown).removesuffix(".safetensors")} <= set(ranking.controllers)
    assert counts or "open-loop replay" in ranking.left_out[shown]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["runs/a/agent.safetensors"], ["agent"]),
        (["runs/a/agent.safetensors", "runs/b/agent.safetensors"], ["a/agent", "b/agent"]),
        (["agents/mine.safetensors", "replay:agents/mine.safetensors(shift=0)"], ["mine", "replay:mine(shift=0)"]),
        (["mine", "agents/mine.safetensors"], ["mine", "agents/mine"]),
        (["runs/gcann.safetensors", "dyn-gda"], ["runs/gcann", "dyn-gda"]),  # nobody takes it for the rule
        (["gcann.safetensors", "x/mine.safetensors"], ["gcann.safetensors", "x/mine.safetensors"]),
    ],
)
def test_a_controller_from_a_file_is_called_by_as_much_of_its_path_as_tells_it_from_all_others(tmp_path, names, shown):
    report, _ = make_report(write(tmp_path / "a", rows(dict.fromkeys(["sim-gda", *names], 1.0))))
    assert list(report.facts.controllers) == ["sim-gda", *shown]


@pytest.mark.parametrize(("untrained", "expected"), [(None, 2.0), (5.0, 5.0), (1.0, 2.0)])
def test_a_failure_counts_as_the_worst_score_or_the_untrained_generators(tmp_path, untrained, expected):
    extra = {} if untrained is None else {"untrained_score": untrained}
    found = [row("sim-gda", s, 1.0, **extra) for s in range(3)] + [row("constant:3", s, 2.0, **extra) for s in range(3)]
    found += [row("pi", 0, 0.5, **extra), row("pi", 1, None, **extra), row("pi", 2, 0.5, **extra)]
    report, (block,) = make_report(write(tmp_path / "a", found))
    assert block.of("pi", imputed=True).tolist() == [0.5, expected, 0.5]
    assert block.of("pi", imputed=False).tolist() == [0.5, np.inf, 0.5]
    (gap,) = [d for d in report.to_baseline if d.controller == "pi"]
    assert gap.imputed == 1 and gap.t.value == pytest.approx((expected + 1.0) / 3 - 1.0)
    assert report.ranking and report.ranking.failures == [int(n == "pi") for n in report.ranking.controllers]


def test_a_controller_whose_every_run_failed_has_no_mean_and_ranks_last(tmp_path):
    found = [
        row("pi", seed, None) if r["controller"] == "alt-gda-1" else r for r in rows() for seed in [r["seed"] % 100]
    ]
    report, _ = write_report(write(tmp_path / "a", found), "sim-gda")
    assert next(s for s in report.scores if s.controller == "pi").mean is None
    assert report.ranking and report.ranking.controllers[-1] == "pi"
    assert "10 of 40 runs failed: pi 10" in "\n".join(headline(report))


def test_runs_that_crashed_have_no_return_and_are_reported(tmp_path):
    crashed = {"status": "error", "score": None, "return": None, "failure": "RuntimeError: no"}
    found = rows() + [row("pi", seed, **crashed) for seed in range(10)]
    found[0] |= crashed
    report, _ = write_report(write(tmp_path / "a", found), "sim-gda")
    returned = {s.controller: s.returned for s in report.scores}
    assert returned["pi"] is None
    assert returned["sim-gda"] == pytest.approx(np.mean([r["return"] for r in found[1:10]]))
    assert {f.controller for f in report.failures} == {"pi", found[0]["controller"]}


def test_rates_make_curves_and_an_area(tmp_path):
    found = [r for rate, level in ((1e-4, 3.0), (1e-3, 1.0), (1e-2, 2.0))
             for r in rows({"sim-gda": level, "constant:3": 1.0}, d_lr=rate, g_lr=rate)]  # fmt: skip
    curves = {c.controller: c for c in make_report(write(tmp_path / "a", found))[0].rate_curves}
    assert curves["sim-gda"].rates == [1e-4, 1e-3, 1e-2]
    flat = curves["constant:3"]
    assert flat.area.value == pytest.approx(flat.means[0].value)
    # Trapezoids of 3, 1, 2 at equal distances: 1.75; both share the seeds' hundredths.
    offset = np.mean([r["score"] - 3.0 for r in found if r["controller"] == "sim-gda" and r["d_lr"] == 1e-4])
    assert curves["sim-gda"].area.value == pytest.approx(1.75 + offset)


def test_markdown_has_the_area_of_each_controller_with_those_trained_online_listed_separately(tmp_path, capsys):
    found = [r for rate, level in ((1e-2, 2.0), (1e-4, 3.0), (1e-3, 1.0))  # as workers finished them
             for r in rows({"sim-gda": level, "fsco (embedded)": 1.0}, seeds=5, d_lr=rate, g_lr=rate)]  # fmt: skip
    assert main(["report", str(write(tmp_path / "a", found)), "--markdown"]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"rate {rate:g}") for rate in (1e-4, 1e-3, 1e-2)]
    assert places == sorted(places)
    assert re.search(r"\| controller \| ring, bce \| failed \|\n.*\n\| sim-gda \| 1\.\d+ \[", said)
    assert said.index("Listed separately: trained online") < said.index("| fsco (embedded) | 1")


def test_many_configurations_are_the_blocks_beside_the_thesis_own_ranks(tmp_path):
    found = []
    for shift, (task, loss) in enumerate((t, x) for t in "abcd" for x in "stuv"):
        levels = dict(zip(THESIS_RANKS, np.roll([1.0, 2.0, 3.0, 4.0], shift % 2), strict=True))
        found += rows({**levels, "constant:3": 5.0}, seeds=3, task=task, loss=loss)
    report, path = write_report(write(tmp_path / "a", found, {"suite": THESIS_SUITE}), "sim-gda")
    assert report.ranking and report.ranking.blocks == 16 and report.ranking.unit == "configuration"
    assert report.thesis and report.thesis.cells == 16
    assert list(report.thesis.ours.values()) == [2.5, 1.5, 2.5, 3.5]  # 1 2 3 4 and 4 1 2 3
    assert report.thesis.ours_best == 0
    assert (path.parent / "figures" / "verdicts-baseline.png").exists()
    assert "Comparison with the thesis" in path.read_text()


@pytest.fixture
def thesis_like(tmp_path):
    """Two cells of a made-up table, five seeds each: medians 1, 2, 3, 4 in one and 4, 1, 2, 3 in the other."""
    found = []
    for loss, levels in (("bce", [1.0, 2.0, 3.0, 4.0]), ("sn", [4.0, 1.0, 2.0, 3.0])):
        found += rows(dict(zip(THESIS_RANKS, levels, strict=True)), seeds=5, loss=loss)
    found[-1] |= {"status": "diverged", "score": None}
    return write(tmp_path / "a", found, {"suite": THESIS_SUITE, "command": "gan-env bench --suite x"})


def cells_of(text, title):
    """The cells of the first line of a Markdown table that begins so."""
    line, *_ = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_markdown_shows_every_controller_that_was_run(tmp_path, capsys):
    names = {**CONTROLLERS, "fsco (embedded)": 0.4, "dirac-oracle": 0.3}
    assert main(["report", str(write(tmp_path / "a", rows(names, seeds=5))), "--markdown"]) == 0
    heads = re.findall(r"^\| configuration \|(.*)\|$", capsys.readouterr().out, re.MULTILINE)
    shown = {name.strip() for head in heads for name in head.split("|")}
    assert len(heads) == 3 and shown >= set(names)


def test_markdown_sets_published_cells_beside_ours_and_says_where_they_agree(thesis_like, tmp_path, capsys):
    published = tmp_path / "published.csv"
    published.write_text(
        "task,loss,controller,score\nring,bce,sim-gda,0.5\nring,bce,dyn-gda,0.7\nring,sn,dyn-gda,0.2\n"
    )
    assert main(["report", str(thesis_like), "--markdown", "--published", str(published)]) == 0
    said = capsys.readouterr().out
    report, _ = make_report(thesis_like)
    head = cells_of(said, "configuration")
    first, second = (dict(zip(head, cells_of(said, f"ring, {loss}"), strict=True)) for loss in ("bce", "sn"))
    assert head[1:5] == report.order
    median = next(s.median for s in report.scores if (s.block, s.controller) == ("ring, bce", "sim-gda"))
    assert first["sim-gda"] == f"**{estimate(median.value, median.low, median.high)}**<br>there 0.5"
    assert first["dyn-gda"].endswith("<br>there 0.7") and "there" not in first["alt-gda-1"]
    assert first["lowest here"] == first["lowest there"] == "sim-gda"
    assert second["alt-gda-1"].startswith("**1.0") and "(1 failed)" in second["dyn-gda"]
    assert (second["lowest here"], second["lowest there"]) == ("alt-gda-1", "dyn-gda")
    assert "same as in the published table in 1 of 2 cells" in said and "imputed" in said
    assert re.search(r"\| dyn-gda \| 1\.84 \| [\d.]+ \|", said) and "`gan-env bench --suite x`: 40 runs" in said
    assert "best in 16 of 32 cells there and in 0 of 2 here" in said and "ranking is not official" in said
    assert f"χ² = {number(report.ranking.friedman.chi2)}, p" in said and "Nemenyi's critical difference" in said
    assert not (thesis_like / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("task,loss,score\n", "column 'controller' is missing"),
        ("task,loss,controller,score\nring,bce,sim-gda,?\n", "line 2: score '?' is not a finite number"),
        ("task,loss,controller,score\nring,bce,sim-gda\n", "line 2: score 'None'"),
        ("task,loss,controller,score\n" + "ring,bce,sim-gda,1\n" * 2, "line 3: ring, bce, sim-gda appears twice"),
        ("task,loss,controller,score\nrung,bce,sim-gda,1\n", "none of its cells is among the rows"),
    ],
)
def test_a_published_table_that_cannot_be_used_gets_one_line(thesis_like, tmp_path, capsys, content, named):
    (tmp_path / "published.csv").write_text(content)
    assert main(["report", str(thesis_like), "--markdown", "--published", str(tmp_path / "published.csv")]) == 2
    said = capsys.readouterr()
    assert named in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize("options", [["--published", "x.csv"], ["--markdown", "--json"]])
def test_options_that_exclude_each_other_are_a_wrong_call(thesis_like, options):
    assert main(["report", str(thesis_like), *options]) == 2


@pytest.mark.parametrize(("holding", "said"), [(0, "lack"), (40, "untrained generator's"), (36, "4 of 40 rows")])
def test_the_page_says_how_many_rows_lack_the_untrained_generators_score(thesis_like, holding, said):
    found = read_rows(thesis_like)
    for each in found[:holding]:
        each["untrained_score"] = 9.0
    _, path = write_report(write(thesis_like, found), "sim-gda")
    text = Page(path.read_text()).text
    line = text[text.index("Failures in means") : text.index("config.json")]
    assert said in line and ("rows" in line) == (holding < 40)


def test_seeds_that_not_everybody_ran_are_left_out_of_ranks_and_pairs(tmp_path):
    found = [r for r in rows() if not (r["controller"] == "dyn-gda" and r["seed"] >= 3_000_007)]
    report, _ = make_report(write(tmp_path / "a", found))
    assert report.ranking and report.ranking.blocks == 7
    assert {d.controller: d.t.n for d in report.to_baseline} == {"dyn-gda": 7, "constant:3": 10, "alt-gda-1": 10}


def test_rows_of_the_benchmark_itself_are_read(tmp_path):
    config = EnvConfig(task="digits", batch_size=8, episode_updates=12)
    names = ["sim-gda", "constant:3", "dyn-gda"]
    found = compare(config, names, seeds=[3, 4, 5], split="tune").rows
    report, path = write_report(write(tmp_path / "a", found), "sim-gda")
    assert report.ranking and set(report.ranking.controllers) == set(names)
    assert report.facts.splits == ["tune"] and path.stat().st_size > 10_000


def test_packed_rows_are_read_too(tmp_path):
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(each) + "\n" for each in rows())
    assert len(read_rows(tmp_path)) == 40


def test_configurations_are_named_by_what_differs():
    found = rows(seeds=1) + rows(seeds=1, d_lr=0.1, g_lr=0.1) + rows(seeds=1, optimizer={"name": "sgd"})
    assert [b.label for b in make_blocks(found)] == [
        "ring, bce, rate 0.002, optimizer adam", "ring, bce, rate 0.002, optimizer sgd",
        "ring, bce, rate 0.1, optimizer adam",
    ]  # fmt: skip


def test_configurations_that_differ_within_the_optimiser_are_told_apart():
    def adam(beta):
        return {"name": "adam", "betas": [beta, 0.999]}

    blocks = make_blocks([row(optimizer=adam(beta), part=f"beta1={beta}", score=beta) for beta in (0.0, 0.5)])
    assert [b.label for b in blocks] == ["ring, bce, betas (0.0, 0.999)", "ring, bce, betas (0.5, 0.999)"]
    assert [float(b.of("sim-gda", imputed=False)[0]) for b in blocks] == [0.0, 0.5]


def test_no_two_configurations_share_a_label_however_alike_their_settings_look():
    long = "x" * 80
    labels = [b.label for b in make_blocks([row(reward=long + end) for end in "abc"])]
    assert len(set(labels)) == 3


def test_configurations_stand_task_by_task_and_what_a_loss_decides_is_not_named():
    found = [
        row
        for task, loss in (("ring", "bce"), ("line", "wgan"), ("ring", "wgan"), ("line", "bce"))
        for row in rows(seeds=1, task=task, loss=loss, normalise=loss == "wgan", updates=5 if task == "ring" else 7)
    ]
    assert [b.label for b in make_blocks(found)] == ["ring, bce", "ring, wgan", "line, bce", "line, wgan"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{not json", "is not JSON"),
        ("[1, 2]", "not a JSON object"),
        ({"score": None}, "'score' is None at status 'ok'"),
        ({"score": float("nan")}, "'score' is nan"),
        ({"score": "1"}, "'score' is '1'"),
        ({"status": "fine"}, "'status' is 'fine'"),
        ({"seed": True}, "'seed' is 'True', not a whole number"),
        ({"floor": float("inf")}, "'floor' is 'inf', not a finite number"),
        ({"d_lr": 0.0}, "above 0"),
        ({"controller": "a\nb"}, "printable"),
        ({"controller": "x" * 121}, "1 to 120"),
        ({"controller": None}, "'controller' is 'None', not a text"),
        ({"trace": {"update": [1]}}, "'trace'"),
        ({"trace": {"update": [1], "g_loss": [1, 2], "d_loss": [1], "log_d_multiplier": [1]}}, "'trace'"),
        ({"controller": "sim-gda", "seed": 3_000_000}, "as line 1"),
    ],
)
def test_a_malformed_row_gives_one_error_that_names_its_line(tmp_path, capsys, line, named):
    text = line if isinstance(line, str) else json.dumps({**row("pi", 5), **line})
    (tmp_path / "rows.jsonl").write_text(json.dumps(row()) + "\n" + json.dumps(row(seed=1)) + "\n" + text + "\n")
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "line 3" in said and named in said and said.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("prepare", "named"),
    [
        (lambda folder: None, "holds no rows.jsonl"),
        (lambda folder: (folder / "rows.jsonl").write_text(""), "is empty"),
        (lambda folder: (folder / "rows.jsonl").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda folder: write(folder, [row("dyn-gda")]), "unknown baseline 'sim-gda'"),
        (lambda folder: write(folder, [row()]) and (folder / "config.json").write_text("[]"), "no JSON object"),
    ],
)
def test_a_folder_that_cannot_be_reported_is_a_wrong_call(tmp_path, capsys, prepare, named):
    prepare(tmp_path)
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1


def test_json_is_one_document_of_the_pages_numbers(tmp_path, capsys):
    found = rows()
    found[0] |= {"status": "diverged", "score": None}
    assert main(["report", str(write(tmp_path / "a", found)), "--baseline", "alt-gda-1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert document["baseline"] == "alt-gda-1" and document["ranking"]["controllers"][0] == "dyn-gda"
    assert len(document["failures"]) == 1 and document["coverage"]["t"] and document["headline"]


@pytest.mark.parametrize(
    "found",
    [
        [row()],
        [row(), row("constant:3")],
        [row(s, score=None) for s in ("sim-gda", "constant:3", "pi")],
        rows({"sim-gda": 0.0, "constant:3": 0.0, "pi": 0.0}, seeds=1),
        [{**r, "trace": None} for r in rows(seeds=2)],
        rows(seeds=2) + rows({"sim-gda": 1.0}, seeds=1, task="circle"),
        rows(
            {f"controller number {i} with a name that is very long": 1.0 + i for i in range(25)} | CONTROLLERS, seeds=2
        ),
    ],
    ids=["one row", "one seed", "all failed", "zeros", "no trace", "ragged", "crowded"],
)
def test_the_smallest_and_oddest_folders_are_reported(tmp_path, found):
    report, path = write_report(write(tmp_path / "a", found), "sim-gda")
    heads = Page(path.read_text()).heads
    assert heads[0] == "Ranks" and heads[-1] == "What was run" and headline(report)


@pytest.mark.parametrize(
    ("name", "embedded", "learned"),
    [
        ("fsco", True, True), ("fsco (embedded)", True, True), ("fsco (meta)", False, True), ("autoloss", False, True),
        ("fsco (untrained)", False, False), ("fsco (meta) (replay)", False, False), ("replay:f", False, False),
        ("dyn-gda", False, False), ("alt-gda-5", False, False), ("constant:3", False, False),
        ("somebody's own", False, True),
        ("fsco(d_loss_scale='sum')", True, True), ("dyn-gda(c1=1.2)", False, False), ("best-constant", False, False),
    ],
)  # fmt: skip
def test_who_is_trained_online_and_who_needs_a_replay(name, embedded, learned):
    assert (is_embedded(name), is_learned(name)) == (embedded, learned)


def test_every_column_of_the_curves_ends_with_numbers_and_a_name():
    figure = training_curves(rows(seeds=2), ["sim-gda", "dyn-gda", "constant:3"], columns=2)
    named = [axes for axes in figure.axes if axes.get_xlabel() == "update"]
    assert [axes.get_title() for axes in named] == ["dyn-gda", "constant:3"]
    assert [axes.xaxis.get_tick_params()["labelbottom"] for axes in figure.axes[:3]] == [False, True, True]


def test_profiles_are_steps(tmp_path):
    report, _ = make_report(write(tmp_path / "a", rows()))
    figure = profile_lines(report, ["sim-gda", "dyn-gda"])
    assert {line.get_drawstyle() for line in figure.axes[0].get_lines()} == {"steps-post"}


def test_figures_show_any_name_shortened_and_as_it_is():
    assert short("dyn-gda") == "dyn-gda" and short("$x$") == r"\$x\$" and short("統計") == "□□"
    assert len(short("x" * 99)) == 24


@pytest.mark.parametrize("seeds", [1, 4, 5])
def test_under_five_seeds_there_are_values_without_intervals_and_no_verdicts(tmp_path, capsys, seeds):
    folder = write(tmp_path / "a", rows(seeds=seeds) + rows(seeds=seeds, d_lr=1e-2, g_lr=1e-2))
    report, path = write_report(folder, "sim-gda")
    enough = seeds >= 5
    text = Page(path.read_text()).text
    assert ("Too few runs for an interval" in text) != enough
    assert (re.search(r"\d \[−?\d", text) is not None) == enough
    intervals = [i for s in report.scores for i in (s.mean, s.median, s.iqm, s.failure_rate)]
    intervals += [i for d in report.to_baseline for i in (d.t, d.bootstrap_t, d.improvement)]
    intervals += [i for r in report.relative for i in (r.mean, r.median, r.iqm)] + report.ranking.ranks
    intervals += [i for shares in report.profiles.shares.values() for i in shares]
    intervals += [i for curve in report.rate_curves for i in (curve.area, *curve.means)]
    assert {i.bounded for i in intervals} == {enough}
    assert {d.verdict for d in report.to_baseline} == ({-1, 1} if enough else {0})
    assert all((d.p is not None) == enough for d in report.to_baseline)
    assert ("too few runs" in "\n".join(headline(report))) != enough
    assert main(["report", str(folder), "--markdown"]) == 0
    said = capsys.readouterr().out
    assert ("Too few runs" in said) != enough and (re.search(r"\d \[", said) is not None) == enough
    assert (re.search(r"\d \[", summary(rows(seeds=seeds))) is not None) == enough
    assert f"(n = {seeds})" in summary(rows(seeds=seeds)) or enough


def test_terminal_page_and_json_give_one_mean_where_runs_failed(tmp_path):
    found = rows()
    found[3] |= {"status": "diverged", "score": None}
    mean = next(s.mean for s in make_report(write(tmp_path / "a", found))[0].scores if s.controller == "sim-gda")
    line = next(line for line in summary(found).splitlines() if line.startswith("sim-gda"))
    assert mean and f"{mean} †" in " ".join(line.split())
    assert as_json(found)[0]["controllers"]["sim-gda"] == {"runs": 10, "failed": 1, "mean_score": mean.value}


def a_benchmark(seeds=3):
    """Two groups of a benchmark with one controller that the second game refuses, and its configuration."""
    one = rows(seeds=seeds, part="main", group="a")
    names = {name: level for name, level in CONTROLLERS.items() if name != "dyn-gda"}
    undefined = [{"part": "main", "task": "line", "loss": "bce", "controller": "dyn-gda", "why": "it does not fit"}]
    config = {"parts": [{"name": "main", "controllers": list(CONTROLLERS)}], "undefined": undefined}
    return one, rows(names, seeds=seeds, part="main", group="b", task="line"), config


@pytest.mark.parametrize("kept", range(1, 10))
def test_a_group_that_ends_at_a_lines_end_counts_only_if_it_is_whole(tmp_path, capsys, kept):
    one, other, config = a_benchmark()
    folder = write(tmp_path / "a", one + other[:kept], config)
    if kept == len(other):
        assert len(read_rows(folder)) == len(one) + kept
        return
    assert main(["report", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"the last group is incomplete ({-(-kept // 3)} of 3 controllers in the last {kept} lines)" in said
    assert "gan-env bench --out DIR" in said and said.count("\n") == 1


@pytest.mark.parametrize("config", [{"parts": [1]}, {"parts": 3}, {"parts": [{"name": "main"}]}])
def test_a_benchmarks_configuration_that_was_damaged_gets_one_line(tmp_path, capsys, config):
    assert main(["report", str(write(tmp_path / "a", a_benchmark()[0], config))]) == 2
    said = capsys.readouterr().err
    assert "config.json is not a benchmark's" in said and said.count("\n") == 1
