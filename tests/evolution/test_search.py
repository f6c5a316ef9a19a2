"""The generation loop: selection schemes, seeds, limits, interruption."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from greenmachine.callbacks import Generation
from greenmachine.config import RunConfig
from greenmachine.engine import Evaluator
from greenmachine.evolution import Run, Search
from greenmachine.evolution.evaluators import SampleEvaluator
from greenmachine.evolution.individual import cleared, distinct
from greenmachine.evolution.operators import owned_random
from greenmachine.language import Expression, parse
from greenmachine.primitives.registry import NETWORK_SCALAR
from greenmachine.selection import Selection

from .conftest import Quiet, settings

pytestmark = pytest.mark.usefixtures("synthetic_data")

SEED = "sum_layers(l2_norm(weight))"


class Keep(Quiet):
    """Keeps the search itself."""

    _search: Search

    @property
    def search(self) -> Search:
        return self._search

    def on_generation(self, generation: Generation) -> None:
        self._search = generation.search
        super().on_generation(generation)


def unbroken_like_resumed(config: RunConfig, tmp_path: Path) -> Keep:
    whole = Keep()
    Run(config, tmp_path / "whole", [], whole).execute()
    broken = Keep(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        Run(config, tmp_path / "broken", [], broken).execute()
    resumed = Keep()
    Run.resume(tmp_path / "broken", resumed).execute()
    assert resumed.search.state() == whole.search.state()
    return whole


def only(kind: str) -> dict[str, float]:
    """Every child is the best of a brood."""
    return {"crossover": 0, "combine": 0, "tune": 0, kind: 1}


# Lexicase needs several tasks: test_several.py has it.
SLOW = {"double_tournament", "tournament"}


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in Selection.members
        if name != "lexicase"
    ],
)
def test_selection_schemes_run_and_resume(selection: str, tmp_path: Path) -> None:
    scheme = {"scheme": selection, **({"mu": 5} if selection == "mu_plus_lambda" else {})}
    config = settings(selection=scheme, evolution={"generations": 3})
    whole = unbroken_like_resumed(config, tmp_path)
    assert len(whole.search.population) == (5 if selection == "mu_plus_lambda" else 16)


@pytest.mark.parametrize("kind", ["combine", "tune"])
def test_broods_run_resume_and_need_no_tensor_computation(kind: str, tmp_path: Path) -> None:
    config = settings(evolution={"brood": 12, "generations": 3, "immigrants": 0, **only(kind)})
    search = unbroken_like_resumed(config, tmp_path).search
    before = search.train.counts()["evaluated"]
    with owned_random(random.Random(0).getstate()):
        children = search.breeder.next(search.population, 8, set())
    assert search.train.counts()["evaluated"] == before
    for child in children:
        assert child.expression.kind == NETWORK_SCALAR
        assert child.expression == search.grammar.expression(child)


@pytest.mark.parametrize("kind", [pytest.param("crossover", marks=pytest.mark.slow), "combine"])
def test_a_search_is_the_same_where_others_draw_while_it_waits_for_workers(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(evolution={"brood": 12, "generations": 2, **only(kind)})
    quiet, disturbed = Keep(), Keep()
    Run(config, tmp_path / "quiet", [], quiet).execute()
    scores, calls = Evaluator.scores, []

    def drawing(self: Evaluator, expressions: Any, *options: Any) -> Any:
        calls.append(random.random())  # as the scheduler of a local Dask cluster does, in a thread
        return scores(self, expressions, *options)

    monkeypatch.setattr(Evaluator, "scores", drawing)
    Run(config, tmp_path / "disturbed", [], disturbed).execute()
    assert calls
    assert disturbed.search.state() == quiet.search.state()


@pytest.mark.parametrize("kind", ["combine", "tune"])
def test_every_brood_gives_its_best_and_all_are_judged_together(kind: str, tmp_path: Path) -> None:
    listener = Keep()
    Run(settings(evolution={"brood": 12, **only(kind)}), tmp_path / "run", [], listener).execute()
    search = listener.search
    fitness: dict[str, float] = {}
    calls = []

    def noting(expressions: list[Expression]) -> list[float]:
        found: list[float] = search.train(expressions).fitness.tolist()
        calls.append(len(expressions))
        fitness.update({e.text: f for e, f in zip(expressions, found, strict=True)})
        return found

    breeder = search.breeder
    breeder.fitness_of = noting
    taken: set[str] = set()
    with owned_random(random.Random(0).getstate()):
        broods = [b for _ in range(8) for b in breeder._children(search.population, taken)]
    several = [brood for brood in broods if len(brood) > 1]
    assert len(several) >= 4
    lone = {brood[0].text for brood in broods if len(brood) == 1}
    assert taken == lone
    before = set(lone)
    best = breeder._best(broods, taken)
    assert calls == [sum(map(len, several))]
    assert len({candidate.text for candidate in best}) == len(best)
    chosen = iter(best)
    for brood in broods:
        if len(brood) == 1:
            assert next(chosen) is brood[0]
        elif free := [c for c in brood if c.text not in before]:
            best_one = next(chosen)
            assert best_one in free
            assert fitness[best_one.expression.text] == max(
                fitness[c.expression.text] for c in free
            )
            before.add(best_one.text)
    assert next(chosen, None) is None


def test_a_brood_that_is_taken_by_others_is_drawn_again(tmp_path: Path) -> None:
    """Eight children of one small parent: their broods have the same candidates."""
    listener = Keep(stop_after=0)
    seed = parse("sum_layers(depth)")
    config = settings(evolution={"brood": 12, **only("combine")})
    with pytest.raises(KeyboardInterrupt):
        Run(config, tmp_path / "run", [seed], listener).execute()
    breeder = listener.search.breeder
    pool = [i for i in listener.search.population if i.expression == seed] * 2
    with owned_random(random.Random(0).getstate()):
        children = breeder.next(pool, 16, set())
    assert len(children) == len({child.text for child in children}) == 16


def test_nsga2_keeps_small_trees(tmp_path: Path) -> None:
    listener = Keep()
    config = settings(selection="nsga2", evolution={"generations": 2})
    Run(config, tmp_path / "run", [], listener).execute()
    population = listener.search.population
    smallest, best = min(population, key=len), max(population, key=lambda i: i.fitness.values[0])
    assert all(len(i.fitness.values) == 2 for i in population)
    assert len(smallest) <= len(best)


def test_seeds_are_in_the_first_population(tmp_path: Path) -> None:
    listener = Keep(stop_after=0)
    seeds = [parse(SEED), parse(SEED), parse("mean_layers(depth)")]
    with pytest.raises(KeyboardInterrupt):
        Run(settings(), tmp_path / "run", seeds, listener).execute()
    assert listener.populations[0][:2] == [SEED, "mean_layers(depth)"]
    assert len(set(listener.populations[0])) == 16


def test_limits_hold_in_every_generation(tmp_path: Path) -> None:
    limits = {"max_height": 5, "max_size": 9, "start_height": [2, 4]}

    class Check(Keep):
        def on_generation(self, generation: Generation) -> None:
            super().on_generation(generation)
            assert all(i.height <= 5 and len(i) <= 9 for i in self.search.population)

    listener = Check()
    Run(settings(language=limits), tmp_path / "run", [], listener).execute()
    assert len(listener.rows) == 5


def test_interrupted_generation_changes_nothing(tmp_path: Path) -> None:
    listener = Keep(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        Run(settings(), tmp_path / "run", [], listener).execute()
    search = listener.search
    before = search.state()
    evaluator = search.train

    class Killed(SampleEvaluator):
        def __call__(self, *_: Any) -> Any:
            raise KeyboardInterrupt

    search.train = Killed(evaluator.evaluators, evaluator.fitness.tasks, evaluator.objective)
    with pytest.raises(KeyboardInterrupt):
        search.step()
    assert search.state() == before
    search.train = evaluator
    search.step()
    assert search.generation == before.generation + 1


def test_only_new_individuals_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def begin(self: SampleEvaluator, expressions: list[Expression]) -> None:
        begun.extend(expression.text for expression in expressions)

    monkeypatch.setattr(SampleEvaluator, "begin", begin)
    listener = Keep(stop_after=1)
    rates = {"crossover": 0.6, "combine": 0.2, "tune": 0.2, "brood": 4}
    with pytest.raises(KeyboardInterrupt):
        Run(settings(evolution=rates), tmp_path / "run", [], listener).execute()
    search = listener.search
    for _ in range(8):
        begun.clear()
        new = search.ask()
        assert set(begun) <= {individual.expression.text for individual in new}
        search.tell(new, search.train([individual.expression for individual in new]))
    assert begun


def test_cleared_keeps_the_best_of_every_niche(tmp_path: Path) -> None:
    listener = Keep(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        Run(settings(), tmp_path / "run", [], listener).execute()
    search = listener.search
    forms = [search.grammar.expression(individual) for individual in search.population]
    directions = [individual.direction for individual in search.population]
    behaviours = search.train.behaviours(forms, directions)
    scores = search.train.evaluators["cifar10"].scores(forms) * np.array(directions)[:, None]
    finite = [i for i in range(len(forms)) if np.isfinite(scores[i]).all() and np.ptp(scores[i])]
    for i in finite[:5]:
        for j in finite[:5]:
            expected = spearmanr(scores[i], scores[j]).statistic
            assert behaviours[i] @ behaviours[j] == pytest.approx(expected, abs=1e-9)
    best = cleared(search.population, behaviours, niche=0.8)
    places = [search.population.index(individual) for individual in best]
    alike = behaviours[places] @ behaviours[places].T
    assert (alike - np.diag(np.diag(alike))).max() <= 0.8
    assert len(best) < len(search.population)
    for place, individual in enumerate(search.population):
        near = [
            k for k, p in enumerate(places) if p == place or behaviours[place] @ behaviours[p] > 0.8
        ]
        assert near or not behaviours[place].any()
        if near:
            assert best[near[0]].fitness.values[0] >= individual.fitness.values[0]


def test_distinct_keeps_the_smallest_of_those_that_rank_alike(tmp_path: Path) -> None:
    seeds = [parse("sum_layers(depth)"), parse("sum_layers(abs(depth))")]
    listener = Keep(stop_after=0)
    with pytest.raises(KeyboardInterrupt):
        Run(settings(), tmp_path / "run", seeds, listener).execute()
    population = listener.search.population
    assert population[0].tau == population[1].tau
    texts = [individual.text for individual in distinct(population)]
    assert "sum_layers(abs(depth))" not in texts
    fitness = [individual.fitness.values[0] for individual in distinct(population)]
    assert fitness == sorted(fitness, reverse=True)


def test_asked_again_it_gives_the_same_and_tells_once(tmp_path: Path) -> None:
    keep = Keep()
    Run(settings(evolution={"generations": 1}), tmp_path / "run", [], keep).execute()
    search = keep.search
    first, second = search.ask(), search.ask()
    assert [individual.text for individual in first] == [each.text for each in second]
    assert search.generation == 1
    judged = search.train([search.grammar.expression(individual) for individual in second])
    search.tell(second, judged)
    assert search.generation == 2
    assert {individual.text for individual in second} <= {i.text for i in search.population}
    with pytest.raises(RuntimeError, match="asking"):
        search.tell(second, judged)
