from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader

HIDDEN = [256, 64]


def mlp(sizes):
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return layers[:-1]  # no activation after the last linear layer


class Encoder(nn.Module):
    def __init__(self, nz, input_size):
        super().__init__()
        self.layers = nn.ModuleList(mlp([input_size, *HIDDEN, nz]))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Decoder(nn.Module):
    def __init__(self, nz, output_size):
        super().__init__()
        self.nz = nz
        self.layers = nn.ModuleList(mlp([nz, *HIDDEN[::-1], output_size]))

    def forward(self, z):
        h = z.reshape(z.size(0), 1, self.nz)
        for layer in self.layers:
            h = layer(h)
        return torch.sigmoid(h)


def make_data_loader(dataset, batch_size=64, num_workers=0):
    return DataLoader(dataset, batch_size, shuffle=True, num_workers=num_workers, drop_last=True)


class AutoEncoder(nn.Module):
    def __init__(self, nz, image_size=784):
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x):
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x):
        return self(x).reshape(-1, 28, 28)


bce = nn.BCELoss(reduction="mean")


def reconstruction_loss(x_hat, x):
    return bce(x_hat.flatten(1), x.flatten(1))


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    model = model.to(device)
    opt = torch.optim.Adam(model.parameters(), learning_rate)
    losses = []
    model.train()
    for _epoch in range(epochs):
        for batch in loader:
            x = batch[0].to(device)
            x = x.reshape(x.shape[0], 1, -1)
            loss = reconstruction_loss(model(x), x)
            loss.backward()
            opt.step()
            opt.zero_grad()
            losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def sample_images(model, num_samples, nz, device="cpu"):
    z = torch.distributions.Normal(0.0, 1.0).sample((num_samples, nz)).to(device)
    return model.decoder(z).reshape(num_samples, 1, 28, 28)
