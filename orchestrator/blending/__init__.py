"""Ensemble weights, tuned on out-of-fold predictions.

    predictions.py  the predictions of a finished job, with checked shapes
    members.py      all members of an ensemble, stitched from the folds' predictions
    contest.py      lwlrap of many blends of the same members, fast
    selection.py    greedy selection of members
    stacking.py     non-negative least squares
    bagging.py      both on resamples of the clips, averaged
    search.py       how they are mixed, and Optuna's search for a better mixture
    tune.py         weights and their nested score: `tune_blend`
    about.py        what a study of weights says of itself
    continued.py    more trials for a study
    result.py       `BlendResult`, and `Blend`: the file blend.json
    run.py          the work of the blend's job

Invariants: equal inputs give equal weights to the bit, wherever trials are recorded and however often the search was
interrupted. Nothing is unpickled. The reported score is `oof_lwlrap_nested`; scores of weights on the predictions they
were tuned on are too high. Reports do not import Optuna, so they do not wait for it.
"""

from orchestrator.blending.result import Blend, BlendResult

__all__ = ["Blend", "BlendResult"]
