"""Conditional VAE. The first layers see a concatenation, but no one-hot matrix is built twice per step."""

from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, prefetched, reconstruction_loss, to_floats
from vae import VAE, standard_kl

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.is_floating_point() or idx.is_complex() or idx.dtype == torch.bool:
        raise ValueError(f"integer labels expected, got {idx.dtype}")
    if idx.dim() not in (1, 2) or (idx.dim() == 2 and idx.shape[1] != 1):
        raise ValueError(f"labels (N,) or (N, 1) expected, got {tuple(idx.shape)}")
    idx = idx.to(torch.long).reshape(-1)
    if ((idx < 0) | (idx >= n)).any().item():  # one synchronisation
        raise ValueError(f"labels 0..{n - 1} expected")
    out = torch.zeros((idx.shape[0], n), dtype=torch.float32, device=idx.device)
    out[torch.arange(idx.shape[0], device=idx.device), idx] = 1.0
    return out


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.pixels = input_size
        self.encoder = Encoder(nz, input_size + num_labels if conditional else input_size)

    def forward(self, x: Tensor, c: Optional[Tensor] = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
            joined = x.new_empty(*x.shape[:-1], self.pixels + self.num_labels)
            joined[..., : self.pixels] = x
            joined[..., self.pixels :] = idx2onehot(c, self.num_labels).unsqueeze(1)
            x = joined
        return self.encoder(x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.nz = nz
        self.decoder = Decoder(nz + num_labels if conditional else nz, output_size)

    def forward(self, z: Tensor, c: Optional[Tensor] = None) -> Tensor:
        if self.conditional:
            if c is None:
                raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
            z = torch.cat((z.reshape(-1, self.nz), idx2onehot(c, self.num_labels).to(z.dtype)), dim=1)
        return self.decoder(z)


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("a conditional CVAE needs num_labels >= 1")
        self.nz = nz
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    # Unbound functions of the VAE work on any object with the same attributes.
    reparameterize = VAE.reparameterize
    loss = VAE.loss

    def forward(self, x: Tensor, c: Optional[Tensor] = None) -> Dict[str, Optional[Tensor]]:
        q = self.encoder(x, c)
        return {"q": q, "rec": self.decoder(self.reparameterize(*q.chunk(2, -1)), c), "c": c}

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Optional[Tensor] = None) -> Tensor:
        mu, _ = self.encoder(x, c).chunk(2, -1)
        return self.decoder(mu, c).view(-1, 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> Dict[str, List[float]]:
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    optimizer.zero_grad(set_to_none=True)
    model.train()
    history: Dict[str, List[Tensor]] = {"rec_loss": [], "kl_loss": []}
    for x, labels in prefetched(loader, epochs, device):
        total, parts = model.loss(x, model(x, labels if model.conditional else None))
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for key in history:
            history[key].append(parts[key].detach())
    return {key: to_floats(values) for key, values in history.items()}


@torch.no_grad()
def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    device = next(model.parameters()).device
    z = torch.empty(labels.numel(), nz, device=device).normal_()
    return model.decoder(z, labels.to(device, non_blocking=True)).reshape(-1, 28, 28)
