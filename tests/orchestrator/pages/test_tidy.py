"""One row per figure."""

import csv
import io

from orchestrator.pages.tidy import COLUMNS, to_csv
from orchestrator.report.types import Report


def test_every_figure_that_exists_has_a_row(made: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made))))
    assert tuple(rows[0]) == COLUMNS
    found = {(row["of"], row["name"], row["figure"]): row for row in rows}
    assert len(found) == len(rows), "no figure twice"
    assert found["condition", "'=A", "cv_best_lwlrap"]["published"] == "0.85"
    assert found["condition", "B", "oof_lwlrap"] == {
        "of": "condition", "name": "B", "figure": "oof_lwlrap", "value": "0.7", "low": "0.6", "high": "0.8",
        "published": "", "leaky": "yes",
    }  # fmt: skip
    assert found["blend", "blend", "oof_lwlrap_nested"]["high"] == "0.8"
    assert found["blend", "blend", "test_private_lwlrap"]["value"] == "0.77"
    assert found["member", "B cycle 1 curated head pad 2", "weight"]["value"] == "1"
    assert found["class", "Bark", "oof_lwlrap"]["low"] == "0.5"
    assert ("class", "Rain", "oof_lwlrap") not in found


def test_no_name_is_a_formula_in_a_spreadsheet(made: Report) -> None:
    names = [row["name"] for row in csv.DictReader(io.StringIO(to_csv(made)))]
    assert "'=A" in names
    assert not any(name.startswith("=") for name in names)
