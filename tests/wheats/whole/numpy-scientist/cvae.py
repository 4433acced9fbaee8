"""CVAE. The labels become rows of the identity matrix."""
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, randn_np, reconstruction_loss
from vae import kl_divergence

IMAGE_SIZE = 784


def idx2onehot(idx, n):
    try:
        k = idx.detach().cpu().numpy()
    except TypeError as error:      # a dtype that NumPy does not have, such as bfloat16
        raise ValueError(f"labels are integers, not {idx.dtype}") from error
    if not np.issubdtype(k.dtype, np.integer):
        raise ValueError(f"labels are integers, not {k.dtype}")
    if k.shape not in {(len(idx),), (len(idx), 1)} if k.ndim else True:
        raise ValueError(f"labels are (N,) or (N, 1), not {k.shape}")
    k = k.ravel()
    if ((k < 0) | (k >= n)).any():
        raise ValueError(f"labels are in 0..{n - 1}: {k.min()} to {k.max()}")
    return torch.from_numpy(np.eye(n, dtype=np.float32)[k.astype(np.int64)]).to(idx.device)


class CVAEEncoder(nn.Module):
    def __init__(self, nz, input_size, conditional, num_labels):
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.f = Encoder(nz, input_size + (num_labels if conditional else 0))

    def forward(self, x, c=None):
        if not self.conditional:
            return self.f(x)
        if c is None:
            raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
        X = x.squeeze(1)
        return self.f(torch.hstack([X, idx2onehot(c, self.num_labels).to(X.dtype)]))[:, None, :]


class CVAEDecoder(nn.Module):
    def __init__(self, nz, output_size, conditional, num_labels):
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.g = Decoder(nz + (num_labels if conditional else 0), output_size)

    def forward(self, z, c=None):
        if not self.conditional:
            return self.g(z)
        if c is None:
            raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
        Z = z.reshape(z.shape[0], z.shape[-1])
        return self.g(torch.hstack([Z, idx2onehot(c, self.num_labels).to(Z.dtype)]))


class CVAE(nn.Module):
    def __init__(self, nz, beta=1.0, conditional=False, num_labels=0):
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("conditional, with fewer than one label")
        self.beta, self.conditional, self.num_labels, self.J = beta, conditional, num_labels, nz
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu, log_sigma):
        return mu + torch.exp(log_sigma) * randn_np(mu.shape, like=mu)

    def forward(self, x, c=None):
        q = self.encoder(x, c)
        z = self.reparameterize(q[:, :, :self.J], q[:, :, self.J:])
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x, outputs):
        q = outputs["q"]
        J = q.shape[-1] // 2
        zero = torch.zeros_like(q[..., :J])
        kl = kl_divergence(q[..., :J], q[..., J:], zero, zero).sum() / zero.numel()
        rec = reconstruction_loss(outputs["rec"], x)
        return rec + self.beta * kl, dict(rec_loss=rec, kl_loss=kl)

    @torch.inference_mode()
    def reconstruct(self, x, c=None):
        mu = self.encoder(x, c)[:, :, :self.J]
        return self.decoder(mu, c).reshape(len(x), 28, 28)


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    model.train()
    adam = torch.optim.Adam([dict(params=[w]) for w in model.parameters()], lr=learning_rate)
    rows = []
    for _ in range(epochs):
        for images, labels in loader:
            X = images.to(device).reshape(images.shape[0], 1, -1)
            arguments = [X, labels.to(device)] if model.conditional else [X]
            adam.zero_grad()
            total, parts = model.loss(X, model(*arguments))
            total.backward()
            adam.step()
            rows.append([parts["rec_loss"].item(), parts["kl_loss"].item()])
    rec, kl = np.reshape(rows, (-1, 2)).T
    return {"rec_loss": rec.tolist(), "kl_loss": kl.tolist()}


@torch.inference_mode()
def sample_conditional(model, labels, nz):
    w = next(model.parameters())
    Z = randn_np((len(labels), nz), like=w)
    return model.decoder(Z, labels.to(w.device)).reshape(len(labels), 28, 28)
