from dataclasses import replace

from features.files import hash_of
from orchestrator.store.node import STAGE_VERSIONS, Node, short_inputs, signature_of, split_name

INPUTS = {"curated": ("a" * 64, "b" * 64), "init": ("c" * 64,)}


def test_a_signature_is_the_hash_of_kind_payload_inputs_and_stage_version() -> None:
    payload = {"train": {"epochs": 2}, "name": "ü"}
    whole = {"kind": "train", "payload": payload, "inputs": INPUTS, "schema": STAGE_VERSIONS["train"]}
    assert signature_of("train", payload, INPUTS) == hash_of(whole)
    assert signature_of("train", payload, dict(reversed(INPUTS.items()))) == hash_of(whole)
    assert signature_of("train", {**payload, "name": "u"}, INPUTS) != hash_of(whole)


def test_done_marks_name_a_few_inputs_and_count_many() -> None:
    short = short_inputs(INPUTS)
    assert short["init"] == "c" * 64
    assert short["curated"] == {"nodes": 2, "sha256": hash_of(INPUTS["curated"])}


def test_parents_are_all_inputs_and_splits_have_names() -> None:
    node = Node("train-A-0", "train", {}, INPUTS, "0" * 64, held_out=(0,))
    assert node.parents == ("a" * 64, "b" * 64, "c" * 64)
    assert node.split == "0"
    assert replace(node, held_out=(0, 1)).split == split_name((0, 1)) == "0-1"
