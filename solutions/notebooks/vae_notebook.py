# %% [markdown]
# # Problem 1: auto-encoders, from plain to variational to conditional
#
# An image of a handwritten digit has 784 pixels, but a much shorter description is enough: which digit it is,
# how slanted, how thick, with or without a loop. In this notebook you build three models that learn such
# descriptions on their own:
#
# * an **auto-encoder**, which learns to compress images and to decompress them again;
# * a **variational auto-encoder** (VAE), which can also generate new digits;
# * a **conditional VAE** (CVAE), which generates the digit that you ask for.
#
# You write the code in three modules next to this notebook: `autoencoder.py`, `vae.py` and `cvae.py`. The
# notebook imports them, trains your models, plots the figures, and contains four written questions. There is
# no code to write in the notebook itself, only a few settings to choose: if a cell stops with
# `NotImplementedError`, the message names the function to write.
#
# After each part, a call such as `grader.check("q1_1")` runs the public checks of that question. They are the
# same checks that `python -m autograder check` runs in a terminal. (While a cell is training, no other
# cell can run, but you can run the checks in a terminal.)

# %% [markdown]
# ## What you will learn
#
# * to build and train an encoder and a decoder in PyTorch, and to follow the shapes through them;
# * what cross-entropy and squared error assume about the outputs of a network;
# * why a good compressor is not yet a generator;
# * where the variational bound comes from, what its two terms do, and how to weigh them;
# * to backpropagate through a random draw;
# * to compare two latent spaces by walking through them;
# * to condition a model on a label, and to separate what a digit is from how it is written.
#
# | part | questions | your time | training on a CPU |
# |---|---|---|---|
# | set up, read this page | | 30 minutes | |
# | 1. the auto-encoder | 1-1 to 1-3, 1-3w | 2 hours | 1 minute |
# | 2. the VAE | 1-4, 1-5 | 2 hours | |
# | 3. the weight of the prior | 1-6w-a, 1-6, 1-6w-b | 2 hours | 1 minute, then 2 for each value you try |
# | 4. interpolation | 1-7, 1-7w | 1 hour | |
# | 5. the conditional VAE | 1-8, 1-9 | 2 hours | 1 minute |

# %% [markdown]
# **Where to run it.** In Jupyter or VS Code, open this notebook where it is, next to the modules. In Colab:
#
# 1. Open this notebook and upload `generative-models.zip`, the file that you were given (the folder icon on
#    the left, then the upload icon). The next cell unpacks it.
# 2. Your modules are then in `generative-models/assignment/`. Double-click a module in the file browser to
#    open an editor next to the notebook. After you save the module, the next cell you run uses the new
#    version. If you already have modules, upload them into that folder.
# 3. Colab deletes the folder when the session ends, so download your modules first. It also stores *this*
#    notebook elsewhere. For your written answers to count, download the notebook (File, Download, .ipynb)
#    and upload it into that folder as `vae.ipynb`, replacing the existing one, before you call
#    `grader.check` on a written question or `grader.export()`.
#
# **A GPU** is not needed for this notebook: its networks are small, and a CPU trains each in a minute or two.
# (Problem 2 is another matter; its notebook says how to get one.)

# %%
# Find the assignment's files. You can rerun this cell at any time.
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

if not Path("autoencoder.py").is_file():
    if not Path("generative-models/assignment").is_dir():
        if not Path("generative-models.zip").is_file():
            raise FileNotFoundError(
                f"neither autoencoder.py nor generative-models.zip is in {Path.cwd()}: open this notebook in the "
                "assignment's folder, or upload the zip that you were given to the folder where it runs"
            )
        with zipfile.ZipFile("generative-models.zip") as archive:
            archive.extractall()
    os.chdir("generative-models/assignment")

for folder in (Path.cwd().parent, Path.cwd()):  # the grader's package is in the parent folder
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Packages that the grader needs and that may be missing on a new machine.
needed = {
    "otter": "otter-grader>=6.1",
    "hypothesis": "hypothesis>=6.100",
    "pytest": "pytest>=8.1",
    "rich": "rich>=13",
    "safetensors": "safetensors>=0.4.3",
    "torch": "torch>=2.4",
    "torchvision": "torchvision>=0.19",
}
missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
if missing:
    print("Installing", ", ".join(missing), "...")
    installer = Path(importlib.util.find_spec("autograder").origin).with_name("support") / "install.py"
    subprocess.run([sys.executable, str(installer), "--quiet", *missing], check=True)

# %%
# Reload modules whenever you save them, and show figures in the notebook.
# %load_ext autoreload
# %autoreload 2
# %matplotlib inline

# %%
import torch

import data
import figures
from autograder.generative import expected, styles
from autograder.notebook import Grader

grader = Grader("vae.ipynb")

# %% [markdown]
# ## Settings
#
# With the environment variable `GENERATIVE_QUICK=1`, everything below is small: the notebook runs in a
# minute, which shows that it works, but the models are not good. With `GENERATIVE_OFFLINE=1`, nothing is
# downloaded, and the small set of digits that comes with scikit-learn replaces MNIST. You can also set the
# variables `QUICK` and `OFFLINE` directly here.
#
# Every trained model is saved in a file next to the notebook. After a restart, set `REUSE = True`: the cells
# below then load what they find instead of training it again. Set it back to `False` once you change the code
# of a model, `QUICK` or `OFFLINE`, or you will look at the old one.

