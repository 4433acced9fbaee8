"""Aufgabe 1, Teil 3: bedingter VAE.   δ ist das Kronecker-Symbol."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss, ε_wie
from vae import Ziehung, entropie, kreuzentropie

IMAGE_SIZE = 784


def δ(i: Tensor, j: Tensor) -> Tensor:
    return torch.clamp(1 - torch.abs(i - j), min=0)


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if torch.is_floating_point(idx) or torch.is_complex(idx) or idx.dtype == torch.bool:
        raise ValueError(f"keine ganzen Zahlen: {idx.dtype}")
    if idx.dim() not in {1, 2} or idx.numel() != idx.shape[0]:
        raise ValueError(f"falsche Form: {tuple(idx.shape)}")
    if idx.dim() == 2 and idx.shape[1] != 1:  # (0, k)
        raise ValueError(f"falsche Form: {tuple(idx.shape)}")
    if not set(idx.flatten().tolist()) <= set(range(n)):
        raise ValueError(f"nicht alle Klassen in 0..{n - 1}")
    zeilen = idx.to(torch.int64).reshape(-1, 1)
    return δ(zeilen, torch.arange(n, device=idx.device)).to(torch.float32)


def bedingen(t: Tensor, c: Tensor | None, k: int) -> Tensor:
    """[t, δ_c] auf der letzten Achse."""
    if c is None:
        raise ValueError("ein bedingtes Netz braucht Klassen (labels)")
    e = idx2onehot(c, k).type_as(t)
    return torch.cat([t, e.view(t.shape[:-1] + (k,))], dim=-1)


class CVAEEncoder(nn.Module):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.f = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.f(bedingen(x, c, self.num_labels) if self.conditional else x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.g = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        return self.g(bedingen(z, c, self.num_labels) if self.conditional else z)


class CVAE(nn.Module):
    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("bedingt, aber ohne Klassen")
        self.beta, self.conditional, self.num_labels = beta, conditional, num_labels
        self.encoder = CVAEEncoder(nz + nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    @staticmethod
    def _zerlegen(q: Tensor) -> tuple[Tensor, Tensor]:
        μ, λ = torch.unflatten(q, -1, (2, -1)).unbind(dim=-2)
        return μ, λ

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        return Ziehung.apply(mu, log_sigma, ε_wie(mu.detach()))

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        return {"rec": self.decoder(self.reparameterize(*self._zerlegen(q)), c), "q": q, "c": c}

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        q = outputs["q"]
        μ, λ = self._zerlegen(q.double())
        KL = torch.mean(kreuzentropie(μ, λ) - entropie(λ)).to(q.dtype)
        R = reconstruction_loss(outputs["rec"], x)
        return R + self.beta * KL, {"rec_loss": R, "kl_loss": KL}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        with torch.set_grad_enabled(False):
            μ, _ = self._zerlegen(self.encoder(x, c))
            return self.decoder(μ, c).reshape(-1, 28, 28)


def train_cvae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    θ = list(model.parameters())
    adam = torch.optim.Adam(θ, lr=learning_rate)
    adam.zero_grad()
    verlauf: list[tuple[float, float]] = []
    for _ in range(epochs):
        model.train(True)
        for x, c in loader:
            x = x.to(device).reshape(x.size(0), 1, -1)
            klassen = {"c": c.to(device)} if model.conditional else {}
            L, teile = model.loss(x, model(x, **klassen))
            L.backward(gradient=torch.ones_like(L), inputs=[p for p in θ if p.requires_grad])
            adam.step()
            adam.zero_grad()
            verlauf.append((float(teile["rec_loss"].detach()), float(teile["kl_loss"].detach())))
    return {"rec_loss": [r for r, _ in verlauf], "kl_loss": [k for _, k in verlauf]}


def sample_conditional(model: nn.Module, labels: Tensor, nz: int) -> Tensor:
    gerät = next(model.parameters()).device
    z = ε_wie(torch.empty(len(labels), nz, device=gerät))
    with torch.set_grad_enabled(False):
        return model.decoder(z, labels.to(gerät)).reshape(-1, 28, 28)
