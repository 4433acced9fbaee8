# coding: utf-8
# exported from gan.ipynb

# In[1]:

import sys
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.utils import parametrize
from torch.nn.utils import spectral_norm as sn
from tqdm import tqdm

try:
    get_ipython().run_line_magic("load_ext", "autoreload")
    get_ipython().run_line_magic("autoreload", "2")
except NameError:
    pass

real_label = 1.0
fake_label = 0.0


# In[2]: given


class Generator(nn.Module):
    def __init__(self, code_size):
        super().__init__()
        self.fc = nn.Linear(code_size, 2048)
        blocks = []
        for a, b in ((128, 64), (64, 32), (32, 3)):
            blocks += [nn.BatchNorm2d(a), nn.LeakyReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1)]
        self.upsample_and_generate = nn.Sequential(*blocks, nn.Sigmoid())

    def forward(self, codes):
        h = self.fc(codes)
        h = h.view(h.size(0), 128, 4, 4)
        return self.upsample_and_generate(h)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.downsample = nn.Sequential(
            nn.Conv2d(3, 32, 4, 2, 1),
            nn.LeakyReLU(),
            nn.Conv2d(32, 64, 4, 2, 1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(),
            nn.Conv2d(64, 128, 4, 2, 1),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(),
        )
        self.fc = nn.Linear(2048, 1)

    def forward(self, images):
        h = self.downsample(images)
        return self.fc(h.view(h.size(0), -1))


def normal_weight_(layer, mean, std):
    with torch.no_grad():
        if parametrize.is_parametrized(layer, "weight"):
            layer.parametrizations.weight.original.normal_(mean, std)
            for _ in range(50):
                layer.weight
        else:
            w = getattr(layer, "weight_orig", layer.weight)
            w.normal_(mean, std)


@contextmanager
def evaluation_mode(network):
    before = {m: m.training for m in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for m in before:
            m.training = before[m]


@dataclass
class History:
    dis_loss: list = field(default_factory=list)
    gen_loss: list = field(default_factory=list)
    samples: list = field(default_factory=list)


# In[3]: spectral norm, the old pytorch function


class SpectralNormDiscriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.downsample = nn.Sequential(
            sn(nn.Conv2d(3, 32, 4, 2, 1)),
            nn.LeakyReLU(),
            sn(nn.Conv2d(32, 64, 4, 2, 1)),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(),
            sn(nn.Conv2d(64, 128, 4, 2, 1)),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(),
        )
        self.fc = nn.Linear(2048, 1)

    def forward(self, images):
        h = self.downsample(images)
        return self.fc(h.view(h.size(0), -1))


# In[4]:


class DCGAN(nn.Module):
    num_epoch = 25
    batch_size = 128
    log_step = 100
    visualize_step = 2
    code_size = 64
    learning_rate = 2e-4
    vis_learning_rate = 1e-2

    def __init__(self, spectral_norm=False, device=None):
        super().__init__()
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.register_buffer("tracked_noise", torch.randn(64, self.code_size, device=device))
        self.register_buffer("_actmax_label", torch.ones(1, 1, device=device))

        self._generator = Generator(self.code_size)
        if spectral_norm:
            self._discriminator = SpectralNormDiscriminator()
        else:
            self._discriminator = Discriminator()
        self._weight_initialization()
        self._generator.to(device)
        self._discriminator.to(device)
        # print(self._generator)
        # print(self._discriminator)

        self.optimizerD = optim.Adam(self._discriminator.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))
        self.optimizerG = optim.Adam(self._generator.parameters(), lr=self.learning_rate, betas=(0.5, 0.999))

    @property
    def device(self):
        return self.tracked_noise.device

    def _weight_initialization(self):
        def weights_init(m):
            name = m.__class__.__name__
            if "Conv" in name:
                normal_weight_(m, 0.0, 0.02)
            elif "BatchNorm" in name:
                normal_weight_(m, 1.0, 0.02)
                m.bias.data.fill_(0)

        self._generator.apply(weights_init)
        self._discriminator.apply(weights_init)

    def _classification_loss(self, logits, labels):
        criterion = nn.BCEWithLogitsLoss()
        return criterion(logits.view(-1), labels.view(-1))

    def training_step(self, real):
        self.train()
        b_size = real.size(0)

        ############################
        # (1) the discriminator
        ###########################
        self.optimizerD.zero_grad()
        # reals
        output = self._discriminator(real)
        label = torch.full_like(output, real_label)
        errD_real = self._classification_loss(output, label)
        errD_real.backward()
        # D_x = output.sigmoid().mean().item()
        # fakes
        noise = torch.randn(b_size, self.code_size, device=self.device).to(real.dtype)
        fake = self._generator(noise)
        output = self._discriminator(fake.detach())
        label = torch.full_like(output, fake_label)
        errD_fake = self._classification_loss(output, label)
        errD_fake.backward()
        errD = errD_real + errD_fake
        self.optimizerD.step()

        ############################
        # (2) the generator
        ###########################
        self.optimizerG.zero_grad()
        noise = torch.randn(b_size, self.code_size, device=self.device).to(real.dtype)
        fake = self._generator(noise)
        output = self._discriminator(fake)
        label = torch.full_like(output, real_label)  # fakes count as real here
        errG = self._classification_loss(output, label)
        errG.backward()
        self.optimizerG.step()
        # print("D", errD.item(), "G", errG.item())
        return errD.item(), errG.item()

    def fit(self, samples, epochs=None):
        data = torch.as_tensor(samples, dtype=torch.float32)
        if len(data) < 2:
            raise ValueError("at least 2 images, please")
        if epochs is None:
            epochs = self.num_epoch
        size = min(self.batch_size, len(data))
        hist = History()
        for epoch in range(1, epochs + 1):
            perm = torch.randperm(len(data), device=data.device)
            steps = range(0, len(data) - size + 1, size)
            for i in tqdm(steps, desc="epoch %d" % epoch, disable=not sys.stderr.isatty()):
                d, g = self.training_step(data[perm[i : i + size]].to(self.device))
                hist.dis_loss.append(d)
                hist.gen_loss.append(g)
                if len(hist.dis_loss) % self.log_step == 0:
                    print("[%d/%d] D %.3f G %.3f" % (epoch, epochs, d, g))
            if epoch % self.visualize_step == 0:
                hist.samples.append((epoch, self.generate(self.tracked_noise)))
        return hist

    def generate(self, codes):
        with torch.no_grad(), evaluation_mode(self._generator):
            return self._generator(codes.to(self.device)).cpu()

    def actmax(self, codes, steps=500):
        codes = codes.detach().clone().to(self.device)
        codes.requires_grad_(True)
        opt = optim.Adam([codes], lr=self.vis_learning_rate)
        label = self._actmax_label.repeat(len(codes), 1)
        with evaluation_mode(self):
            for _ in range(steps):
                loss = self._classification_loss(self._discriminator(self._generator(codes)), label)
                codes.grad = torch.autograd.grad(loss, codes)[0]
                opt.step()
            with torch.no_grad():
                img = self._generator(codes)
                loss = self._classification_loss(self._discriminator(img), label)
        return float(loss), img.cpu()

    def _reconstruction_loss(self, reconstruction, x):
        diff = reconstruction - x
        return (diff * diff).mean()

    def reconstruct(self, samples):
        if isinstance(samples, np.ndarray):
            samples = torch.from_numpy(samples)
        target = samples.to(self.device)
        z = torch.zeros(len(target), self.code_size).to(target)
        z.requires_grad = True
        opt = optim.Adam([z], lr=self.vis_learning_rate)
        modes = [(m, m.training) for m in self._generator.modules()]
        self._generator.eval()
        for step in range(500):
            opt.zero_grad()
            img = self._generator(z)
            loss = self._reconstruction_loss(img, target)
            loss.backward()
            opt.step()
            # if step % 100 == 0:
            #     print(step, loss.item())
        img = self._generator(z)
        loss = self._reconstruction_loss(img, target)
        # clean up: backward() also left gradients on the generator
        self._generator.zero_grad()
        for m, mode in modes:
            m.training = mode
        return loss.item(), img.detach().cpu()


# In[5]:

# dcgan = DCGAN()
# hist = dcgan.fit(load_cifar10())
