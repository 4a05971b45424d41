"""Stitched predictions are the folds' predictions, put back in the order of the clips."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.files import save_npy, write_json
from orchestrator.blending.members import stitch
from tests.fixtures.manifests import CLASSES, manifest_of

FORMS = st.tuples(
    st.integers(1, 3), st.sampled_from([["curated"], ["curated", "noisy"]]), st.sampled_from([[0], [2, 4]])
)


@settings(max_examples=25)  # each writes files
@given(
    st.lists(st.integers(0, 2), min_size=3, max_size=20).filter(lambda folds: {*folds} == {0, 1, 2}),
    st.dictionaries(st.sampled_from(["A", "B", "D"]), FORMS, min_size=1),
    st.integers(0, 3),
)
def test_stitched_predictions_are_a_permutation_of_the_folds(
    folds: list[int], conditions: dict[str, tuple[int, list[str], list[int]]], test: int
) -> None:
    manifest = manifest_of(folds, test=test)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        whole, tests, wanted = [], [], []
        for number, (condition, (cycles, heads, pads)) in enumerate(conditions.items()):
            shape = (cycles, len(heads), len(pads), len(folds), len(CLASSES))
            # No two scores are equal, so a clip or member in another's place shows.
            scores = (1_000_000 * number + np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
            unseen = np.random.default_rng(number).random((3, *shape[:3], test, len(CLASSES)), dtype=np.float32)
            for fold in range(3):
                folder = root / f"{condition}-{fold}"
                save_npy(folder / "curated.npy", scores[:, :, :, np.array(folds) == fold])
                save_npy(folder / "test.npy", unseen[fold])
                write_json(
                    folder / "done.json", {"result": {"cycles": cycles, "heads": heads, "pads": pads}, "files": {}}
                )
            whole.append(scores.reshape(-1, len(folds), len(CLASSES)))
            tests.append(unseen.mean(axis=0).reshape(-1, test, len(CLASSES)) if test else None)
            wanted += [(condition, c + 1, head, pad) for c in range(cycles) for head in heads for pad in pads]
        found = stitch({c: [root / f"{c}-{fold}" for fold in range(3)] for c in conditions}, manifest)
    assert np.array_equal(found.oof, np.concatenate(whole))
    assert [(m.condition, m.cycle, m.head, m.pad) for m in found.members] == wanted
    assert found.test.shape == (len(wanted), test, len(CLASSES))
    if test:
        np.testing.assert_allclose(found.test, np.concatenate([part for part in tests if part is not None]), rtol=1e-6)
