"""Nothing that is printed holds a credential."""

import pytest

from orchestrator.redact import one_line, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:hunter2@db:5432/mlflow fails", "postgresql+psycopg://me:***@db:5432/mlflow fails"),
        ("at (https://me:a/b@c:d?@host/x)", "at (https://me:***@host/x)"),
        ('"http://:pass@h" and "s3://b/k"', '"http://:***@h" and "s3://b/k"'),
        ("http://h/x?token=abc&page=2", "http://h/x?token=***&page=2"),
        (
            "GET /k?X-Amz-Credential=AK%2F1&X-Amz-Signature=f00&n=1",
            "GET /k?X-Amz-Credential=***&X-Amz-Signature=***&n=1",
        ),
        ("postgresql://sonogrid@db/mlflow?password=hunter2", "postgresql://sonogrid@db/mlflow?password=***"),
        ("http://127.0.0.1:5000 answers, mail me@host", "http://127.0.0.1:5000 answers, mail me@host"),
        ("s3://bucket/a:b is no URL with a password", "s3://bucket/a:b is no URL with a password"),
    ],
)
def test_passwords_in_urls(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(redact(text)) == shown


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN",
        "RAY_AUTH_TOKEN", "PGPASSWORD",
    ],
)  # fmt: skip
def test_values_of_secret_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("OTHER_TOKEN", "wJalrXUtnFEMI")  # the beginning of it
    assert redact("key wJalrXUtnFEMI/K7MDENG, wJalrXUtnFEMI.") == "key ***, ***."


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("SHORT_TOKEN", "1")
    monkeypatch.setenv("EMPTY_TOKEN", "")
    assert redact("false in us-east-1: 11") == "false in us-east-1: 11"


def test_an_error_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "opensesame")
    error = ValueError("two\n  lines,\tand opensesame in one")
    assert one_line(error) == "two lines, and *** in one"
    assert "open" not in one_line(ValueError("x" * 296 + "opensesame"))  # cut after it is hidden
    assert len(one_line("x" * 1000)) == 300
    assert len(one_line("x" * 1000, 200)) == 200
