"""The scores of a run, made from the predictions in the store.

    build.py        builds the report, writes report.json and the submission
    types.py        the report as dataclasses, with its JSON form
    gains.py        what conditions and the blend gain over the simple thing
    students.py     how much smaller a student is than the blend, and what that costs
    scores.py       lwlrap of conditions and ensembles
    reliability.py  how often a class is there, given its score
    bootstrap.py    95 % intervals of a score
    rows.py         rows of tables that the terminal and the pages share
    tables.py       the report on a terminal
    labels.py       scores against a CSV of test labels
    submission.py   the submission CSV

Invariants: nothing here changes the store. A score that does not exist yet is None. Scores of models that saw the
labels they are scored on are marked leaky, in whatever form a report is shown.
"""
