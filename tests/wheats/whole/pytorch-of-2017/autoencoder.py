"""Problem 1, part 1: auto-encoder.   (style of the PyTorch 0.3 examples that I learnt from)"""

from __future__ import print_function

import math

import torch
import torch.nn as nn
import torch.optim as optim
from torch import Tensor
from torch.autograd import Variable
from torch.utils.data import DataLoader, Dataset


class Encoder(nn.Module):
    def __init__(self, nz, input_size):
        super(Encoder, self).__init__()
        self.nz = nz
        self.input_size = input_size
        self.net = nn.Sequential()
        self.net.add_module('fc1', nn.Linear(input_size, 256))
        self.net.add_module('relu1', nn.ReLU(True))
        self.net.add_module('fc2', nn.Linear(256, 64))
        self.net.add_module('relu2', nn.ReLU(True))
        self.net.add_module('fc3', nn.Linear(64, nz))

    def forward(self, x):
        size = x.size()
        h = self.net(x.contiguous().view(-1, self.input_size))
        if len(size) == 3:
            return h.view(size[0], size[1], self.nz)
        return h


class Decoder(nn.Module):
    def __init__(self, nz, output_size):
        super(Decoder, self).__init__()
        self.nz = nz
        self.output_size = output_size
        self.net = nn.Sequential()
        self.net.add_module('fc1', nn.Linear(nz, 64))
        self.net.add_module('relu1', nn.ReLU(True))
        self.net.add_module('fc2', nn.Linear(64, 256))
        self.net.add_module('relu2', nn.ReLU(True))
        self.net.add_module('fc3', nn.Linear(256, output_size))
        self.net.add_module('sigmoid', nn.Sigmoid())

    def forward(self, z):
        if z.dim() == 3:
            z = z.squeeze(1)
        return self.net(z).unsqueeze(1)


def make_data_loader(dataset, batch_size=64, num_workers=0):
    kwargs = {'num_workers': num_workers}
    return DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True, **kwargs)


class AutoEncoder(nn.Module):
    """An encoder followed by a decoder (given).

    Args:
        nz: length of a code.
        image_size: number of pixels of a square image.

    Example:
        >>> AutoEncoder(nz=32)(torch.rand(5, 1, 784)).shape
        torch.Size([5, 1, 784])
    """

    def __init__(self, nz: int, image_size: int = 784) -> None:
        super().__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode flattened images: (N, 1, image_size) -> (N, 1, image_size)."""
        return self.decoder(self.encoder(x))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode, for display: (N, 1, 784) -> (N, 28, 28), with no graph attached."""
        x_hat = self(x)
        side = math.isqrt(x_hat.shape[-1])
        return x_hat.reshape(len(x), side, side)


def reconstruction_loss(x_hat, x):
    criterion = nn.BCELoss()
    target = Variable(x.contiguous().view(x_hat.size()), requires_grad=False)
    return criterion(x_hat, target)


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    optimizer = optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    losses = []
    for epoch in range(epochs):
        for i, data in enumerate(loader, 0):
            inputs, _ = data
            inputs = Variable(inputs.contiguous().view(inputs.size(0), 1, 28 * 28)).to(device)
            # zero the parameter gradients by hand
            for p in model.parameters():
                if p.grad is not None:
                    p.grad.data.zero_()
            outputs = model(inputs)
            loss = reconstruction_loss(outputs, inputs)
            loss.backward()
            optimizer.step()
            losses.append(loss.data.item())
    return losses


def sample_images(model, num_samples, nz, device="cpu"):
    noise = torch.FloatTensor(num_samples, nz).normal_(0, 1)
    fake = model.decoder(Variable(noise).to(device))
    return fake.data.contiguous().view(num_samples, 1, 28, 28)
