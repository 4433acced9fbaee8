# coding: utf-8
# exported from autoencoder.ipynb

# In[1]:

import math
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

try:
    get_ipython().run_line_magic("matplotlib", "inline")
except NameError:
    pass  # not in the notebook

print("torch", torch.__version__, "| cuda:", torch.cuda.is_available())

IMG = 28 * 28
H1, H2 = 256, 64
all_losses = []  # for the big plot at the end


# In[2]:
# the encoder. everything is 2-D in here, the middle axis comes back at the end


class Encoder(nn.Module):
    def __init__(self, nz, input_size):
        super(Encoder, self).__init__()
        self.net = nn.Sequential()
        self.net.add_module("lin1", nn.Linear(input_size, H1))
        self.net.add_module("act1", nn.ReLU(True))
        self.net.add_module("lin2", nn.Linear(H1, H2))
        self.net.add_module("act2", nn.ReLU(True))
        self.net.add_module("lin3", nn.Linear(H2, nz))
        # self.net.add_module("act3", nn.Tanh())   # tried it, worse

    def forward(self, x):
        had_middle = x.dim() > 2  # (N, 1, 784) or straight from the loader
        x = x.view(x.size(0), -1)
        h = self.net(x)
        if had_middle:
            h = h.view(h.size(0), 1, h.size(1))
        return h


# print(Encoder(32, 784)(torch.rand(5, 1, 784)).shape)


# In[3]:


class Decoder(nn.Module):
    def __init__(self, nz, output_size):
        super(Decoder, self).__init__()
        layers = []
        sizes = [nz, H2, H1, output_size]
        for i in range(3):
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
            layers.append(nn.ReLU(True) if i < 2 else nn.Sigmoid())
        self.net = nn.Sequential(*layers)

    def logits(self, z):
        # everything but the sigmoid. the VAE uses it
        z = z.view(z.size(0), -1)
        for layer in list(self.net)[:-1]:
            z = layer(z)
        return z[:, None, :]

    def forward(self, z):
        out = self.logits(z)
        out = self.net[-1](out)
        # out = torch.clamp(out, 0, 1)
        return out


# In[4]:


def make_data_loader(dataset, batch_size=64, num_workers=0):
    loader = DataLoader(dataset, batch_size, True, num_workers=num_workers, drop_last=True)
    print("loader:", len(loader), "batches of", batch_size)
    return loader


# In[5]: given


class AutoEncoder(nn.Module):
    def __init__(self, nz, image_size=784):
        super(AutoEncoder, self).__init__()
        self.encoder = Encoder(nz, image_size)
        self.decoder = Decoder(nz, image_size)

    def forward(self, x):
        code = self.encoder(x)
        return self.decoder(code)

    def reconstruct(self, x):
        with torch.no_grad():
            out = self.forward(x)
        s = int(math.sqrt(out.shape[-1]))
        return out.view(x.shape[0], s, s)


# In[6]:


def reconstruction_loss(x_hat, x):
    pred = x_hat.reshape(-1)
    target = x.reshape(-1)
    # loss = ((pred - target) ** 2).mean()
    loss = F.binary_cross_entropy(pred, target)
    return loss


# In[7]:


def train_autoencoder(model, loader, epochs, learning_rate, device="cpu"):
    global all_losses
    opt = torch.optim.Adam(model.parameters(), learning_rate)
    losses = []
    t0 = time.time()
    for epoch in range(epochs):
        model.train()
        running = 0.0
        for i, data in enumerate(loader):
            img = data[0].to(device)
            # no flattening: the encoder does that
            out = model(img)
            loss = reconstruction_loss(out, img)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            running += losses[-1]
            if i % 100 == 0:
                print("\repoch %d, batch %d/%d, loss %.4f" % (epoch + 1, i, len(loader), losses[-1]), end="")
        print()
        print("epoch", epoch + 1, "done, mean loss", running / max(len(loader), 1), "%.1fs" % (time.time() - t0))
    all_losses += losses
    # plt.plot(all_losses)
    return losses


# In[8]:


def sample_images(model, num_samples, nz, device="cpu"):
    z = torch.zeros(num_samples, nz).normal_(0, 1)
    z = z.to(device)
    imgs = model.decoder(z)
    imgs = imgs.detach()
    imgs = imgs.view(-1, 1, 28, 28)
    return imgs


# In[9]:

# model = AutoEncoder(32)
# losses = train_autoencoder(model, make_data_loader(load_mnist()), 10, 1e-3)
# show(sample_images(model, 16, 32))
