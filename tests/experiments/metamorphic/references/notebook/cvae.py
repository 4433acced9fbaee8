# coding: utf-8
# exported from cvae.ipynb

# In[1]:

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tqdm.auto import tqdm

from autoencoder import Decoder, Encoder, reconstruction_loss
from vae import *
from vae import kl_divergence

IMAGE_SIZE = 784

# In[2]:


def idx2onehot(idx, n):
    if idx.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        raise ValueError("labels must be integers, not %s" % idx.dtype)
    if idx.dim() == 1:
        idx = idx[:, None]
    if idx.dim() != 2 or idx.size(1) != 1:
        raise ValueError("bad shape %s" % (tuple(idx.shape),))
    idx = idx.long()
    if len(idx) and (idx.min() < 0 or idx.max() > n - 1):
        raise ValueError("label out of range")
    onehot = torch.zeros(len(idx), n, device=idx.device)
    onehot.scatter_(1, idx, 1)
    return onehot


def rows(c, n):
    # labels -> one-hot rows; rows stay what they are
    if c.is_floating_point():
        return c
    return idx2onehot(c, n)


# In[3]:


class CVAEEncoder(nn.Module):
    def __init__(self, nz, input_size, conditional, num_labels):
        super(CVAEEncoder, self).__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        extra = num_labels if conditional else 0
        self.enc = Encoder(nz, input_size + extra)

    def forward(self, x, c=None):
        if self.conditional and c is None:
            raise ValueError("no labels")
        n = x.size(0)
        x = x.view(n, -1)
        if self.conditional:
            x = torch.cat((x, rows(c, self.num_labels).type_as(x)), 1)
        return self.enc(x).view(n, 1, -1)


class CVAEDecoder(nn.Module):
    def __init__(self, nz, output_size, conditional, num_labels):
        super(CVAEDecoder, self).__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        extra = num_labels if conditional else 0
        self.dec = Decoder(nz + extra, output_size)

    def forward(self, z, c=None):
        if self.conditional and c is None:
            raise ValueError("no labels")
        z = z.view(z.size(0), -1)
        if self.conditional:
            z = torch.cat((z, rows(c, self.num_labels).type_as(z)), 1)
        return self.dec(z)


# In[4]:


class CVAE(nn.Module):
    def __init__(self, nz, beta=1.0, conditional=False, num_labels=0):
        super(CVAE, self).__init__()
        if conditional:
            if num_labels < 1:
                raise ValueError("conditional, but num_labels = %d" % num_labels)
        self.nz = nz
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu, log_sigma):
        return mu + log_sigma.exp() * torch.randn_like(log_sigma)

    def forward(self, x, c=None):
        x = x.view(x.size(0), 1, -1)
        # one-hot once, both networks take the rows
        onehot = idx2onehot(c, self.num_labels) if self.conditional else None
        q = self.encoder(x, onehot)
        mu = q[:, :, : self.nz]
        log_sigma = q[:, :, self.nz :]
        z = self.reparameterize(mu, log_sigma)
        rec = self.decoder(z, onehot)
        return {"q": q, "rec": rec, "c": c}

    def loss(self, x, outputs):
        q = outputs["q"].reshape(len(x), -1)
        mu = q[:, : q.size(1) // 2]
        log_sigma = q[:, q.size(1) // 2 :]
        # closed form, against N(0, 1)
        kl = 0.5 * (torch.exp(2 * log_sigma) + mu**2 - 1) - log_sigma
        kl_loss = torch.mean(kl)
        rec_loss = reconstruction_loss(outputs["rec"], x)
        return rec_loss + self.beta * kl_loss, {"rec_loss": rec_loss, "kl_loss": kl_loss}

    def reconstruct(self, x, c=None):
        with torch.no_grad():
            onehot = idx2onehot(c, self.num_labels) if self.conditional else None
            q = self.encoder(x, onehot)
            img = self.decoder(q[:, :, : self.nz], onehot)
        return img.view(-1, 28, 28)


# In[5]:


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    model.train()
    opt = torch.optim.Adam(model.parameters(), lr=learning_rate)
    hist = {"rec_loss": [], "kl_loss": []}
    for epoch in range(epochs):
        for img, lab in tqdm(loader, desc="cvae, epoch %d" % (epoch + 1)):
            img, lab = img.to(device), lab.to(device)
            # the model flattens
            out = model(img, lab) if model.conditional else model(img)
            loss, parts = model.loss(img, out)
            opt.zero_grad()
            loss.backward()
            opt.step()
            hist["rec_loss"].append(parts["rec_loss"].item())
            hist["kl_loss"].append(parts["kl_loss"].item())
    return hist


# In[6]:


def sample_conditional(model, labels, nz):
    p = next(model.parameters())
    n = len(labels)
    z = torch.randn(n, nz).to(p)
    onehot = idx2onehot(labels.to(p.device), model.decoder.num_labels)
    with torch.no_grad():
        img = model.decoder(z, onehot)
    # plt.imshow(img[0].view(28, 28).cpu(), cmap="gray")
    return img.view(n, 28, 28)
