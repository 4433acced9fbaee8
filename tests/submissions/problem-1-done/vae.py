import torch
from torch import nn
from torch.distributions import Normal
from torch.distributions import kl_divergence as kl_between

from autoencoder import Decoder, Encoder, reconstruction_loss

BETA = 0.05

INTERPOLATIONS = [[3, 8], [1, 7]]


def kl_divergence(mu1, log_sigma1, mu2, log_sigma2):
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


def posterior(q):
    """q(z|x) from the encoder's output: mean in the first half, log of sigma in the second."""
    half = q.shape[-1] // 2
    return Normal(q[..., :half], q[..., half:].exp(), validate_args=False)


def vae_loss(x, outputs, beta):
    q = posterior(outputs["q"])
    prior = Normal(torch.zeros_like(q.loc), torch.ones_like(q.scale), validate_args=False)
    rec = reconstruction_loss(outputs["rec"], x)
    kl = kl_between(q, prior).mean()
    return rec + beta * kl, {"rec_loss": rec.detach(), "kl_loss": kl.detach()}


class VAE(nn.Module):
    def __init__(self, nz, beta=1.0):
        super().__init__()
        self.beta = beta
        self.nz = nz
        self.encoder = Encoder(nz * 2, 784)
        self.decoder = Decoder(nz, 784)

    def reparameterize(self, mu, log_sigma):
        return Normal(mu, log_sigma.exp(), validate_args=False).rsample()

    def forward(self, x):
        q = self.encoder(x)
        z = self.reparameterize(q[..., : self.nz], q[..., self.nz :])
        return {"q": q, "rec": self.decoder(z)}

    def loss(self, x, outputs):
        return vae_loss(x, outputs, self.beta)

    @torch.no_grad()
    def reconstruct(self, x):
        mean = self.encoder(x)[..., : self.nz]
        return self.decoder(mean).reshape(-1, 28, 28)


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    opt = torch.optim.Adam(model.parameters(), lr=learning_rate)
    rec, kl = [], []
    model.train()
    for _epoch in range(epochs):
        for images, _labels in loader:
            x = images.to(device).reshape(len(images), 1, 784)
            total, parts = model.loss(x, model(x))
            opt.zero_grad()
            total.backward()
            opt.step()
            rec.append(float(parts["rec_loss"]))
            kl.append(float(parts["kl_loss"]))
    return {"rec_loss": rec, "kl_loss": kl}


@torch.no_grad()
def interpolate(model, x_start, x_end, nz, steps):
    if steps < 2:
        raise ValueError(f"an interpolation has both of its ends, so at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)
    codes = (1 - weight) * start + weight * end
    return model.decoder(codes).reshape(steps, 28, 28)
