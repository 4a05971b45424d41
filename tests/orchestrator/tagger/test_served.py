"""A `.tagger` file as MLflow calls it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from orchestrator.run.bound import Run
from orchestrator.tagger.served import PythonFunction
from orchestrator.tagger.tagger import Tagger


def test_a_table_of_sounds_becomes_a_table_of_scores(inline_run: Run, small_data: Path) -> None:
    tagger = Tagger.load(inline_run.folder)
    paths = sorted(small_data.glob("test/*.wav"))[:2]
    found = PythonFunction(tagger).predict(pd.DataFrame({"audio": [path.read_bytes() for path in paths]}))
    assert list(found.columns) == list(tagger.classes)
    np.testing.assert_allclose(found.to_numpy(), tagger.scores(paths), atol=2e-6)
    with pytest.raises(InputError, match="the input has no column 'audio'"):
        PythonFunction(tagger).predict(pd.DataFrame({"sound": [b""]}))
