"""Problem 1, part 3: a conditional VAE (CVAE) for MNIST, as generators."""

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, columns, epoch_after_epoch, floating_type, fresh_codes, training_run
from vae import VAE

IMAGE_SIZE = 784


def _complaints(idx: Tensor, n: int) -> Iterator[str]:
    """Yield everything that is wrong with the labels. (The next check may rely on all earlier ones.)"""
    if idx.is_floating_point() or idx.is_complex() or idx.dtype is torch.bool:
        yield f"labels must be integers, not {idx.dtype}"
    if tuple(idx.shape[1:]) not in ((), (1,)) or not idx.ndim:
        yield f"labels must have the shape (N,) or (N, 1), not {tuple(idx.shape)}"
    if any(not 0 <= label < n for label in idx.flatten().tolist()):
        yield f"labels must be in 0..{n - 1}"


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    """Labels (N,) or (N, 1) of an integer dtype -> one-hot vectors (N, n), float32, on the same device.

    Raises:
        ValueError: a label outside 0..n-1, another shape, or another dtype.
    """
    for complaint in _complaints(idx, n):
        raise ValueError(complaint)
    rows = torch.zeros(len(idx), n, dtype=torch.float32, device=idx.device)
    return rows.scatter_(1, idx.reshape(-1, 1).to(torch.int64), 1.0)


def _inputs(first: Tensor, c: Tensor | None, network: nn.Module) -> Iterator[Tensor]:
    """Yield what is concatenated on the last axis: the usual input, then the one-hot vectors."""
    yield first
    if network.conditional:
        if c is None:
            raise ValueError("a conditional network needs labels: call it as network(x, c)")
        onehot = idx2onehot(c, network.num_labels).to(device=first.device, dtype=first.dtype)
        yield onehot if first.dim() == 2 else onehot.unsqueeze(1)


class CVAEEncoder(Encoder):
    """The layers of `Encoder`, with `num_labels` additional inputs when conditional."""

    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz, input_size + num_labels if conditional else input_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Images (N, 1, input_size), and labels (N,) or (N, 1) -> (N, 1, nz)."""
        return super().forward(torch.cat([*_inputs(x, c, self)], dim=-1))


class CVAEDecoder(Decoder):
    """The layers of `Decoder`, with `num_labels` additional inputs when conditional."""

    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz + num_labels if conditional else nz, output_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Codes (N, nz) or (N, 1, nz), and labels (N,) or (N, 1) -> (N, 1, output_size), in [0, 1]."""
        return super().forward(torch.cat([*_inputs(z, c, self)], dim=-1))


class CVAE(VAE):
    """A VAE that receives the labels when it is conditional; a plain VAE when it is not.

    `reparameterize`, `terms` and `loss` are inherited.
    """

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError(f"a conditional model needs num_labels >= 1, got {num_labels}")
        nn.Module.__init__(self)  # not VAE's, whose networks are other ones
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def stages(self, x: Tensor, c: Tensor | None = None) -> Iterator[tuple[str, Tensor | None]]:
        q = self.encoder(x, c)
        yield "q", q
        z = self.reparameterize(*q.chunk(2, dim=-1))
        yield "z", z
        yield "rec", self.decoder(z, c)
        yield "c", c

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        """{"q": (N, 1, 2 nz), "z": (N, 1, nz), "rec": (N, 1, 784), "c": the labels as passed}"""
        return dict(self.stages(x, c))

    @torch.inference_mode()
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Decode the mean of q(z|x, c) with the same labels: (N, 28, 28), without a graph."""
        _, q = next(self.stages(x, c))
        mu, _ = q.chunk(2, dim=-1)
        return self.decoder(mu, c).reshape(len(x), 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a CVAE in place, as `train_vae`, with the labels when the model is conditional."""

    def objective(x: Tensor, *labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.loss(x, model(x, *labels))

    def batches() -> Iterator[tuple[Tensor, ...]]:
        for x, labels in epoch_after_epoch(loader, epochs, device):
            yield (x, labels) if model.conditional else (x,)

    return columns(training_run(model, objective, batches(), learning_rate), "rec_loss", "kl_loss")


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    """One new image for each label: (len(labels), 28, 28), with no graph attached."""
    device = next(model.parameters()).device
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        modes = [(module, module.training) for module in model.modules()]
        for module, training in modes:
            stack.callback(setattr, module, "training", training)
        model.eval()
        codes = fresh_codes(len(labels), nz, device=device, dtype=floating_type(model))
        return model.decoder(codes, labels.to(device)).reshape(len(labels), 28, 28)
