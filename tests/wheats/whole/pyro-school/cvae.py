"""Part 3. The label is an observed one-hot categorical variable."""

import torch
import torch.distributions as td
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, prior, reconstruction_loss
from vae import VAE

IMAGE_SIZE = 784


def idx2onehot(idx: Tensor, n: int) -> Tensor:
    if torch.is_floating_point(idx) or torch.is_complex(idx) or idx.dtype == torch.bool:
        raise ValueError("idx must be an integer tensor")
    if idx.dim() == 2 and idx.shape[-1] == 1:
        idx = idx.squeeze(-1)
    if idx.dim() != 1:
        raise ValueError("idx must be (N,) or (N, 1)")
    support = td.constraints.integer_interval(0, n - 1)
    idx = idx.long()
    if not bool(support.check(idx).all()):
        raise ValueError(f"idx must be in {support}")
    eye = torch.eye(n, dtype=torch.float32, device=idx.device)  # enumerate_support of OneHotCategorical
    return torch.index_select(eye, 0, idx)


def _with(label, t: Tensor, n: int) -> Tensor:
    onehot = idx2onehot(label, n).to(t.dtype)
    while onehot.dim() < t.dim():
        onehot = onehot.unsqueeze(-2)
    return torch.cat((t, onehot), -1)


class CVAEEncoder(Encoder):
    def __init__(self, nz: int, input_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz, input_size + num_labels if conditional else input_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional and c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        return super().forward(_with(c, x, self.num_labels) if self.conditional else x)


class CVAEDecoder(Decoder):
    def __init__(self, nz: int, output_size: int, conditional: bool, num_labels: int) -> None:
        super().__init__(nz + num_labels if conditional else nz, output_size)
        self.conditional = conditional
        self.num_labels = num_labels

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if self.conditional and c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        return super().forward(_with(c, z, self.num_labels) if self.conditional else z)


class CVAE(VAE):
    """A VAE with labels: `reparameterize` and `loss` are inherited."""

    def __init__(self, nz: int, beta: float = 1.0, conditional: bool = False, num_labels: int = 0) -> None:
        if conditional and num_labels < 1:
            raise ValueError("num_labels must be at least 1")
        super().__init__(nz, beta)
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(nz * 2, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def forward(self, x: Tensor, c: Tensor | None = None) -> dict[str, Tensor | None]:
        q = self.encoder(x, c)
        return {"q": q, "rec": self.decoder(self._guide(q).rsample(), c), "c": c}

    def reconstruct(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        posterior_mean = self._guide(self.encoder(x, c)).mean
        return self.decoder(posterior_mean, c).detach().reshape(x.shape[0], 28, 28)


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    optim = torch.optim.Adam([{"params": model.parameters(), "lr": learning_rate}])
    model.train()
    trace = {"rec_loss": [], "kl_loss": []}

    def svi_step(x, *observed):
        optim.zero_grad()
        loss, parts = model.loss(x, model(x, *observed))
        loss.backward()
        optim.step()
        for site in trace:
            trace[site].append(parts[site].detach().cpu().item())

    for _ in range(epochs):
        for x, c in loader:
            observed = (c.to(device),) if model.conditional else ()
            svi_step(x.to(device).flatten(1)[:, None], *observed)
    return trace


def sample_conditional(model, labels, nz):
    device = next(model.parameters()).device
    z = prior(len(labels), nz, device).sample()
    return model.decoder(z, labels.to(device)).detach().reshape(len(labels), 28, 28)
