"""The command line: what a user types, what each verb does, and what the terminal shows.

    main.py      the parser of all verbs, and the exit codes
    verbs/       what each verb takes and does, one file per group
    options.py   options that several verbs have
    terminal.py  types of options, errors as sentences, output that is plain text
    tuned.py, searched.py  what `tune` and `search` print
    completion.py  completion scripts of shells
    __main__.py  `python -m orchestrator.cli`

Everything that is not about words typed or printed lives in `orchestrator.api` and below.
"""
