"""Problem 1, part 2: a variational auto-encoder (VAE) for MNIST.

Instead of a single code, the encoder returns a normal distribution over codes, q(z|x) = N(mu, sigma): nz
means, then nz logarithms of *standard deviations*. The loss is the reconstruction error plus the KL
divergence of that distribution from the prior N(0, I), weighted by beta:

    loss = reconstruction error + beta * KL[q(z|x) || N(0, I)]

Both terms are means, over all pixels and all latent dimensions respectively.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; beta as in Higgins et al., "beta-VAE",
2017.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autoencoder import Decoder, Encoder, reconstruction_loss

IMAGE_SIZE = 784

# Question 1-6 (2 points). The weight of the KL term that gives both good reconstructions and good samples,
# for a VAE with nz = 32 trained on MNIST with Adam at a learning rate of 1e-3. A plain number. Start with two
# questions: What does the loss become with beta = 0, and with beta = 10? Which beta makes it proportional to
# the evidence lower bound?
# I tried 0, 10, 1, 0.1, 0.01 and then some values between 0.1 and 0.01
BETA = 0.04

# Question 1-7 (1 point). Two pairs of digits to interpolate between, [(a, b), (c, d)]: labels 0 to 9, a
# different from b and c from d, and the second pair neither the first pair nor its reverse. Choose pairs
# whose interpolation is interesting to look at.
first_pair = (3, 8)
second_pair = (1, 7)
INTERPOLATIONS = [first_pair, second_pair]


def kl_divergence(mu1: Tensor, log_sigma1: Tensor, mu2: Tensor, log_sigma2: Tensor) -> Tensor:
    """KL[N(mu1, sigma1) || N(mu2, sigma2)] of one-dimensional normal distributions, elementwise (given).

    log(sigma2 / sigma1) + (sigma1^2 + (mu1 - mu2)^2) / (2 sigma2^2) - 1/2

    (Kingma and Welling 2014, appendix B, give the case of the prior N(0, 1).) The order of the arguments
    matters: the KL divergence is not symmetric.

    Args:
        mu1, mu2: means.
        log_sigma1, log_sigma2: natural logarithms of the standard deviations (not of the variances).

    Returns:
        The divergence of each element, in nats, nonnegative up to rounding. Nothing is summed or averaged.

    Example:
        >>> zero = torch.zeros(3)
        >>> kl_divergence(torch.tensor([0.0, 1.0, 2.0]), zero, zero, zero)
        tensor([0.0000, 0.5000, 2.0000])
    """
    log_ratio = log_sigma1 - log_sigma2
    distance = (mu1 - mu2) * torch.exp(-log_sigma2)
    return 0.5 * (torch.exp(2 * log_ratio) + distance**2 - 1) - log_ratio


class VAE(nn.Module):
    """A variational auto-encoder for images of 784 pixels.

    Question 1-4 (7 points): `__init__`, `reparameterize`, `forward`, `loss` and `reconstruct`

    Attributes set by `__init__`:
        beta: weight of the KL term.
        encoder: an `Encoder` with 2 nz outputs, the mean first and log sigma second.
        decoder: a `Decoder` that maps nz numbers to 784 pixels.

    Args:
        nz: length of a code.
        beta: weight of the KL term.
    """

    def __init__(self, nz: int, beta: float = 1.0) -> None:
        super().__init__()
        self.nz = nz
        self.beta = beta
        number_of_outputs = nz + nz  # means and log sigmas
        self.encoder = Encoder(nz=number_of_outputs, input_size=IMAGE_SIZE)
        self.decoder = Decoder(nz=nz, output_size=IMAGE_SIZE)

    def reparameterize(self, mu: Tensor, log_sigma: Tensor) -> Tensor:
        """Sample codes from N(mu, sigma) so that gradients flow through the sampling.

        z = mu + exp(log_sigma) * eps with eps ~ N(0, I)   (Kingma and Welling 2014, section 2.4)

        Args:
            mu: means, any shape, for instance (N, 1, nz).
            log_sigma: logarithms of the standard deviations (not of the variances), the same shape.

        Returns:
            z, the same shape. Every element has its own eps, drawn anew at every call. Gradients flow to both
            arguments: dz/dmu = 1 and dz/dlog_sigma = z - mu.

        Example:
            >>> z = vae.reparameterize(torch.full((1000, 1, 32), 5.0), torch.full((1000, 1, 32), -1.0))
            >>> z.mean(), z.std()  # near 5 and near exp(-1) = 0.37
        """
        sigma = torch.exp(log_sigma)
        zeros = torch.zeros(mu.shape, dtype=mu.dtype, device=mu.device)
        ones = torch.ones(mu.shape, dtype=mu.dtype, device=mu.device)
        epsilon = torch.normal(mean=zeros, std=ones)
        sigma_times_epsilon = torch.multiply(sigma, epsilon)
        z = torch.add(mu, sigma_times_epsilon)
        return z

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Encode a batch, sample one code per image, and decode it.

        Args:
            x: flattened images (N, 1, 784), any N.

        Returns:
            A dictionary with
                "q": the encoder's output, (N, 1, 2 nz): means, then log sigmas (not the sampled code);
                "rec": the reconstructions (N, 1, 784), in [0, 1].

        Example:
            >>> outputs = VAE(nz=32)(torch.rand(5, 1, 784))
            >>> outputs["q"].shape, outputs["rec"].shape
            (torch.Size([5, 1, 64]), torch.Size([5, 1, 784]))
        """
        N = x.shape[0]
        # step 1: encode
        q = self.encoder(x)
        q = q.reshape(N, 1, 2 * self.nz)
        # step 2: the first half is mu and the second half is log sigma
        mu = q[:, :, 0 : self.nz]
        log_sigma = q[:, :, self.nz : 2 * self.nz]
        # step 3: sample
        z = self.reparameterize(mu, log_sigma)
        # step 4: decode
        rec = self.decoder(z)
        rec = rec.reshape(N, 1, IMAGE_SIZE)

        outputs = {}
        outputs["q"] = q
        outputs["rec"] = rec
        return outputs

    def loss(self, x: Tensor, outputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The two terms of the VAE's loss, and their weighted sum.

        rec_loss: `reconstruction_loss` of the reconstructions.
        kl_loss: KL[q(z|x) || N(0, I)], the mean over the batch and the latent dimensions, in nats. (The
        standard deviation of N(0, I) is 1. What is its logarithm?)

        Args:
            x: the originals, (N, 1, 784).
            outputs: the return value of `forward` for them. Only "q" and "rec" are needed. Do not modify it.

        Returns:
            total = rec_loss + beta * kl_loss, and {"rec_loss": rec_loss, "kl_loss": kl_loss}: scalar (0-dim)
            tensors.

        Example:
            >>> total, parts = vae.loss(x, vae(x))
            >>> total.backward()
        """
        q = outputs["q"]
        rec = outputs["rec"]

        # reconstruction
        rec_loss = reconstruction_loss(rec, x)

        # KL, formula from the notebook: 1/2 (sigma^2 + mu^2 - 1) - log sigma
        mu = q[:, :, 0 : self.nz]
        log_sigma = q[:, :, self.nz : 2 * self.nz]
        sigma = torch.exp(log_sigma)
        sigma_squared = sigma * sigma
        mu_squared = mu * mu
        kl_sum = 0.0
        for dimension in range(self.nz):
            s2 = sigma_squared[:, :, dimension]
            m2 = mu_squared[:, :, dimension]
            ls = log_sigma[:, :, dimension]
            kl_of_this_dimension = 0.5 * (s2 + m2 - 1) - ls  # (N, 1)
            kl_sum = kl_sum + kl_of_this_dimension.mean()
        kl_loss = kl_sum / self.nz

        total = rec_loss + self.beta * kl_loss
        parts = {}
        parts["rec_loss"] = rec_loss
        parts["kl_loss"] = kl_loss
        return total, parts

    def reconstruct(self, x: Tensor) -> Tensor:
        """Encode and decode without sampling: decode the mean of q(z|x).

        Args:
            x: flattened images (N, 1, 784).

        Returns:
            Images (N, 28, 28), with no graph attached; the same at every call.

        Example:
            >>> VAE(nz=32).reconstruct(torch.rand(5, 1, 784)).shape
            torch.Size([5, 28, 28])
        """
        was_training = self.training
        self.eval()
        with torch.no_grad():
            N = x.shape[0]
            q = self.encoder(x)
            q = q.reshape(N, 2 * self.nz)
            mu = q[:, 0 : self.nz]  # no sampling, only the mean
            image = self.decoder(mu)
            image = image.reshape(N, 28 * 28)
            image = image.reshape(N, 28, 28)
        self.train(was_training)
        return image


def train_vae(
    model: nn.Module,
    loader: DataLoader,
    epochs: int,
    learning_rate: float,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Train a VAE in place.

    Question 1-5 (4 points)

    As in `train_autoencoder`: one Adam optimiser for the whole run, one step per batch, training mode,
    batches moved to `device` and flattened to (N, 1, 784). Minimise the total that `model.loss` returns.

    Args:
        model: has the `forward` and `loss` methods of a VAE. It is already on `device`.
        loader: yields (images, labels) with images (N, 1, 28, 28), on the CPU.
        epochs: how many times to go through the loader.
        learning_rate: Adam's learning rate.
        device: where to compute.

    Returns:
        {"rec_loss": [...], "kl_loss": [...]}, each with one plain float per iteration.

    Example:
        >>> history = train_vae(VAE(nz=32, beta=0.0), loader, epochs=5, learning_rate=1e-3)
        >>> history["rec_loss"][-1], history["kl_loss"][-1]  # about 0.09, and 20 to 32, on MNIST
    """
    print("training the VAE on", device)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()

    rec_losses = []
    kl_losses = []
    for epoch in range(epochs):
        for batch in loader:
            images = batch[0]
            images = images.to(device)
            N = images.shape[0]
            images = images.reshape(N, 28 * 28)
            images = images.reshape(N, 1, 28 * 28)

            outputs = model(images)
            result = model.loss(images, outputs)
            total = result[0]
            parts = result[1]

            optimizer.zero_grad()
            for parameter in model.parameters():
                parameter.grad = None
            total.backward()
            optimizer.step()

            rec_number = float(parts["rec_loss"].detach().cpu().numpy())
            kl_number = float(parts["kl_loss"].detach().cpu().numpy())
            rec_losses.append(rec_number)
            kl_losses.append(kl_number)
        if len(rec_losses) > 0:
            print("epoch", epoch + 1, "of", epochs, "rec:", rec_losses[-1], "kl:", kl_losses[-1])

    history = {}
    history["rec_loss"] = rec_losses
    history["kl_loss"] = kl_losses
    return history


@torch.no_grad()
def interpolate(model: nn.Module, x_start: Tensor, x_end: Tensor, nz: int, steps: int) -> Tensor:
    """Interpolate between two images, along a straight line in the latent space (given).

    Args:
        model: has an `encoder` whose first nz outputs are a code (the posterior mean for a VAE, the code
            itself for a plain auto-encoder), and a `decoder`.
        x_start, x_end: one image each, any shape with 784 elements.
        nz: length of a code.
        steps: number of images, at least 2.

    Returns:
        Images (steps, 28, 28), with no graph attached. The first is decoded from exactly the code of
        `x_start`, the last from exactly the code of `x_end`.

    Raises:
        ValueError: fewer than two steps, which cannot include both ends.

    Example:
        >>> interpolate(vae, x_start=images[0], x_end=images[1], nz=32, steps=10).shape
        torch.Size([10, 28, 28])
    """
    if steps < 2:
        raise ValueError(f"an interpolation includes both ends, so it needs at least 2 steps; got {steps}")
    device = next(model.parameters()).device
    ends = torch.stack([x_start.reshape(1, -1), x_end.reshape(1, -1)]).to(device)  # (2, 1, 784)
    start, end = model.encoder(ends)[..., :nz].reshape(2, 1, nz)  # (1, nz) each
    weight = torch.linspace(0, 1, steps, device=device, dtype=start.dtype).unsqueeze(1)  # (steps, 1)
    codes = (1 - weight) * start + weight * end  # (steps, nz)
    return model.decoder(codes).reshape(steps, 28, 28)
