from io import StringIO

from rich.console import Console

from orchestrator.cli.arrivals import Arrivals


def test_a_bar_on_a_terminal_and_sentences_everywhere() -> None:
    terminal, file = StringIO(), StringIO()
    for stream, is_terminal in ((terminal, True), (file, False)):
        with Arrivals(Console(file=stream, force_terminal=is_terminal, width=100, markup=False)) as arrivals:
            arrivals.arrived("a.zip", 5_000_000, 20_000_000)
            arrivals.progress.refresh()
            arrivals.say("a.zip: broke off")
            arrivals.arrived("a.zip", 20_000_000, 20_000_000)
            assert not arrivals.tasks
    assert "5.0/20.0 MB" in terminal.getvalue()
    assert file.getvalue() == "a.zip: broke off\n"
