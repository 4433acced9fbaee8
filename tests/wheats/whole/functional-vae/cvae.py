"""Conditional VAE, functional flavour; see autoencoder.py for the conventions."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import autoencoder as ae
from autoencoder import Decoder, Encoder
from vae import elbo_terms, gaussian

IMAGE_SIZE = 784
INTEGERS = {
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64
}  # fmt: skip


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if idx.dtype not in INTEGERS:
        raise ValueError(f"expected integers, got {idx.dtype}")
    if idx.ndim not in (1, 2) or idx.shape[1:] not in ((), (1,)):
        raise ValueError(f"expected (N,) or (N, 1), got {tuple(idx.shape)}")
    idx = idx.long().reshape(-1, 1)
    classes = torch.arange(n, device=idx.device)
    hit = idx == classes  # (N, n)
    if not hit.any(dim=1).all():
        raise ValueError(f"a label outside 0..{n - 1}")
    return hit.float()


def condition(t: Tensor, c: Tensor | None, conditional: bool, num_labels: int) -> Tensor:
    """Pure function: (N, ..., d) and labels -> (N, ..., d + num_labels)."""
    if not conditional:
        return t
    if c is None:
        raise ValueError("labels are needed: this network is conditional")
    onehot = idx2onehot(c, num_labels).to(t.dtype)
    return torch.concatenate((t, onehot if t.ndim == 2 else onehot[:, None]), dim=-1)


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.inner = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.inner(condition(x, c, self.conditional, self.num_labels))


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.inner = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.inner(condition(z, c, self.conditional, self.num_labels))


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and not num_labels >= 1:
            raise ValueError("conditional, but no labels")
        self.nz, self.beta, self.conditional, self.num_labels = nz, beta, conditional, num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return gaussian(ae.new_key(), mu, log_sigma)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        z = self.reparameterize(q[..., : self.nz], q[..., self.nz :])
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return elbo_terms(self.beta, x, outputs["q"], outputs["rec"])

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            return self.decoder(self.encoder(x, c)[..., : self.nz], c).reshape(len(x), 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    model.train()

    def step(optimizer, batch):
        x, labels = batch
        outputs = model(x, labels.to(device)) if model.conditional else model(x)
        total, parts = model.loss(x, outputs)
        ae.apply_gradients(optimizer, total)
        return optimizer, {name: value.item() for name, value in parts.items()}

    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    _, metrics = ae.scan(step, optimizer, ae.stream(loader, epochs, device))
    return {name: [m[name] for m in metrics] for name in ("rec_loss", "kl_loss")}


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    device = next(iter(model.parameters())).device
    z = ae.random_normal(ae.new_key(), (labels.shape[0], nz), device=device)
    with torch.no_grad():
        return model.decoder(z, labels.to(device)).reshape(labels.shape[0], 28, 28)
