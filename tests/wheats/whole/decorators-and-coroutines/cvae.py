"""CVAE; see autoencoder.py for the decorators and context managers."""

from __future__ import annotations

import functools
from contextlib import ExitStack, closing

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import (
    Adam,
    Decoder,
    Encoder,
    flattened,
    primed,
    reconstruction_loss,
    recorder,
    training,
    without_graph,
)
from vae import kl_from_standard

IMAGE_SIZE = 784


def checked(function):
    """Raises ValueError unless the first argument holds labels, as (N,) or (N, 1) integers below the second."""

    @functools.wraps(function)
    def wrapped(idx: Tensor, n: int) -> Tensor:
        complaint = None
        match idx.dtype, tuple(idx.shape):
            case (dtype, _) if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
                complaint = f"dtype {dtype}"
            case (_, (_,) | (_, 1)):
                labels = idx.long()
                if bool((labels.lt(0) | labels.ge(n)).any()):
                    complaint = f"a label outside 0..{n - 1}"
            case (_, shape):
                complaint = f"shape {shape}"
        if complaint:
            raise ValueError(f"idx2onehot: {complaint}")
        return function(idx, n)

    return wrapped


@checked
def idx2onehot(idx: Tensor, n: int) -> Tensor:
    columns = idx.long().reshape(-1)
    rows = torch.arange(len(columns), device=idx.device)
    ones = torch.ones(len(columns), device=idx.device)
    where, size = torch.stack([rows, columns]), (len(columns), n)
    return torch.sparse_coo_tensor(where, ones, size, check_invariants=True).to_dense()


def conditioned(method):
    """Appends the one-hot labels to the argument when the network is conditional."""

    @functools.wraps(method)
    def forward(self, t: Tensor, c: Tensor | None = None) -> Tensor:
        match self.conditional, c:
            case False, _:
                return method(self, t)
            case True, None:
                raise ValueError("a conditional network needs labels")
            case True, labels:
                onehot = idx2onehot(labels, self.num_labels).to(t.dtype)
                aligned = onehot.reshape(t.shape[:-1] + onehot.shape[-1:])
                return method(self, torch.cat((t, aligned), dim=-1))

    return forward


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = bool(conditional)
        self.num_labels = num_labels
        self.network = Encoder(nz, input_size + conditional * num_labels)

    @conditioned
    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = bool(conditional)
        self.num_labels = num_labels
        self.network = Decoder(nz + conditional * num_labels, output_size)

    @conditioned
    def forward(self, z: Tensor) -> Tensor:
        return self.network(z)


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        match conditional, num_labels:
            case True, int(k) if k < 1:
                raise ValueError(f"conditional, but num_labels={k}")
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.add_module("encoder", CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels))
        self.add_module("decoder", CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels))

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return torch.exp(log_sigma) * torch.normal(torch.zeros_like(mu), 1.0) + mu

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        encode, decode = (functools.partial(f, c=c) for f in (self.encoder, self.decoder))
        mu, log_sigma = (q := encode(x)).chunk(2, dim=-1)
        return dict(q=q, rec=decode(self.reparameterize(mu, log_sigma)), c=c)

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        rec_loss = reconstruction_loss(outputs["rec"], x)
        kl_loss = kl_from_standard(*outputs["q"].chunk(2, dim=-1)).mean()
        return rec_loss + self.beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}

    @without_graph
    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        mean, _ = self.encoder(x, c).chunk(2, dim=-1)
        return self.decoder(mean, c).reshape(len(x), 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    store = {"rec_loss": [], "kl_loss": []}
    adam = Adam(model.parameters(), learning_rate)
    with ExitStack() as stack:
        stack.enter_context(training(model))
        record = stack.enter_context(closing(primed(recorder(store))))
        for _ in range(epochs):
            for x, labels in map(functools.partial(flattened, device=device), loader):
                run = functools.partial(model, c=labels.to(device)) if model.conditional else model
                total, parts = model.loss(x, run(x))
                with adam:
                    total.backward()
                record.send(parts)
    return store


@without_graph
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    (device,) = {p.device for p in model.parameters()}
    z = torch.normal(0.0, 1.0, (len(labels), nz), device=device)
    return model.decoder(z, labels.to(device)).squeeze(1).unflatten(1, (28, 28))