# %%
QUICK = os.environ.get("GENERATIVE_QUICK") == "1"
OFFLINE = os.environ.get("GENERATIVE_OFFLINE") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
REUSE = False  # True: load saved models instead of training them
SEED = 42
NZ = 32  # length of a code
LEARNING_RATE = 1e-3


def load():
    """The training set, the test set, and their name in the figures."""
    if not OFFLINE:
        try:
            return data.load_mnist(), data.load_mnist(train=False), "MNIST"
        except data.DataUnavailable as error:
            print(f"{error}\n\nGoing on with scikit-learn's digits: the numbers will differ from the text.")
    return data.load_digits_offline(), data.load_digits_offline(train=False), "scikit-learn's digits"


train_set, test_set, DATA = load()
if QUICK:
    train_set = torch.utils.data.Subset(train_set, range(1400))
test_images, test_labels = test_set.tensors

print(f"{DATA}: {len(train_set)} training images, {len(test_images)} test images; training on {DEVICE}")
figures.image_grid(test_images[:20], f"{DATA}: the first test images", columns=10)

# %% [markdown]
# Three small functions that the cells below use:


# %%
def epochs(count):
    """`count` for MNIST; more for a small data set, whose epochs are short."""
    if len(train_set) > 10_000:
        return count
    return count if QUICK else 20 * count


def flat(images):
    """Images in the models' input format: (N, 1, 28, 28) -> (N, 1, 784), on the model's device."""
    return images.reshape(-1, 1, 784).to(DEVICE)


def mean_of_last(losses, count=100):
    """A single batch is noisy: the final loss is the mean of the last 100 iterations."""
    last = losses[-count:]
    return sum(last) / len(last)


# %% [markdown]
# ### Saving and loading a model
#
# A model's *state dict* holds its parameters and buffers by name, and nothing else: no code, no class. To
# load one, build the model as before and fill it. `weights_only=True` makes `torch.load` accept nothing but plain
# data; it is the default since PyTorch 2.6. With `weights_only=False`, a file can run any program on your machine.
# `map_location` puts the numbers on the device that you have now, wherever they were saved.


# %%
def trained(model, file, train):
    """Train a model and save it with its losses; or, with REUSE, load both from the file if it exists."""
    if REUSE and Path(file).is_file():
        saved = torch.load(file, map_location=DEVICE, weights_only=True)
        model.load_state_dict(saved["model"])
        return saved["losses"]
    losses = train()
    torch.save({"model": model.state_dict(), "losses": losses}, file)
    return losses


# %% [markdown]
# ## 1. The auto-encoder
#
# An **encoder** $f$ maps an image $x \in [0,1]^{784}$ to a code $z = f(x) \in \mathbb{R}^{32}$; a
# **decoder** $g$ maps the code back to an image $\hat x = g(z)$. The code is a bottleneck: 32 numbers cannot
# store 784 arbitrary pixels, so the two networks have to learn what digits have in common. The objective is that
# $\hat x$ looks like $x$.

# %%
import diagrams

diagrams.autoencoder()

# %% [markdown]
# ### Which loss?
#
# To train the networks, we need to measure "looks like". A loss is an assumption about the outputs: it is the
# negative logarithm of the probability that the model gives to the true pixel.
#
# * **Squared error** belongs to a normal distribution of fixed width around the output $\hat x_i$. The pixel
#   may be any real number, and an error of 0.1 costs the same at 0.5 as at 0.01.
# * **Binary cross-entropy** belongs to a Bernoulli distribution, the toss of a coin: the output $\hat x_i$ is
#   the probability that the pixel is white. It needs outputs between 0 and 1, which the sigmoid guarantees, and
#   it punishes confident errors without limit.
#
# MNIST's pixels are almost all black or white, so the Bernoulli distribution describes them better, and its
# gradient does not vanish where the sigmoid is flat. For photographs, with all their shades, the squared error is
# the usual choice (question 2-4 uses it). The cross-entropy, averaged over all $D = 784$ pixels and over the batch, is
#
# $$\ell(\hat x, x) = -\frac{1}{D} \sum_{i=1}^{D} \big[\, x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i) \,\big].$$
#
# With the natural logarithm, its unit is the *nat*. Three values are useful for comparison:
#
# * Predicting 0.5 everywhere costs $\log 2 = 0.693$ for any image. Training starts there.
# * A perfect reconstruction, $\hat x = x$, does not cost 0, because a grey pixel has an entropy of its own.
#   On MNIST, this lower limit is 0.058.
# * A model that ignores its input and always outputs the average digit costs 0.263.
#
# A good model therefore lies between 0.058 and 0.263, and losses near 0.09 are better than they sound.
#
# The two arguments are not interchangeable: the prediction is inside the logarithm, the target outside. If
# they are swapped, the formula is infinite wherever a true pixel is exactly 0 or 1, and most pixels are. PyTorch
# limits the logarithm to -100, so the first loss is about 41 instead of 0.69. The gradients are infinite, and the
# next iteration stops with "all elements of target should be between 0 and 1".

