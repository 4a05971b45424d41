import torch

from trainers.network import Tagger
from trainers.settings import ResNetSettings
from trainers.soup import mean_of


def networks() -> list[Tagger]:
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        network = Tagger(ResNetSettings(depth=10, width=4, head_units=8), 3, noisy_head=False, bands=8)
        network(torch.rand(4, 32, 8) ** (seed + 1))  # moves the statistics of batch norms
        found.append(network.eval())
    return found


def test_every_tensor_is_the_mean() -> None:
    own = networks()
    before = [{name: value.clone() for name, value in one.state_dict().items()} for one in own]
    for name, value in mean_of(own).state_dict().items():
        wanted = sum(state[name].double() for state in before) / 3
        torch.testing.assert_close(value.double(), wanted, rtol=1e-6, atol=1e-7)
    for one, state in zip(own, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def test_equal_networks_have_themselves_as_their_mean() -> None:
    one = networks()[0]
    clips = torch.rand(2, 40, 8)
    with torch.no_grad():
        torch.testing.assert_close(mean_of([one, one, one])(clips), one(clips))
