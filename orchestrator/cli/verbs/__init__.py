"""What each verb takes, and what it does: arguments in, a call of `orchestrator.api`, output; returns the exit code.

One file per group of `sonogrid --help`, with the same names as those of `orchestrator.api`. A verb imports what it
needs when it runs: `sonogrid --help` and a mistyped option should not wait for torch or MLflow.
"""
