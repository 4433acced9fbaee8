import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss, undisturbed
from vae import kl_divergence

IMAGE_SIZE = 784


def idx2onehot(idx, n):
    if idx.dtype.is_floating_point or idx.dtype.is_complex or idx.dtype == torch.bool:
        raise ValueError("integers, please")
    if idx.ndim == 2 and idx.shape[1] == 1:
        idx = idx[:, 0]
    if idx.ndim != 1:
        raise ValueError("(N,) or (N, 1), please")
    values = idx.tolist()
    if any(not 0 <= v < n for v in values):
        raise ValueError(f"0..{n - 1}, please")
    return torch.tensor([[float(v == j) for j in range(n)] for v in values], device=idx.device).reshape(-1, n)


class CVAEEncoder(nn.Module):
    """Takes labels (N,), (N, 1), or one-hot rows that CVAE.forward has made already."""

    def __init__(self, nz, input_size, conditional, num_labels):
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x, c=None):
        if self.conditional and c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        if self.conditional:
            x = torch.cat([x, _rows(c, self.num_labels, x)], -1)
        return self.encoder(x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz, output_size, conditional, num_labels):
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.decoder = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z, c=None):
        if self.conditional and c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        if self.conditional:
            z = torch.cat([z, _rows(c, self.num_labels, z)], -1)
        return self.decoder(z)


def _rows(c, n, like):
    onehot = c if c.is_floating_point() else idx2onehot(c, n)
    onehot = onehot.to(like.device, like.dtype)
    return onehot.reshape(*like.shape[:-1], n)


import vae


class CVAE(nn.Module):
    loss = vae.VAE.loss
    reparameterize = staticmethod(vae.VAE.reparameterize)

    def __init__(self, nz, beta=1.0, conditional=False, num_labels=0):
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("conditional with num_labels < 1")
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def _codes(self, c):
        return idx2onehot(c, self.num_labels) if self.conditional and c is not None else None

    def forward(self, x, c=None):
        onehot = self._codes(c)
        q = self.encoder(x.flatten(1), onehot)
        mu, log_sigma = q.chunk(2, -1)
        rec = self.decoder(self.reparameterize(mu, log_sigma), onehot)
        return {"q": q.unsqueeze(1), "rec": rec, "c": c}

    def reconstruct(self, x, c=None):
        with undisturbed(self):
            mu, _ = self.encoder(x.detach().flatten(1), c).chunk(2, -1)
            return self.decoder(mu, c).reshape(-1, 28, 28).clone()


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    history = {"rec_loss": [], "kl_loss": []}
    model.train()
    for _ in range(epochs):
        for x, c in loader:
            x = x.flatten(1).unsqueeze(1).to(device)
            c = c.to(device) if model.conditional else None
            loss, parts = model.loss(x, model(x, c))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for k in history:
                history[k].append(parts[k].item())
    return history


def sample_conditional(model, labels, nz):
    p = next(model.parameters())
    with undisturbed(model), torch.no_grad():
        z = torch.randn(*labels.shape, nz, device=p.device, dtype=p.dtype)
        images = model.decoder(z, labels.to(p.device))
    return images.reshape(len(labels), 28, 28)
