"""A tagger as MLflow's python_function: `mlflow models serve` loads it by this module, without unpickling.

The input is a table with the column `audio`, the bytes of an audio file in each row; over HTTP they are base64.
The output has a row for each input and a column of scores for each class.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from orchestrator.tagger.registered import REFERENCE, read_reference
from orchestrator.tagger.tagger import Tagger

__all__ = ["AUDIO", "PythonFunction", "_load_pyfunc"]

AUDIO = "audio"
"""The column of the input."""


class PythonFunction:
    """What MLflow calls."""

    def __init__(self, tagger: Tagger) -> None:
        self.tagger = tagger

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """Scores of sounds.

        Args:
            model_input: column `audio`: the bytes of audio files.

        Returns:
            One column per class, one row per sound.

        Raises:
            InputError: there is no column `audio`.
            DataError: sounds that cannot be read.
        """
        if AUDIO not in model_input:
            raise InputError(f"the input has no column '{AUDIO}': give the bytes of an audio file in each row")
        sounds = [bytes(sound) for sound in model_input[AUDIO]]
        return pd.DataFrame(self.tagger.scores(sounds).astype(np.float64), columns=list(self.tagger.classes))


def _load_pyfunc(data_path: str) -> PythonFunction:
    """Called by MLflow with the path of the `.tagger` file, or of the file that refers to a RUN."""
    path = Path(data_path)
    return PythonFunction(Tagger.load(read_reference(path) if path.name == REFERENCE else path))
