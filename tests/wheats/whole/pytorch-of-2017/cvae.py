from __future__ import print_function

import torch
import torch.nn as nn
import torch.optim as optim
from torch import Tensor
from torch.autograd import Variable
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss
from vae import kl_divergence

IMAGE_SIZE = 784


def idx2onehot(idx, n):
    if idx.dtype == torch.bool or idx.is_floating_point() or idx.is_complex():
        raise ValueError('labels must be integers, got %s' % idx.dtype)
    if not (idx.dim() == 1 or (idx.dim() == 2 and idx.size(1) == 1)):
        raise ValueError('labels must be (N,) or (N, 1), got %s' % (tuple(idx.size()),))
    idx = idx.long().contiguous().view(-1, 1)
    if idx.numel() > 0 and (idx.min().item() < 0 or idx.max().item() >= n):
        raise ValueError('label out of range')
    onehot = torch.zeros(idx.size(0), n, device=idx.device, dtype=torch.float32)
    onehot.scatter_(1, idx, 1)
    return onehot


class CVAEEncoder(nn.Module):
    def __init__(self, nz, input_size, conditional, num_labels):
        super(CVAEEncoder, self).__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        if conditional:
            input_size = input_size + num_labels
        self.MLP = Encoder(nz, input_size)

    def forward(self, x, c=None):
        if self.conditional:
            if c is None:
                raise ValueError("a conditional encoder needs labels: call it as encoder(x, c)")
            c = idx2onehot(c, n=self.num_labels)
            x = torch.cat((x, c.unsqueeze(1).type_as(x)), dim=-1)
        return self.MLP(x)


class CVAEDecoder(nn.Module):
    def __init__(self, nz, output_size, conditional, num_labels):
        super(CVAEDecoder, self).__init__()
        self.conditional = conditional
        self.num_labels = num_labels
        self.MLP = Decoder(nz + num_labels if conditional else nz, output_size)

    def forward(self, z, c=None):
        if self.conditional:
            if c is None:
                raise ValueError("a conditional decoder needs labels: call it as decoder(z, c)")
            c = idx2onehot(c, n=self.num_labels)
            if z.dim() == 3:
                z = z.squeeze(1)
            z = torch.cat((z, c.type_as(z)), dim=-1)
        return self.MLP(z)


class CVAE(nn.Module):
    def __init__(self, nz, beta=1.0, conditional=False, num_labels=0):
        super(CVAE, self).__init__()
        if conditional and num_labels < 1:
            raise ValueError('num_labels must be positive')
        self.latent_size = nz
        self.beta = beta
        self.conditional = conditional
        self.num_labels = num_labels
        self.encoder = CVAEEncoder(2 * nz, IMAGE_SIZE, conditional, num_labels)
        self.decoder = CVAEDecoder(nz, IMAGE_SIZE, conditional, num_labels)

    def reparameterize(self, mu, log_sigma):
        std = torch.exp(log_sigma)
        eps = Variable(std.data.new(std.size()).normal_())
        return eps.mul(std).add_(mu)

    def forward(self, x, c=None):
        q = self.encoder(x, c)
        mu, log_sigma = torch.split(q, self.latent_size, dim=2)
        z = self.reparameterize(mu, log_sigma)
        return dict(q=q, rec=self.decoder(z, c), c=c)

    def loss(self, x, outputs):
        rec_loss = reconstruction_loss(outputs['rec'], x)
        mu, log_sigma = torch.split(outputs['q'], self.latent_size, dim=2)
        zeros = Variable(mu.data.new(mu.size()).zero_())
        kl_loss = kl_divergence(mu, log_sigma, zeros, zeros).mean()
        return rec_loss + self.beta * kl_loss, {'rec_loss': rec_loss, 'kl_loss': kl_loss}

    def reconstruct(self, x, c=None):
        mu = self.encoder(x, c)[:, :, :self.latent_size]
        return self.decoder(mu, c).data.squeeze(1).view(-1, 28, 28)


def train_cvae(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    rec_losses, kl_losses = [], []
    for epoch in range(epochs):
        model.train()
        for batch_idx, (data, target) in enumerate(loader):
            data = Variable(data.to(device))
            target = Variable(target.to(device))
            data = data.contiguous().view(-1, 1, IMAGE_SIZE)
            optimizer.zero_grad()
            if model.conditional:
                outputs = model(data, target)
            else:
                outputs = model(data)
            loss, parts = model.loss(data, outputs)
            loss.backward()
            optimizer.step()
            rec_losses += [parts['rec_loss'].data.item()]
            kl_losses += [parts['kl_loss'].data.item()]
    return {'rec_loss': rec_losses, 'kl_loss': kl_losses}


def sample_conditional(model, labels, nz):
    device = next(model.parameters()).device
    n = labels.size(0)
    noise = Variable(torch.FloatTensor(n, nz).normal_()).to(device)
    fake = model.decoder(noise, labels.to(device))
    return fake.data.contiguous().view(n, 28, 28)
