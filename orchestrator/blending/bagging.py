"""Weights from many resamples of the clips, and what the clips that a resample left out say about them.

A *bag* is a resample: groups of clips are drawn with replacement, and each counts as often as it was drawn. Members get
weights on each bag, by greedy selection and by stacking, and these are averaged over the bags. So they depend less on
single clips than weights from all clips at once. A clip can be scored with the weights of the bags that left it out.
This estimates what a blend is worth on clips that its weights never saw.

Source: Breiman, "Out-of-bag estimation", 1996.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.blending.contest import Contest, Floats
from orchestrator.blending.selection import select
from orchestrator.blending.stacking import stack
from trainers.randomness import generator

__all__ = ["BAGS", "ROUNDS", "Bagged", "Mixture", "bag_all", "draw_bags"]

BAGS = 20
"""More gain at most 0.0005 held out (docs/experiments.md)."""
ROUNDS = 15
"""Fewer lose on many clips, more gain nothing."""
GREEDY_ROUNDS = 50
"""Of one selection on all clips: later rounds change a weight by less than 2 %."""


@dataclass(frozen=True)
class Mixture:
    """How weights are made; the default is what generalises best on few clips (docs/experiments.md)."""

    bags: int = BAGS
    """Bags whose weights are averaged. 1: weights are from all clips as they are."""
    rounds: int = ROUNDS
    """Rounds of each greedy selection, of which the best stage is kept."""
    stacked: float = 0.5
    """Share of the stacked weights, 0 to 1; the rest is greedy selection."""
    uniform: float = 0.0
    """Share of the uniform weights in the result, 0 to 1."""
    published: float = 0.0
    """Share of the published weights in the result, 0 to 1."""


@dataclass(frozen=True)
class Bagged:
    """Weights from some of the clips, and from bags of them.

    Attributes:
        contest: the members, on all clips.
        inside: (P,) the (clip, true label) pairs of the clips.
        out: (B, P) whether a pair is one of them that the bag left out.
        on_all: (GREEDY_ROUNDS, M) weights selected on all the clips, by rounds.
        on_bags: (ROUNDS, B, M) weights selected on each bag, by rounds.
        stacked_on_all: (M,) stacked weights.
        stacked_on_bags: (B, M) stacked weights of each bag.
        uniform: (M,)
        published: (M,), or None.
    """

    contest: Contest
    inside: NDArray[np.bool_]
    out: NDArray[np.bool_]
    on_all: Floats
    on_bags: Floats
    stacked_on_all: Floats
    stacked_on_bags: Floats
    uniform: Floats
    published: Floats | None

    def weights(self, mixture: Mixture) -> Floats:
        """The weights (M,), at least 0, with sum 1."""
        if mixture.bags == 1:
            greedy, stacked = self.on_all[mixture.rounds - 1], self.stacked_on_all
        else:
            greedy, stacked = self.on_bags[mixture.rounds - 1].mean(axis=0), self.stacked_on_bags.mean(axis=0)
        mixed = (1 - mixture.stacked) * greedy + mixture.stacked * stacked
        mixed = (1 - mixture.uniform) * mixed + mixture.uniform * self.uniform
        if self.published is not None:
            mixed = (1 - mixture.published) * mixed + mixture.published * self.published
        weights: Floats = mixed / mixed.sum()
        return weights

    @cached_property
    def scored(self) -> NDArray[np.bool_]:
        """(P,) pairs that some bag left out: those that can be scored."""
        scored: NDArray[np.bool_] = np.any(self.out, axis=0)
        return scored

    def out_of_bag(self, mixture: Mixture) -> Floats:
        """Precision at each pair that is `scored`, by weights from bags that left its clip out."""
        mixed = (1 - mixture.uniform) * self._mixed(mixture) + mixture.uniform * self._uniform
        if self._published is not None:
            mixed = (1 - mixture.published) * mixed + mixture.published * self._published
        return self.contest.precisions(mixed)[self.scored]

    def _mixed(self, mixture: Mixture) -> NDArray[np.float32]:
        """The differences (K,), each mixed by the weights of the bags that left its clip out, or of the first."""
        used = self.out & (np.cumsum(self.out, axis=0) <= mixture.bags)  # (B, P)
        shares = used / np.maximum(used.sum(axis=0), 1)  # (B, P)
        greedy = self.on_bags[mixture.rounds - 1]  # (B, M)
        by_bag = (1 - mixture.stacked) * greedy + mixture.stacked * self.stacked_on_bags  # (B, M)
        weights = (shares.T @ by_bag).astype(np.float32)  # (P, M)
        mixed: NDArray[np.float32] = np.einsum(
            "km,km->k", self.contest.differences, weights.take(self.contest.pairs, axis=0)
        )
        return mixed

    @cached_property
    def _uniform(self) -> NDArray[np.float32]:
        return self.contest.mix(self.uniform)

    @cached_property
    def _published(self) -> NDArray[np.float32] | None:
        return None if self.published is None else self.contest.mix(self.published)


def draw_bags(groups: NDArray[np.int64], bags: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each clip is drawn, (bags, n), when as many groups as there are are drawn with replacement.

    Args:
        groups: (n,) whole numbers; clips of one group are drawn together.
        bags: how many resamples.
        rng: where the draws come from.
    """
    _, index = np.unique(groups, return_inverse=True)  # (n,)
    count = int(index.max()) + 1
    return np.stack([np.bincount(rng.integers(count, size=count), minlength=count)[index] for _ in range(bags)])


