"""Options that several verbs have. How they become an Execution is tested in tests/orchestrator/run."""

from orchestrator.cli.main import _parser


def test_options_of_resume_are_absent_unless_they_are_typed() -> None:
    plain = vars(_parser().parse_args(["resume", "r"]))
    assert not {"executor", "retries", "workers", "gpus_per_job"} & set(plain)
    assert vars(_parser().parse_args(["resume", "r", "--retries", "5"]))["retries"] == 5
    parser = plain["parser"]
    helps = {action.dest: action.help for action in parser._actions}
    assert helps["retries"].endswith("(default: as launched)")
    launched = _parser().parse_args(["launch", "g", "--data", "d", "--out", "o"])
    assert launched.executor == "ray"
