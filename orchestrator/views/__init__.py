"""What people see of a run on a terminal, made from the store only.

    status.py         one line per job; watch
    logs.py           the logs of a job's attempts
    launch_text.py    what a launch prints before and after its jobs
    progress.py       the terminal of a launch while it runs
    cost_table.py     the cost of a plan
    stored.py         RUNs and what a store holds
    table.py          a table of thousands of rows

Invariants: nothing here changes the store, so every view works from another terminal, after a crash and without Ray.
`status` and `logs` import neither torch nor pandas, so this file imports nothing.
"""