def bag_all(
    oof: NDArray[np.float32],
    truth: NDArray[np.bool_],
    groups: NDArray[np.int64],
    parts: NDArray[np.bool_],
    *,
    seed: int,
    limit: int | None = None,
    published: Floats | None = None,
) -> list[Bagged]:
    """Weights from several sets of clips, found at once, since greedy selections take many members in common.

    Args:
        oof: (M, N, C) predictions.
        truth: (N, C) labels.
        groups: (N,) group of each clip.
        parts: (S, N) the sets; each has a labelled clip.
        seed: of the bags.
        limit: number of members that may have a weight. One selection on all clips of a part chooses them.
        published: (M,) weights.
    """
    contest = Contest(oof, truth)
    drawn = np.zeros((len(parts), BAGS, parts.shape[1]))
    labelled = np.unique(contest.clips)
    for number, part in enumerate(parts):
        clips = labelled[part[labelled]]
        drawn[number][:, clips] = draw_bags(groups[clips], BAGS, generator(seed, "bags", number))
    inside, shares = parts[:, contest.clips], drawn[:, :, contest.clips]  # (S, P), (S, B, P)
    on_all = select(contest, inside.astype(np.float64), GREEDY_ROUNDS, limit=limit)  # (rounds, S, M)
    allowed = np.ones_like(on_all[0], dtype=bool) if limit is None else on_all[-1] > 0  # (S, M)
    by_bag = np.repeat(allowed, BAGS, axis=0)  # (S B, M)
    on_bags = select(contest, shares.reshape(len(by_bag), -1), ROUNDS, allowed=by_bag)
    on_bags = on_bags.reshape(ROUNDS, len(parts), BAGS, len(oof))
    counts = np.concatenate([parts & truth.any(axis=1), drawn.reshape(len(by_bag), -1)])  # (S + S B, N)
    stacked = stack(oof, truth, counts, np.concatenate([allowed, by_bag]))  # (S + S B, M)
    return [
        Bagged(
            contest=contest,
            inside=inside[number],
            out=inside[number] & (shares[number] == 0),
            on_all=on_all[:, number],
            on_bags=on_bags[:, number],
            stacked_on_all=stacked[number],
            stacked_on_bags=stacked[len(parts) :].reshape(len(parts), BAGS, -1)[number],
            uniform=may / may.sum(),
            published=None if published is None or not (published * may).any() else _scaled(published * may),
        )
        for number, may in enumerate(allowed)
    ]


def _scaled(weights: Floats) -> Floats:
    scaled: Floats = weights / weights.sum()
    return scaled