# %% [markdown]
# ### Questions 1-1 and 1-2 (6 + 6 points)
#
# In `autoencoder.py`, write `Encoder`, `Decoder` and `make_data_loader` (1-1), then `reconstruction_loss`
# and `train_autoencoder` (1-2). Their docstrings are the specification: shapes, units, examples.
#
# Look at the shapes before you look for anything else: most errors in a network are errors of shape. The next
# cell prints the shape after every layer. If a layer raises an error, run a part of the network on its own: an
# `nn.Sequential` can be sliced, so `encoder.net[:2](x)` runs the first two layers alone.

# %%
import autoencoder


# %%
@torch.no_grad()
def print_shapes(network, x):
    """Run a network once and print the shape after every layer."""

    def show(layer, inputs, output):
        print(f"{type(layer).__name__:>10} -> {tuple(output.shape)}")

    layers = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(show) for layer in layers]
    print(f"{'input':>10}    {tuple(x.shape)}")
    y = network(x)
    for hook in hooks:
        hook.remove()
    print(f"{'output':>10}    {tuple(y.shape)}\n")


print_shapes(autoencoder.Encoder(NZ, 784), torch.rand(5, 1, 784))
print_shapes(autoencoder.Decoder(NZ, 784), torch.randn(5, NZ))

# %%
grader.check("q1_1")

# %%
grader.check("q1_2")

# %% [markdown]
# Now train it: 10 epochs, about a minute on a CPU. On MNIST, the first loss is about 0.69 and the last losses
# are about 0.09. The cell after the training says whether your losses are in the reference's range. This is only
# for your information: no points depend on it.

# %%
torch.manual_seed(SEED)
ae = autoencoder.AutoEncoder(NZ).to(DEVICE)
loader = autoencoder.make_data_loader(train_set)
watched = data.Watched(loader, epochs(10), "auto-encoder")
ae_losses = trained(
    ae,
    "ae.pt",
    lambda: autoencoder.train_autoencoder(ae, watched, epochs(10), LEARNING_RATE, device=DEVICE),
)
figures.loss_curves({"reconstruction": ae_losses}, f"Auto-encoder on {DATA}")

# %%
final = {"first": ae_losses[0], "rec": mean_of_last(ae_losses)}
print(f"first loss {final['first']:.3f}, mean of the last 100: {final['rec']:.4f}")
print(expected.compare("auto-encoder", DATA, final, QUICK))

# %% [markdown]
# The model could have memorised the training images. These are test images, which it has never seen:

# %%
x = test_images[:10]
rows = {
    "original": x,
    "yours": ae.reconstruct(flat(x)),
    "the reference": expected.rebuilt("auto-encoder", DATA),
}
figures.image_rows(rows, f"Auto-encoder, {DATA}: test images and their reconstructions")

# %% [markdown]
# **Stop here until your row looks like the reference's.** (Not in quick mode, which is too short for it.)
# Everything below is built on this model's parts: the VAE uses your encoder, your decoder and your loss. If
# your digits are grey clouds, all the same, or noise, the training does not work yet, and nothing below will.

# %% [markdown]
# ### Question 1-3 (2 points): can it generate digits?
#
# The decoder makes an image from any 32 numbers. So sample the numbers at random, $z \sim \mathcal{N}(0, I)$,
# and look at the result. Write `sample_images` in `autoencoder.py`.

# %%
grader.check("q1_3")

# %%
torch.manual_seed(SEED)
figures.image_grid(
    autoencoder.sample_images(ae, 20, NZ, device=DEVICE), f"Auto-encoder, {DATA}: samples", columns=10
)

# %% [markdown]
# Where do the codes of real images lie? The distribution that we sample from, $\mathcal{N}(0, I)$, has mean 0 and
# standard deviation 1 in every dimension; it is called the *prior*.

# %%
with torch.no_grad():
    codes = ae.encoder(flat(test_images)).squeeze(1)
spread = codes.std(dim=0)
correlation = torch.corrcoef(codes.T).fill_diagonal_(0).abs()
print(f"means of the {NZ} dimensions: {codes.mean(dim=0).min():.1f} to {codes.mean(dim=0).max():.1f}")
print(f"standard deviations: {spread.min():.1f} to {spread.max():.1f}")
print(f"largest correlation of two dimensions: {correlation.max():.2f}")

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 1-3w -->
# ### Question 1-3w (2 points, at most 150 words)
#
# What do the samples of the plain auto-encoder look like, and why? Explain what the loss requires of the
# codes, and what it does not.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# Most samples are not digits: they are faint, blurred tangles of strokes, at best a mixture of several
# digits.
#
# The loss only requires that the code of each training image can be decoded. It does not constrain where
# codes lie, how they are spread, or what lies between them. So the encoder can put them anywhere: with means
# and spreads far from 0 and 1, correlated, in clusters with gaps. The decoder was trained only at those
# places. A sample from $\mathcal{N}(0, I)$ almost always falls where there was no training code. There the
# decoder has to extrapolate, and the loss never penalised nonsense.
#
# Reconstructions are still good, because the code of a test image lies among the training codes. Good
# reconstruction therefore does not make a generative model: we would also need to know the distribution of
# the codes.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q1_3w")

# %% [markdown]
# ## 2. The variational auto-encoder
#
# The encoder now returns a small cloud instead of a point, and the code is drawn from that cloud.

