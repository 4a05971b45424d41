from orchestrator.store.layout import (
    Layout,
    attempt_folder,
    attempt_place,
    claim_file,
    damage_file,
    done_file,
    number_of,
)


def test_numbers_in_names() -> None:
    assert number_of(attempt_folder(12)) == 12
    assert number_of("attempt-x") == number_of("logs") == 0
    assert attempt_place("node", 3) == f"node/{attempt_folder(3)}"
    assert [claim_file(1), done_file(1), done_file(2), damage_file(1), damage_file(2)] == [
        "claim-1.json", "done.json", "done-2.json", "damaged.json", "damaged-2.json"
    ]  # fmt: skip


def test_a_layout_is_read_from_names_in_any_order() -> None:
    layout = Layout.of(["claim-2.json", "attempt-9", "claim-10.json", "logs", "attempt-10", ".claim-11.json.x.tmp"])
    assert layout.claims == (2, 10)
    assert layout.attempts == (10, 9)
    assert not layout.is_done


def test_results_are_void_until_the_next_generation_is_finished() -> None:
    names = ["done.json"]
    assert Layout.of(names).is_done
    names.append("damaged.json")
    assert (Layout.of(names).generation, Layout.of(names).is_done) == (2, False)
    names.append("done-2.json")
    assert Layout.of(names).is_done
    names.append("damaged-2.json")
    assert (Layout.of(names).generation, Layout.of(names).is_done) == (3, False)
