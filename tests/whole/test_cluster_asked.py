"""Tests of clusters run only when they are asked for. Where they can't run they fail and say what to install."""

import os

import pytest

from tests.whole.cluster import hosts


def test_where_a_command_is_missing_the_tests_of_clusters_fail_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(hosts, "COMMANDS", ("sh", "no-such-command"))
    with pytest.raises(pytest.fail.Exception, match=r"^make cluster-test can't run here: no-such-command not found; "):
        hosts.require(hosts.why_not())
    hosts.require(None)