# %%
diagrams.vae()

# %% [markdown]
# ### Deriving the bound
#
# We *choose* the distribution of the codes, $p(z) = \mathcal{N}(0, I)$, and want a decoder under which real
# images are likely. The decoder defines $p(x|z)$; the probability of an image is an average over all the
# codes that could have produced it,
#
# $$p(x) = \int p(x|z)\, p(z)\, dz .$$
#
# We cannot compute this integral: almost all codes have nothing to do with a given $x$. So let an encoder
# propose the relevant codes. It returns a distribution $q(z|x)$. We sample from it and correct with
# importance weights, which leaves the value unchanged:
#
# $$\log p(x) = \log \mathbb{E}_{q(z|x)}\!\left[\frac{p(x|z)\, p(z)}{q(z|x)}\right]
# \;\ge\; \mathbb{E}_{q(z|x)}\!\left[\log \frac{p(x|z)\, p(z)}{q(z|x)}\right] .$$
#
# The logarithm is concave, so the logarithm of a mean is at least the mean of the logarithms (Jensen's
# inequality). Split the fraction:
#
# $$\log p(x) \;\ge\; \underbrace{\mathbb{E}_{q(z|x)}\big[\log p(x|z)\big]}_{\text{reconstruction}}
# \;-\; \underbrace{\mathrm{KL}\big[q(z|x)\,\|\,p(z)\big]}_{\text{distance of the codes from the prior}} \;=\; \mathrm{ELBO}(x),$$
#
# the **evidence lower bound** (Kingma and Welling 2014). Note the logarithms and the signs: both terms
# are expectations of log-probabilities, the KL divergence is *subtracted*, and the bound is *maximised*. The
# gap is known exactly: $\log p(x) - \mathrm{ELBO}(x) = \mathrm{KL}[q(z|x)\,\|\,p(z|x)]$, so the bound is
# tight when the encoder returns the true posterior.

# %% [markdown]
# ### The two terms
#
# For each of the $n_z$ dimensions, the encoder returns a mean $\mu$ and $\log \sigma$, the logarithm of the
# *standard deviation*. (Many texts use the logarithm of the variance, which is twice that. Both conventions
# work, but mixing them does not, and this is one of the most common mistakes.) Any real number is a valid
# $\log\sigma$, so the network needs no constraint. For a normal $q$ and the standard normal prior, the KL
# divergence has a closed form:
#
# $$\mathrm{KL}\big[\mathcal{N}(\mu, \sigma)\,\|\,\mathcal{N}(0, 1)\big] = \tfrac12\big(\sigma^2 + \mu^2 - 1\big) - \log \sigma .$$
#
# It is 0 for $\mu = 0, \sigma = 1$ and positive everywhere else. `kl_divergence` in `vae.py` computes it for
# any two normal distributions. Note that it takes $\log\sigma$, not $\sigma$, and that the order of the
# arguments matters.
#
# The other term needs a sample of $z$, and a gradient through that sample. The **reparameterisation trick**
# separates the randomness from the parameters:
#
# $$z = \mu + \sigma \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I) .$$
#
# Now $z$ is a differentiable function of $\mu$ and $\sigma$, with $\partial z / \partial \mu = 1$ and
# $\partial z / \partial \log \sigma = \sigma \varepsilon = z - \mu$. Every image and every dimension has
# its own $\varepsilon$.
#
# Sampling is for training. To *show* a reconstruction, decode the mean $\mu$, without sampling.

# %% [markdown]
# ### What beta means here
#
# The loss that you write is
#
# $$\mathcal{L} = \mathrm{rec} + \beta \cdot \mathrm{kl},$$
#
# where, as everywhere in this assignment, both terms are **means over all elements**: $\mathrm{rec}$ over
# the $D = 784$ pixels, $\mathrm{kl}$ over the $n_z = 32$ dimensions of the code. The bound adds up all pixels
# and all dimensions; it knows no means. So a $\beta$ of 1 here is not the $\beta$ of 1 in a paper that uses
# sums (as Higgins et al. 2017 do). Before you go on, work out on paper which $\beta$ makes this loss
# proportional to $-\mathrm{ELBO}$: you will need it in question 1-6. Whenever you read about "the right
# $\beta$", first check how the terms were reduced.
#
# (Fine print: cross-entropy is a likelihood for pixels that are 0 or 1. With grey pixels it is a common
# relaxation, so the "ELBO" in the tables below compares models with each other, but is not the logarithm of a
# true density.)

# %% [markdown]
# ### Questions 1-4 and 1-5 (7 + 4 points)
#
# In `vae.py`, write the class `VAE` (1-4) and `train_vae` (1-5).

# %%
import vae

# %%
small = vae.VAE(NZ)
x = torch.rand(5, 1, 784)
for name, value in small(x).items():
    print(f"forward: {name:>4} {tuple(value.shape)}")
print(f"reconstruct:  {tuple(small.reconstruct(x).shape)}")

# %%
grader.check("q1_4")

# %%
grader.check("q1_5")

# %% [markdown]
# ## 3. How much weight for the prior?
#
# The next cell defines two functions. One trains a VAE with a given $\beta$, always from the same seed: only
# $\beta$ differs. The other measures a model on the *test* set: `sampled` reconstructs from a random
# $z \sim q(z|x)$, as in training, and `mean` from $\mu$.


