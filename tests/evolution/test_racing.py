"""Racing: who is stopped, and that one seed still gives one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenmachine.evolution import Run
from greenmachine.evolution.evaluators import SampleEvaluators
from greenmachine.evolution.individual import Individual
from greenmachine.files import read_json
from greenmachine.language import parse
from greenmachine.selection import ObjectiveFitness
from tests.evolution.conftest import Quiet, settings

RACING = settings(evolution={"racing": 8})
KEPT = ("checkpoint.json", "hall_of_fame.json")

pytestmark = pytest.mark.usefixtures("synthetic_data")


@pytest.fixture(scope="module")
def raced(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raced") / "run"
    Run(RACING, folder, [], Quiet()).execute()
    return folder


def test_resumed_race_equals_unbroken_race(raced: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        Run(RACING, folder, [], Quiet(stop_after=1)).execute()
    Run.resume(folder, Quiet()).execute()
    for name in KEPT:
        found, expected = read_json(folder / name), read_json(raced / name)
        if name == "checkpoint.json":
            found, expected = found["search"], expected["search"]
        assert found == expected


def test_the_stopped_count_but_do_not_breed(raced: Path) -> None:
    listener = Quiet()
    Run(RACING, raced.parent / "again", [], listener).execute()
    size, elites = RACING.evolution.population, RACING.evolution.elites
    bred = [size] + [size - elites] * RACING.evolution.generations
    assert [row["individuals"] for row in listener.rows] == [
        sum(bred[: place + 1]) for place in range(len(bred))
    ]
    assert any(len(population) < size for population in listener.populations)


def test_who_goes_on(raced: Path) -> None:
    run = Run.resume(raced, Quiet())
    terminals = list(run.grammar.terminals)
    evaluators = SampleEvaluators(run.config, run.task_sets, terminals, raced / "signals", Quiet())
    racing = evaluators.racing()
    constant = parse("first_layer(channel_count(noise_input))")
    size = parse("sum_layers(numel(weight))")
    assert racing.passed([constant, size], []) == [False, True]
    judged = racing.evaluator([constant, size])
    networks = len(racing.evaluator.fitness.tasks[0].index)
    assert networks == 8
    assert racing.deviation == pytest.approx((2 * 21 / (9 * 8 * 7)) ** 0.5)
    good = Individual([], ObjectiveFitness, parse("sum_layers(depth)"))
    for margin, passes in ((-0.01, True), (0.01, False)):
        good.fitness.values = [float(judged.fitness[1]) + 2 * racing.deviation + margin]
        assert racing.passed([constant, size], [good]) == [False, passes]
