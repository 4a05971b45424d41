"""Which machine has room for which job, worked out by hand."""

import dataclasses

import pytest

from orchestrator.executors.ledger import Ledger, Machine
from orchestrator.planning.scheduler import Needs


def ledger(*machines: Machine) -> Ledger:
    made = Ledger()
    made.update(machines)
    return made


def test_a_worker_fits_on_one_machine_or_not_at_all() -> None:
    book = ledger(*(Machine(f"m{i}", cpus=1) for i in range(4)))
    assert book.fits(Needs(1))
    assert not book.fits(Needs(4)), "four machines of one CPU are no room for a job of four"
    assert not book.could_fit(Needs(4))
    assert book.fits(Needs(1, workers=4))
    assert sorted(book.place("job", Needs(1, workers=4))) == ["m0", "m1", "m2", "m3"]
    assert not book.fits(Needs(1))
    assert book.could_fit(Needs(1))
    book.release("job")
    assert book.fits(Needs(1, workers=4))


def test_shares_of_a_gpu_lie_on_one_device() -> None:
    book = ledger(Machine("m", cpus=9, gpus=2))
    book.place("a", Needs(1, 0.6))
    book.place("b", Needs(1, 0.6))
    assert not book.fits(Needs(1, 0.6)), "0.4 and 0.4 are free, on two devices"
    assert not book.fits(Needs(1, 1))
    book.place("c", Needs(1, 0.4))
    book.release("a")
    book.place("d", Needs(1, 0.4))
    assert book.fits(Needs(1, 0.6))
    with pytest.raises(ValueError, match="no machine has room for e"):
        book.place("e", Needs(1, 1))


def test_shares_go_to_devices_that_are_shared_already_and_leave_whole_ones() -> None:
    book = ledger(Machine("m", cpus=9, gpus=2), Machine("n", cpus=9, gpus=2))
    for job in "abcd":
        book.place(job, Needs(1, 0.25))
    assert {name for job in "abcd" for name in book.machines_of(job)} in ({"m"}, {"n"})
    for job in "xyz":
        book.place(job, Needs(1, 1))
    assert not book.fits(Needs(1, 0.25))


def test_what_needs_no_gpu_goes_where_there_is_none_first() -> None:
    book = ledger(Machine("gpu", cpus=2, gpus=1), Machine("cpu", cpus=1))
    assert book.place("a", Needs(1)) == ["cpu"]
    assert book.place("b", Needs(1)) == ["gpu"]
    assert book.place("c", Needs(1, 1)) == ["gpu"]
    assert not book.fits(Needs(1))


def test_a_type_of_gpu_is_kept_to() -> None:
    book = ledger(Machine("old", cpus=9, gpus=4, gpu="T4"), Machine("new", cpus=9, gpus=1, gpu="A100"))
    assert book.place("a", Needs(1, 0.5, gpu="A100")) == ["new"]
    assert not book.fits(Needs(1, 1, gpu="A100"))
    assert not book.could_fit(Needs(1, 1, gpu="H100"))
    assert book.fits(Needs(1, 1, gpu="T4"))


def test_workers_of_a_job_stay_together_if_they_can() -> None:
    book = ledger(Machine("a", cpus=8, gpus=1), Machine("b", cpus=8, gpus=4), Machine("c", cpus=8, gpus=2))
    assert set(book.place("pair", Needs(1, 1, workers=2))) == {"c"}
    assert set(book.place("four", Needs(1, 1, workers=4))) == {"b"}
    book.release("pair")
    assert sorted(book.place("three", Needs(1, 1, workers=3))) == ["a", "c", "c"]
    assert not book.could_fit(Needs(1, 1, workers=8))


def test_what_others_use_is_taken_off_however_late_the_cluster_shows_ours() -> None:
    empty = Machine("m", cpus=4, gpus=2)
    book = ledger(empty)
    book.place("a", Needs(1, 1))
    book.update([empty])  # not shown yet
    assert book.fits(Needs(1, 1))
    book.update([dataclasses.replace(empty, used_cpus=1, used_gpus=1)])
    assert book.fits(Needs(1, 1)), "that is ours"
    book.update([dataclasses.replace(empty, used_cpus=2, used_gpus=2)])
    assert not book.fits(Needs(1, 0.1)), "somebody else came"
    book.show("a")
    book.release("a")
    book.update([dataclasses.replace(empty, used_cpus=2, used_gpus=2)])  # still shows ours, which has just ended
    assert book.fits(Needs(1, 1))
    assert not book.fits(Needs(1, 1, workers=2))
    book.update([empty])
    assert book.fits(Needs(1, 1, workers=2)), "the others are gone"


def test_a_machine_that_goes_is_no_room_and_one_that_joins_is() -> None:
    book = ledger(Machine("m", cpus=1))
    book.place("a", Needs(1))
    book.update([Machine("n", cpus=1)])
    assert book.place("b", Needs(1)) == ["n"]
    assert not book.fits(Needs(1))
    assert book.most_cpus == 1
    assert not book.has_gpus