# %%
def train_one(beta, count):
    """A VAE trained for `count` epochs, and its losses."""
    torch.manual_seed(SEED)
    model = vae.VAE(NZ, beta=beta).to(DEVICE)
    watched = data.Watched(autoencoder.make_data_loader(train_set), epochs(count), f"VAE, beta {beta:g}")
    history = trained(
        model,
        f"vae-{beta:g}-{count}.pt",
        lambda: vae.train_vae(model, watched, epochs(count), LEARNING_RATE, device=DEVICE),
    )
    return model, history


@torch.no_grad()
def on_test_images(model, *labels):
    """rec (sampled), rec (mean decoded) and kl over the test set, and -ELBO in nats per image."""
    x = flat(test_images)
    outputs = model(x, *labels)
    _, parts = model.loss(x, outputs)
    rec, kl = float(parts["rec_loss"]), float(parts["kl_loss"])
    mean = autoencoder.reconstruction_loss(model.reconstruct(x, *labels).reshape(x.shape), x)
    return rec, float(mean), kl, expected.bound(x, outputs["rec"], outputs["q"])


# %% [markdown]
# ### First, beta = 0: does it work at all?
#
# Start where you know what to expect. After 5 epochs of MNIST, rec ends at about 0.09. The other term has no
# weight, but it is printed: it ends somewhere between 20 and 32. If this run fails, the fault is in your code,
# not in the choice of $\beta$.

# %%
without, without_history = train_one(0.0, 5)
figures.loss_curves(without_history, f"VAE on {DATA}, beta 0", model="VAE")

# %%
final = {name.removesuffix("_loss"): mean_of_last(losses) for name, losses in without_history.items()}
print(expected.compare("VAE, beta 0", DATA, final, QUICK))

# %%
x = test_images[:10]
rows = {
    "original": x,
    "yours": without.reconstruct(flat(x)),
    "the reference": expected.rebuilt("VAE, beta 0", DATA),
}
figures.image_rows(rows, f"VAE, beta 0, {DATA}: test images and their reconstructions")

# %% [markdown]
# **Stop here until your row looks like the reference's.** (Not in quick mode.)

# %% [markdown]
# ### Then beta = 10
#
# Now the other extreme. On MNIST, expect rec to end at 0.26 and kl below 0.00001.

# %%
strong, strong_history = train_one(10.0, 5)
figures.loss_curves(strong_history, f"VAE on {DATA}, beta 10", model="VAE")

# %%
final = {name.removesuffix("_loss"): mean_of_last(losses) for name, losses in strong_history.items()}
print(expected.compare("VAE, beta 10", DATA, final, QUICK))

# %%
studied = {0.0: without, 10.0: strong}


def compared():
    """The figure of all models trained so far: reconstructions on the left, samples on the right."""
    rows = {
        f"beta {beta:g}": (
            model.reconstruct(flat(test_images[:7])),
            autoencoder.sample_images(model, 7, NZ, device=DEVICE),
        )
        for beta, model in sorted(studied.items())
    }
    return figures.beta_study(test_images[:7], rows, f"VAE on {DATA}, by beta")


compared()

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 1-6w-a -->
# ### Question 1-6w-a (2 points, at most 200 words)
#
# What effect do $\beta = 0$ and $\beta = 10$ have on reconstructions, on samples and on the two terms of the
# loss, and why?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# **$\beta = 0$.** Only the reconstruction counts. Noise in the code can only hurt it, so the encoder removes
# the noise: $\sigma$ goes to 0, and the means move far apart so that the remaining noise does not matter. The
# VAE becomes a plain auto-encoder: reconstructions are as good (0.09), and decoding a sample or the mean makes
# no difference. Nothing limits the divergence, which grows to about 25 nats per dimension through
# $-\log\sigma$ and $\mu^2$. Samples are as bad as the auto-encoder's, because training never used the prior.
#
# **$\beta = 10$.** That is 245 times the weight of the divergence in the bound. A nat of information in the
# code costs more than it can save in reconstruction, so the best code carries none:
# $q(z|x) = \mathcal{N}(0, I)$ for every $x$, and the divergence is 0 (posterior collapse). The decoder
# receives pure noise, learns to ignore it, and outputs the one image that is best for all digits: their
# blurred mean, at a cost of 0.263. Reconstructions do not depend on their originals, and all samples are that
# same blob.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q1_6w_a")

# %% [markdown]
# ### Before you tune: write down what you expect
#
# Between the extremes lies a model that is good at both. What do you expect of it? Double-click this cell and
# note it here, before you train with a $\beta$ of your own: a prediction that you can compare with the result teaches more
# than a result alone. (No points; it is not handed in as an answer.)
#
# * its reconstructions, compared with the auto-encoder's: ...
# * its samples, compared with the auto-encoder's: ...
# * its rec and its kl, compared with those of the two extremes: ...

