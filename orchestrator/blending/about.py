"""What a study of weights says of itself to people who open it in Optuna Dashboard."""

from collections.abc import Mapping

from orchestrator.studies.record import About

__all__ = ["about_study"]


def about_study(name: str, members: int, facts: Mapping[str, str]) -> About:
    """What a study of weights says of itself.

    Args:
        name: 'all folds' or 'without fold K'.
        members: how many members have weights.
        facts: where they come from: grid, RUN, data.
    """
    fold = name.rpartition(" ")[2]
    clips = "all curated clips" if name == "all folds" else f"the curated clips of all folds but {fold}"
    lines = [f"- **{key}**: {value}" for key, value in facts.items()]
    part = "" if name == "all folds" else " These weights score that fold in the nested lwlrap of the blend."
    note = f"""\
# Weights of the blend, {name}

How the weights of {members} members are mixed, searched on {clips}.{part}

{chr(10).join(lines)}

A trial is worth the lwlrap of clips that its weights never saw: each is scored with weights from the resamples of the
clips (bags) that left it out. Trials with the attribute `baseline` are weightings that the search has to beat. The
attribute `weights` has the weights by member that a trial leads to. The blend uses the best trial only if it is better
than `default` by three standard errors.

| parameter | meaning |
|---|---|
| bags | resamples of the clips whose weights are averaged; 1: weights are from all clips at once |
| rounds | rounds of each greedy selection of members |
| share of stacked weights | non-negative least squares; the rest is greedy selection |
| share of uniform weights | equal weights in the result |
| share of published weights | the published ensemble's weights in the result |
"""
    return About(note, {**facts, "members": str(members), "clips": clips}, "lwlrap of clips that the weights never saw")
