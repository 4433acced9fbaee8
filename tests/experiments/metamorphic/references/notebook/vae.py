# coding: utf-8
# exported from vae.ipynb

# In[1]:

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tqdm.auto import tqdm

from autoencoder import *
from autoencoder import Decoder, Encoder, reconstruction_loss

IMAGE_SIZE = 784
half = lambda q: q.size(-1) // 2

# In[2]:
# tried 0 (no structure), 10 (grey soup), 1 (still soup), 0.1, 0.05
BETA = 0.05

INTERPOLATIONS = [(3, 8), (1, 7)]


# In[3]: given


def kl_divergence(mu1, log_sigma1, mu2, log_sigma2):
    var1 = torch.exp(2 * log_sigma1)
    var2 = torch.exp(2 * log_sigma2)
    return log_sigma2 - log_sigma1 + (var1 + (mu1 - mu2) ** 2) / (2 * var2) - 0.5


# In[4]:


class VAE(nn.Module):
    def __init__(self, nz, beta=1.0):
        super(VAE, self).__init__()
        self.nz = nz
        self.beta = beta
        self.encoder = Encoder(nz * 2, IMAGE_SIZE)
        self.decoder = Decoder(nz, IMAGE_SIZE)

    def reparameterize(self, mu, log_sigma):
        sigma = log_sigma.exp()
        eps = torch.normal(torch.zeros_like(mu), torch.ones_like(mu))
        return eps * sigma + mu

    def forward(self, x):
        x = x.view(x.size(0), -1)  # (N, 784)
        q = self.encoder(x)  # (N, 2 nz)
        n = half(q)
        mu = q[:, :n]
        log_sigma = q[:, n:]
        z = self.reparameterize(mu, log_sigma)
        logits = self.decoder.logits(z)
        rec = torch.sigmoid(logits)
        # print(q.shape, z.shape, rec.shape)
        return {"q": q, "rec": rec, "z": z, "mu": mu, "log_sigma": log_sigma}

    def loss(self, x, outputs):
        q = outputs["q"].reshape(len(x), -1)
        n = half(q)
        mu, log_sigma = q[:, :n], q[:, n:]
        zero = torch.zeros_like(mu)
        kl = kl_divergence(mu, log_sigma, zero, zero)
        kl_loss = kl.sum() / kl.numel()
        rec_loss = reconstruction_loss(outputs["rec"], x)
        total = rec_loss + self.beta * kl_loss
        return total, {"rec_loss": rec_loss, "kl_loss": kl_loss, "total": total}

    @torch.no_grad()
    def reconstruct(self, x):
        x = x.view(x.size(0), -1)
        q = self.encoder(x)
        mu = q[:, : half(q)]
        img = torch.sigmoid(self.decoder.logits(mu))
        return img.view(-1, 28, 28)


# In[5]:


def train_vae(model, loader, epochs, learning_rate, device="cpu"):
    opt = torch.optim.Adam(model.parameters(), lr=learning_rate)
    hist = {"rec_loss": [], "kl_loss": [], "total": []}
    model.to(device)
    model.train()
    for epoch in range(epochs):
        bar = tqdm(loader, desc="epoch %d" % (epoch + 1), leave=False)
        for batch in bar:
            img = batch[0].to(device)
            out = model(img)
            loss, parts = model.loss(img, out)
            opt.zero_grad()
            loss.backward()
            opt.step()
            for k in hist:
                hist[k].append(float(parts[k]))
            bar.set_postfix(rec=hist["rec_loss"][-1], kl=hist["kl_loss"][-1])
        print("epoch %d: rec %.4f kl %.4f" % (epoch + 1, np.mean(hist["rec_loss"]), np.mean(hist["kl_loss"])))
    return hist


# In[6]: given


def interpolate(model, x_start, x_end, nz, steps):
    if steps < 2:
        raise ValueError("need at least 2 steps")
    dev = next(model.parameters()).device
    with torch.no_grad():
        a = model.encoder(x_start.reshape(1, 1, 784).to(dev)).reshape(-1)[:nz]
        b = model.encoder(x_end.reshape(1, 1, 784).to(dev)).reshape(-1)[:nz]
        rows = []
        for i in range(steps):
            t = i / (steps - 1)
            rows.append((1 - t) * a + t * b)
        imgs = model.decoder(torch.stack(rows))
    return imgs.reshape(steps, 28, 28)