# %% [markdown]
# ### Question 1-6 (2 points): your beta
#
# Choose `BETA` in `vae.py`: the weight that gives good reconstructions *and* good samples. Set a value, save
# the file, and run the next three cells; then change the value and run them again. Every value that you have
# tried stays in the table.
#
# * $\beta$ acts by factors, not by differences: first change it by a factor of ten each time, down from 10, then
#   refine between the best two.
# * The cell trains for 20 epochs, about two minutes on a CPU: after 5, you would compare models that are not
#   finished.
# * Look at three things. Can you recognise every reconstruction? Can you read about half of the samples? And is
#   $-\mathrm{ELBO}$, in the last column, near the smallest that any of your values gives? All three must hold. If
#   two values have nearly the same $-\mathrm{ELBO}$, take the one with more readable samples.
# * If you worked out the value that makes the loss proportional to the bound, try it as well.

# %%
if vae.BETA is None:
    raise NotImplementedError("1-6: choose BETA in vae.py, save it, and run this cell again")
tuned, tuned_history = train_one(float(vae.BETA), 20)
studied[float(vae.BETA)] = tuned
figures.loss_curves(tuned_history, f"VAE on {DATA}, beta {vae.BETA:g}", model="VAE")

# %%
print(" beta     rec, sampled   rec, mean   kl per dimension   -ELBO in nats per image")
for beta, model in sorted(studied.items()):
    sampled, mean, kl, nats = on_test_images(model)
    print(f"{beta:6g} {sampled:14.4f} {mean:11.4f} {kl:18.4f} {nats:25.1f}")
print("(0 and 10: 5 epochs)\n")
print(expected.compare("tuned VAE", DATA, {"-ELBO": on_test_images(tuned)[3]}, QUICK))
print(
    "Do not choose beta by -ELBO alone: a smaller beta can have nearly the same one, but few readable samples."
)

# %%
compared()

# %%
grader.check("q1_6")

# %% [markdown]
# Look at your choice more closely: its reconstructions, and more samples.

# %%
x = test_images[:10]
rows = {"original": x, "auto-encoder": ae.reconstruct(flat(x)), "VAE": tuned.reconstruct(flat(x))}
figures.image_rows(rows, f"Reconstructions of test images, {DATA}, beta {vae.BETA:g}")

# %%
torch.manual_seed(SEED)
figures.image_grid(
    autoencoder.sample_images(tuned, 40, NZ, device=DEVICE),
    f"VAE, beta {vae.BETA:g}, {DATA}: samples",
    columns=10,
)

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 1-6w-b -->
# ### Question 1-6w-b (3 points, at most 200 words)
#
# What do the reconstructions and the samples of your well-tuned VAE look like? Compare both with the plain
# auto-encoder's. Explain what is better, what is worse, and why there is a trade-off between the two. If
# something is not as you expected, say what.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# **Reconstructions** keep the digit, its slant and its thickness, but are slightly softer than the
# auto-encoder's (0.109 against 0.088). Unusual shapes suffer most: odd serifs disappear, a cramped 5 becomes
# a smudge, and a strange digit may turn into a more common one. The code is noisy and every nat in it has a
# cost, so the encoder keeps only information that saves more than it costs. The rest is replaced by an
# average, and averages of sharp strokes are blurred.
#
# **Samples** are much better: many are readable digits in various handwritings, where the auto-encoder
# produced tangles. The divergence pulls all posteriors towards one $\mathcal{N}(0, I)$, and the noise makes
# them overlap, so the decoder has been trained wherever the prior puts its mass. Other samples are between
# two digits or have faint strokes: the mixture of the posteriors fits the prior only roughly, and the prior
# is one connected blob while digits form ten classes.
#
# **The trade-off.** Good reconstructions need codes that are precise and far apart; good samples need codes
# that fill the prior. $\beta$ sets the exchange rate. Near $n_z/784$ the sum is the bound itself, and both
# are good together.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q1_6w_b")

# %% [markdown] tags=["solution"]
# ### The solution of question 1-6 (students do not get this cell)
#
# The bound needs sums, the loss has means:
#
# $$-\mathrm{ELBO} = D \cdot \mathrm{rec} + n_z \cdot \mathrm{kl}
# = D \left( \mathrm{rec} + \frac{n_z}{D}\, \mathrm{kl} \right).$$
#
# So the loss equals the negative bound divided by 784 exactly when $\beta = n_z / D = 32/784 = 0.041$. A
# $\beta$ of 1 in a paper that uses sums corresponds to 0.041 here, and our $\beta = 10$ is 245 times the
# weight in the bound.
#
# The sweep on MNIST (10 epochs, test images, means over three seeds):
#
# | beta | rec, sampled | kl | -ELBO, nats | clear samples |
# |---|---|---|---|---|
# | 0.001 | 0.085 | 3.2 | 169 | 16% |
# | 0.01 | 0.095 | 1.19 | 112 | 35% |
# | 0.0316 | 0.109 | 0.66 | 107 | 46% |
# | 0.1 | 0.136 | 0.33 | 117 | 58% |
# | 0.316 | 0.182 | 0.13 | 147 | 54% |
# | 1 | 0.257 | 0.005 | 202 | 4% |
#
# A sample is clear when a small classifier is at least 90% sure of its digit. The bound is best near 0.03;
# samples are best near 0.2, where reconstructions have become soft. Accepted are values from 0.02 to 0.2: at
# most 20% more nats than the best, and at least two thirds of the largest share of clear samples.

