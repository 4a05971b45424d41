"""What people see of a run, made from the store only.

    status.py         one line per job; watch
    logs.py           the logs of a job's attempts
    launch_text.py    what a launch prints before and after its jobs
    progress.py       the terminal of a launch while it runs
    report.py         builds the report, writes report.json and the submission
    report_types.py   the report as dataclasses, with its JSON form
    report_tables.py  the report on a terminal
    scores.py         lwlrap of conditions and ensembles, from predictions in the store
    bootstrap.py      95 % intervals of a score
    labels.py         scores against a CSV of test labels
    submission.py     the submission CSV
    cost_table.py     the cost of a plan on a terminal
    table.py          a table of thousands of rows

Invariants: nothing here changes the store, so every view works from another terminal, after a crash and without Ray.
`status` and `logs` import neither torch nor pandas, so this file imports nothing.
"""
