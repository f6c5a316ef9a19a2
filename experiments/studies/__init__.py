"""Tables and figures of the documents that single studies measured (``experiments.figures``).

``TABLES`` are the Markdown tables by name. ``FIGURES`` are functions by name; their arguments are
the rest of an address: ``<!-- figure:run/gm_tss/test -->`` is ``run("gm_tss", "test")``.
"""

from __future__ import annotations

from collections.abc import Callable

from experiments.studies import networks, published, rankings, searches, speed

__all__ = ["FIGURES", "TABLES"]

TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        searches.searches_single,
        searches.searches_several,
        published.deviations,
        published.vkdnw,
        published.meco,
        searches.beginnings,
        searches.ablation_families,
        rankings.sed_topology,
        rankings.sed_live,
        rankings.sed_size,
        speed.cost_predicted,
        speed.cost_scaled,
        speed.performance,
        rankings.first_choices,
    )
}
FIGURES: dict[str, Callable[..., str]] = {
    made.__name__: made
    for made in (
        searches.run,
        searches.nodes,
        searches.used,
        searches.family_mean,
        published.published,
        published.published_ndcg,
        rankings.standard_errors,
        published.deviation_errors,
        published.live,
        published.grasp_deviation,
        published.grasp_difference,
        published.meco_noise,
        searches.ablation_mean,
        searches.ablation_gain,
        searches.individuals,
        searches.languages_difference,
        speed.seconds,
        speed.times_as_long,
        speed.slowest,
        speed.main_process,
        rankings.top_accuracy,
        rankings.unseen,
        rankings.best_stratified,
        searches.export_lines,
        networks.coverage,
        networks.own_networks,
    )
}
