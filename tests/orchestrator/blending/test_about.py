"""What a study of weights says of itself."""

from orchestrator.blending.about import about_study
from orchestrator.blending.search import PUBLISHED, SPACE


def test_the_note_explains_every_parameter_and_where_it_comes_from() -> None:
    about = about_study("without fold 3", 19, {"grid": "tiny", "RUN": "/runs/tiny"})
    assert about.note.startswith("# Weights of the blend, without fold 3\n")
    assert all(f"| {name} |" in about.note for name in {**SPACE, **PUBLISHED})
    assert "- **RUN**: /runs/tiny\n" in about.note
    assert about.facts == {
        "grid": "tiny", "RUN": "/runs/tiny", "members": "19", "clips": "the curated clips of all folds but 3",
    }  # fmt: skip
    assert about_study("all folds", 19, {}).facts["clips"] == "all curated clips"
