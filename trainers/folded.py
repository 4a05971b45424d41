"""Networks for evaluation only: batch norms are part of the convolutions before them, which saves passes over maps."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_norms"]


def fold_norms(network: nn.Module) -> None:
    """Fold every batch norm that was registered right after a convolution into it, in place.

    The trunks register a batch norm after the convolution whose output it normalises. Outputs stay the same up to
    rounding; the network can't be trained afterwards.
    """
    network.eval()
    for module in list(network.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before is not None and isinstance(before[1], nn.Conv2d):
                setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(module, name, nn.Identity())
            before = name, child