# %% [markdown]
# ## 4. Interpolating in the latent space
#
# Encode two images, move from one code to the other on a straight line, and decode along the way:
# $z_t = (1 - t)\, z_0 + t\, z_1$ with $t$ from exactly 0 to exactly 1. The two ends of a strip are therefore
# ordinary reconstructions; the originals are shown next to them.

# %% [markdown]
# ### Question 1-7 (1 point)
#
# Choose `INTERPOLATIONS` in `vae.py`: two pairs of different digits whose interpolation is interesting to
# look at.

# %%
grader.check("q1_7")

# %% [markdown]
# Which pictures? These are the first ten test images of each of your labels, with the label and a number.

# %%
if vae.INTERPOLATIONS is None:
    raise NotImplementedError("1-7: choose INTERPOLATIONS in vae.py, save it, and run this cell again")
pairs = vae.INTERPOLATIONS
chosen = sorted({label for pair in pairs for label in pair})
candidates = {label: test_images[test_labels == label][:10] for label in chosen}
figures.image_grid(
    torch.cat(list(candidates.values())),
    f"{DATA}: test images to choose from",
    columns=10,
    captions=[f"{label} ({i})" for label, images in candidates.items() for i in range(len(images))],
)

# %% [markdown]
# Choose several of each: one strip proves little. Every pair (i, j) in `PICTURES` interpolates from picture i
# of the first label to picture j of the second. Change the numbers, and the labels in `vae.py`, as you like.

# %%
PICTURES = [(0, 0), (1, 2), (3, 5)]

strips, ends = {}, {}
for start, end in pairs:
    for i, j in PICTURES:
        x_start, x_end = candidates[start][i], candidates[end][j]
        for name, model in (("AE", ae), ("VAE", tuned)):
            row = f"{name}, {start} to {end} ({i}, {j})"
            strips[row] = vae.interpolate(model, x_start, x_end, NZ, steps=10)
            ends[row] = x_start, x_end
figures.interpolations(strips, f"{DATA}: interpolations between test images", ends)

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 1-7w -->
# ### Question 1-7w (2 points, at most 300 words)
#
# Compare the interpolations of the auto-encoder with those of the VAE. What do the intermediate images look
# like, and what does that tell you about the two latent spaces? What does it mean for someone who wants to
# use the codes for another task, for instance to classify with few labels, to search for similar images, or
# to edit images?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# **Observations.** Both strips begin and end with good reconstructions, the auto-encoder's slightly sharper.
# From 4 to 9, which share most strokes, both models do well: the top closes step by step. From 0 to 1 they
# differ. The auto-encoder's ring breaks up: for several steps there are fragments that belong to no digit,
# then the 1 appears abruptly. The VAE's ring narrows until it is a slanted stroke; halfway it is grey and
# uncertain, but in one piece, and the change is short.
#
# **Explanation.** The auto-encoder's codes are isolated points. The decoder was never trained between two of
# them, so the straight line crosses regions where it can output anything. The VAE decoded a cloud around
# every mean, and the divergence pushed all clouds into one region where they overlap. The line between two
# codes mostly stays where the decoder has been trained, and nearby codes must have similar images, otherwise
# the noise would increase the loss. It is not perfect: between two distant classes there is no real digit to
# show, and a straight line passes closer to the origin than typical codes lie.
#
# **Consequences.** Distances and directions mean more in the VAE's space: neighbours look alike, averages are
# sensible, and a small step makes a small change. That helps search, clustering, editing, and classification
# with few labels, and each dimension's divergence shows whether it is used at all. The price is lost detail: a
# task that depends on detail (who wrote this?) may find less of it in the VAE's code. And nothing guarantees
# that single dimensions have a meaning.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q1_7w")

# %% [markdown]
# ## 5. The conditional VAE
#
# So far the code has to contain everything, including which digit it is. If both networks also receive the
# label $c$, as a one-hot vector concatenated to their usual input (Sohn et al. 2015), the bound becomes
#
# $$\log p(x|c) \ge \mathbb{E}_{q(z|x,c)}\big[\log p(x|z,c)\big] - \mathrm{KL}\big[q(z|x,c)\,\|\,p(z)\big] .$$
#
# The prior does not depend on $c$. The label costs nothing, so a good code does not repeat it: the code only
# has to contain the *style*, and any style can be combined with any label. This is how the model can generate
# a requested digit: choose $c$, sample $z$, decode.

# %%
diagrams.vae(conditional=True)

# %% [markdown]
# ### Questions 1-8 and 1-9 (5 + 6 points)
#
# In `cvae.py`, write `idx2onehot`, `CVAEEncoder`, `CVAEDecoder`, `CVAE` and `train_cvae` (1-8), then
# `sample_conditional` (1-9). Note three points: with `conditional=False`, everything must work without labels;
# `reconstruct` needs the labels as well; and the VAE's training loop never passes labels to the model.

# %%
import cvae

grader.check("q1_8")

# %%
if vae.BETA is None:
    raise NotImplementedError("1-6: choose BETA in vae.py, save it, and run this cell again")
