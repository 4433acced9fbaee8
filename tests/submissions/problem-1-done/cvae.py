import torch
import torch.nn.functional as F
from torch import nn

from autoencoder import Decoder, Encoder
from vae import posterior, vae_loss


def idx2onehot(idx, n):
    if idx.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise ValueError(f"integer labels please, not {idx.dtype}")
    if idx.dim() == 2 and idx.size(1) == 1:
        idx = idx.squeeze(1)
    if idx.dim() != 1:
        raise ValueError(f"labels should be (N,) or (N, 1), not {tuple(idx.shape)}")
    idx = idx.long()
    if torch.any(idx < 0) or torch.any(idx >= n):
        raise ValueError(f"labels should lie between 0 and {n - 1}")
    return F.one_hot(idx, n).to(torch.float32)


class WithLabels(nn.Module):
    """Runs a network on its input, with the one-hot label glued to the end if there is one."""

    def __init__(self, conditional, num_labels):
        super().__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.extra = num_labels if conditional else 0

    def forward(self, x, c=None):
        if self.conditional:
            onehot = idx2onehot(c, self.num_labels)
            if x.dim() == 3:
                onehot = onehot[:, None, :]
            x = torch.cat((x, onehot.to(x.dtype)), dim=-1)
        return self.mlp(x)


class CVAEEncoder(WithLabels):
    def __init__(self, nz, input_size, conditional, num_labels):
        super().__init__(conditional, num_labels)
        self.mlp = Encoder(nz, input_size + self.extra)


class CVAEDecoder(WithLabels):
    def __init__(self, nz, output_size, conditional, num_labels):
        super().__init__(conditional, num_labels)
        self.mlp = Decoder(nz + self.extra, output_size)


class CVAE(nn.Module):
    def __init__(self, nz, beta=1.0, conditional=False, num_labels=0):
        super().__init__()
        if conditional and num_labels < 1:
            raise ValueError("how many labels are there?")
        self.nz, self.beta = nz, beta
        self.conditional, self.num_labels = conditional, num_labels
        self.encoder = CVAEEncoder(2 * nz, 784, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, 784, conditional, num_labels)

    def reparameterize(self, mu, log_sigma):
        return torch.normal(mean=torch.zeros_like(mu), std=1.0) * log_sigma.exp() + mu

    def forward(self, x, c=None):
        q = self.encoder(x, c)
        z = posterior(q).rsample()
        return {"q": q, "rec": self.decoder(z, c), "c": c}

    def loss(self, x, outputs):
        return vae_loss(x, outputs, self.beta)

    @torch.no_grad()
    def reconstruct(self, x, c=None):
        q = posterior(self.encoder(x, c))
        return self.decoder(q.mean, c).squeeze(1).unflatten(-1, (28, 28))


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    opt = torch.optim.Adam(model.parameters(), lr=learning_rate)
    curves = {"rec_loss": [], "kl_loss": []}
    model.train()
    for _epoch in range(epochs):
        for images, labels in loader:
            x = images.to(device).flatten(start_dim=1)[:, None]
            c = labels.to(device) if model.conditional else None
            total, parts = model.loss(x, model(x, c))
            opt.zero_grad()
            total.backward()
            opt.step()
            for key, curve in curves.items():
                curve.append(parts[key].item())
    return curves


def sample_conditional(model, labels, nz):
    some = next(model.parameters())
    c = torch.as_tensor(labels).to(some.device)
    z = torch.randn(len(c), nz, device=some.device, dtype=some.dtype)
    with torch.no_grad():
        images = model.decoder(z, c)
    return images.reshape(-1, 28, 28)
