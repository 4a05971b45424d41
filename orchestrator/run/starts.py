"""Files that networks start from: whether their weights fit, before anything runs."""

from pathlib import Path

from features.errors import GridError, StoreError
from orchestrator.grids.recipe import Recipe
from trainers.settings import ResNetSettings, SEResNeXtSettings

__all__ = ["check_starts"]


def check_starts(recipe: Recipe) -> None:
    """Compare the shapes in the files of `network.init_from` with the networks that start from them.

    A file that is gone is no problem here: its checksum is known, and a run whose trainings are done needs it no more.

    Raises:
        GridError: the weights in a file are of another network; the message names the condition.
    """
    for name, condition in recipe.conditions.items():
        network = condition.train.network
        if not isinstance(network, ResNetSettings | SEResNeXtSettings) or network.init_from is None:
            continue
        path = Path(network.init_from)
        if not path.exists():
            continue
        # Grids without such a file are planned without torch.
        import torch

        from trainers.network import Tagger
        from trainers.weights import check_start

        with torch.device("meta"):
            form = Tagger(network, 1, noisy_head=False, bands=condition.features.bands)
        try:
            check_start(path, form)
        except StoreError as error:
            raise GridError(f"conditions.{name}.{error}") from None
