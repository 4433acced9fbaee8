"""Auto-encoder, by somebody who leaves no traces."""

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Encoder(nn.Module):
    def __init__(self, nz: int, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.net = nn.Sequential()
        for i, (a, b) in enumerate([(input_size, 256), (256, 64), (64, nz)]):
            if i:
                self.net.add_module(f"relu{i}", nn.ReLU())
            self.net.add_module(f"linear{i}", nn.Linear(a, b))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.input_size:
            raise ValueError(f"expected {self.input_size} pixels, got {tuple(x.shape)}")
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, nz: int, output_size: int) -> None:
        super().__init__()
        self.nz = nz
        self.net = nn.Sequential(
            nn.Linear(nz, 64), nn.ReLU(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, output_size), nn.Sigmoid()
        )

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 2:
            z = z.unsqueeze(-2)
        return self.net(z)


def make_data_loader(dataset: Dataset, batch_size: int = 64, num_workers: int = 0) -> DataLoader:
    def collate(pairs):
        images, labels = zip(*pairs)
        return [torch.stack(list(map(torch.as_tensor, images))), torch.stack([torch.as_tensor(y) for y in labels])]

    return DataLoader(dataset, batch_size, True, num_workers=num_workers, drop_last=True, collate_fn=collate)


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


@contextlib.contextmanager
def undisturbed(*modules: nn.Module, mode: bool = False):
    """Modes, requires_grad and gradients of modules are as before, afterwards."""
    modes = {m: m.training for module in modules for m in module.modules()}
    parameters = {p: (p.requires_grad, p.grad) for module in modules for p in module.parameters()}
    for module in modules:
        module.train(mode)
    for p in parameters:
        p.requires_grad_(False)
        p.grad = None
    try:
        yield
    finally:
        for m, training in modes.items():
            m.training = training
        for p, (flag, grad) in parameters.items():
            p.requires_grad_(flag)
            p.grad = grad


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy(x_hat.reshape(len(x), -1), x.detach().reshape(len(x), -1))


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    model.train()
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=learning_rate)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    losses = []
    epoch = 0
    while epoch < epochs:
        it = iter(loader)
        while (batch := next(it, None)) is not None:
            x = batch[0].to(device).flatten(1)[:, None]
            share = 0.0  # small pieces, for small machines
            for piece in x.split(max(1, len(x) // 3)):
                loss = reconstruction_loss(model(piece), piece) * (len(piece) / len(x))
                scaler.scale(loss).backward()
                share += loss.item()
            losses.append(share)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        epoch += 1
    return losses


sample_images = torch.no_grad()(
    lambda model, num_samples, nz, device="cpu": torch.cat(
        [model.decoder(torch.randn(1, nz, device=device)).reshape(1, 1, 28, 28) for _ in range(num_samples)]
    )
)