torch.manual_seed(SEED)
cvae_beta = float(vae.BETA)  # change this to compare; only BETA in vae.py is graded
conditional = cvae.CVAE(NZ, beta=cvae_beta, conditional=True, num_labels=10).to(DEVICE)
watched = data.Watched(autoencoder.make_data_loader(train_set), epochs(5), "CVAE")
cvae_history = trained(
    conditional,
    f"cvae-{cvae_beta:g}.pt",
    lambda: cvae.train_cvae(conditional, watched, epochs(5), LEARNING_RATE, device=DEVICE),
)
figures.loss_curves(cvae_history, f"CVAE on {DATA}, beta {cvae_beta:g}", model="CVAE")

# %% [markdown]
# Compare the numbers with your VAE's. The conditional model needs fewer nats in the code, because the label
# now provides part of the information; after a quarter of the epochs, it is about as good.

# %%
sampled, mean, kl, nats = on_test_images(conditional, test_labels.to(DEVICE))
print(f"test images: rec {sampled:.4f} sampled, {mean:.4f} mean, kl {kl:.4f} per dimension, {nats:.1f} nats")
print(expected.compare("CVAE", DATA, {"-ELBO": nats}, QUICK))

# %%
x, c = test_images[:10], test_labels[:10]
rebuilt = conditional.reconstruct(flat(x), c.to(DEVICE))
figures.reconstructions(x, rebuilt, f"CVAE, beta {cvae_beta:g}, {DATA}", "test")

# %%
grader.check("q1_9")

# %% [markdown]
# This is one sample of each digit, followed by four more rows of samples. Every image has a code of its own, so
# every digit is in another handwriting:

# %%
torch.manual_seed(SEED)
digits = torch.arange(10)
figures.conditional_samples(
    cvae.sample_conditional(conditional, digits, NZ), digits, f"CVAE, {DATA}: one sample per digit"
)

# %%
many = digits.repeat(4)
figures.conditional_samples(
    cvae.sample_conditional(conditional, many, NZ), many, f"CVAE, {DATA}: more samples, by label"
)

# %% [markdown]
# Not every sample matches its label. The label costs nothing, but nothing prevents the code from containing
# information about the digit as well, and with a small $\beta$ that is cheap: a random code then sometimes
# contradicts its label. To compare, set `cvae_beta` to a larger number in the cell that trains the CVAE, then run
# that cell and the ones after it again. Leave `BETA` in `vae.py` as it is: it is graded.

# %% [markdown]
# ### One handwriting, ten digits
#
# Now keep the code and change only the label: each row is one random $z$, decoded with all ten labels. If the
# code holds the style and the label the digit, each row looks as if one person wrote it: the same slant,
# thickness and roundness from 0 to 9.

# %%
torch.manual_seed(SEED)
zeros = torch.zeros(5, NZ, device=DEVICE)
hands = tuned.reparameterize(zeros, zeros)  # from the prior: mean 0, log sigma 0
written = styles.with_every_label(conditional, hands.reshape(5, NZ), digits.to(DEVICE))
rows = {f"code {i}": images for i, images in enumerate(written)}
figures.image_rows(rows, f"CVAE, {DATA}: one random code per row, all labels")

# %% [markdown]
# The same with the handwriting of a real image: each row takes the code of one test image (on the left).

# %%
x, c = test_images[:5], test_labels[:5]
codes = styles.of_images(conditional, flat(x), c.to(DEVICE))
rows = {}
for i, written in enumerate(styles.with_every_label(conditional, codes, digits.to(DEVICE))):
    rows[f"test image {i}"] = torch.cat([x[i].reshape(1, 28, 28), written])
figures.image_rows(rows, f"CVAE, {DATA}: one handwriting, ten digits (the original is on the left)")

# %% [markdown]
# ## Finish
#
# `grader.check_all()` runs the public checks of all questions, of Problem 2 as well, which takes a while.
# `grader.export()` packs all modules and both notebooks into the zip that you submit, so run it once, when both
# problems are done (or `grader.export(partial=True)`, to hand in what there is). Save the notebook first: both
# read the saved file.

# %%
grader.check_all()

# %%
grader.export()

# %% [markdown]
# ## Sources and further reading
#
# The papers that the text cites:
#
# * D. P. Kingma and M. Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), 2014: the
#   bound, the reparameterisation, the closed form.
# * I. Higgins et al., [beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
#   Framework](https://openreview.net/forum?id=Sy2fzU9gl), 2017: the weight.
# * K. Sohn, H. Lee and X. Yan, [Learning Structured Output Representation using Deep Conditional Generative
#   Models](https://papers.nips.cc/paper/2015/hash/8d55a249e6baa5c06772297520da2051-Abstract.html), 2015: the
#   labels.
#
# Background:
#
# * C. Doersch, [Tutorial on Variational Autoencoders](https://arxiv.org/abs/1606.05908), 2016: the same
#   derivation with more pictures and more words.
# * D. P. Kingma and J. Ba, [Adam: A Method for Stochastic Optimization](https://arxiv.org/abs/1412.6980),
#   2015.
#
# PyTorch's own pages:
#
# * [torch.utils.data](https://docs.pytorch.org/docs/stable/data.html), for `DataLoader`;
# * [torch.optim](https://docs.pytorch.org/docs/stable/optim.html) and its
#   [Adam](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html);
# * [binary_cross_entropy](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html);
# * [saving and loading models](https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html).
#
# The data: [MNIST](https://yann.lecun.com/exdb/mnist/), by Y. LeCun, C. Cortes and C. J. C. Burges.
