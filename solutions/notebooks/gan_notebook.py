# %% [markdown]
# # Problem 2: a generative adversarial network for small photographs
#
# The auto-encoders of Problem 1 learn from the error of each reconstructed pixel. That works for digits, but
# it is a poor objective for photographs, whose details no code of a few numbers can hold pixel by pixel. Here
# a second network replaces the pixel-wise loss. A **generator** makes images from noise; a **discriminator**
# sees generated images and photographs, and learns to distinguish them; the generator learns to make images
# that the discriminator classifies as real. Nobody has to specify what a photograph should look like.
#
# You write the code in one module next to this notebook, `gan.py`. The notebook imports it, trains your
# networks, plots the figures, and contains one written question. There is no code to write in the notebook
# itself: if a cell stops with `NotImplementedError`, the message names the function to write.
#
# After each part, a call such as `grader.check("q2_1a")` runs the public checks of that question. They are the
# same checks that `python -m autograder check` runs in a terminal. (While a cell is training, no other
# cell can run, but you can run the checks in a terminal.)

# %% [markdown]
# ## What you will learn
#
# * to set up two networks that train each other, and to keep their gradients apart;
# * why the generator's loss is written as it is, and why it gets noise;
# * to read the losses of a game, which never fall as those of Problem 1 do;
# * what batch normalisation does to a batch, and where it does not belong;
# * to limit how steep a network can be, with spectral normalisation;
# * to optimise an input in place of the weights: what a network likes best, and what it can reproduce.
#
# | part | questions | your time | training on a GPU | on a CPU |
# |---|---|---|---|---|
# | set up, read this page | | 30 minutes | | |
# | 1. the adversarial game | 2-1a, 2-1b | 4 hours | 5 minutes | 10 minutes for 5 epochs |
# | 2. batch normalisation | 2-2w | 1 hour | | |
# | 3. spectral normalisation | 2-3 | 1 hour | 5 minutes | 10 minutes for 5 epochs |
# | 4. activation maximisation | | 15 minutes | | |
# | 5. reconstruction | 2-4 | 2 hours | seconds | a minute |

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
#    and upload it into that folder as `gan.ipynb`, replacing the existing one, before you call
#    `grader.check` on a written question or `grader.export()`.

# %% [markdown]
# ### A GPU, if you can get one
#
# Write and check your code on a CPU; you need a GPU only for the two long trainings. In Colab, choose Runtime,
# Change runtime type, and a GPU. This starts a new, empty machine, so download your modules and this notebook
# first. Afterwards upload the zip, run the first cell, upload your modules into `generative-models/assignment/`,
# and run the other cells.
#
# * **Quota.** Free GPUs are rationed: after some hours of use, or when many people want one, Colab offers none
#   for up to a day. A GPU that is connected counts even while it does nothing, so disconnect it (Runtime,
#   Disconnect and delete runtime) when you only write code. A session also ends when it has been idle.
# * **Save.** Each network is saved when its training ends (below), in `dcgan.pt` and `dcgan-spectral.pt`, next to
#   your modules. Download both. In a new Colab session, upload them into `generative-models/assignment/` and set
#   `REUSE = True` below: you do not need to train again.
# * **After a CUDA error** ("device-side assert triggered", "illegal memory access"), every further call fails,
#   even correct ones. Restart the kernel; nothing else helps. The line in the message is often the wrong one,
#   because Python runs ahead of the GPU. Run the same code with `DEVICE = "cpu"` to see the true line and a
#   readable message: most often an index or a label that is out of range.
# * **"Expected all tensors to be on the same device"**: you made a tensor without `device=...`.
# * **"CUDA out of memory"**: another notebook is still running on the same GPU, or tensors that keep their
#   graph are piling up in a list.

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
from torch import nn
from torch.nn.utils import parametrize

import data
import diagrams
import figures
from autograder.generative import expected
from autograder.generative.trained import load_trained
from autograder.notebook import Grader

grader = Grader("gan.ipynb")

# %% [markdown]
# ## Settings
#
# With the environment variable `GENERATIVE_QUICK=1`, everything below is small: the notebook runs in a minute
# or two, which shows that it works, but the networks are not good. With `GENERATIVE_OFFLINE=1`, nothing is
# downloaded, and patches of the two photographs that come with scikit-learn replace CIFAR-10. You can also set
# the variables `QUICK` and `OFFLINE` directly here.
#
# An epoch of CIFAR-10 takes a few seconds on a GPU and one to two minutes on a CPU, and the notebook trains
# two models. It therefore trains for 25 epochs on a GPU, as in the results quoted in the text, and for 5 on a
# CPU: enough to see every effect, but not to get the best images.
#
# Trained networks are saved next to the notebook. After a restart, set `REUSE = True`: the training cells then
# load what they find. Set it back to `False` once you change a model's code, `QUICK` or `OFFLINE`, or you will
# look at the old networks.

# %%
QUICK = os.environ.get("GENERATIVE_QUICK") == "1"
OFFLINE = os.environ.get("GENERATIVE_OFFLINE") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
REUSE = False  # True: load saved networks instead of training them
SEED = 42


def load():
    """Training images, test images, and their name in the figures."""
    if not OFFLINE:
        try:
            return data.load_cifar10(), data.load_cifar10(train=False), "CIFAR-10"
        except data.DataUnavailable as error:
            print(
                f"{error}\n\nGoing on with patches of two photographs: the numbers will differ from the text."
            )
    return data.load_patches_offline(), data.load_patches_offline(train=False), "patches of photographs"


train_images, test_images, DATA = load()
EPOCHS = 25 if DEVICE == "cuda" or len(train_images) < 10_000 else 5
if QUICK:
    train_images, EPOCHS = train_images[:640], 2
TARGETS = test_images[: 8 if QUICK else 64]  # the images to reconstruct in question 2-4
ACTMAX_STEPS = 50 if QUICK else 500

print(
    f"{DATA}: {len(train_images)} training images, {len(test_images)} test images; {EPOCHS} epochs on {DEVICE}"
)
figures.image_grid(train_images[:20], f"{DATA}: training images", columns=10)

# %% [markdown]
# ## 1. The adversarial game
#
# A forger paints; the police look at the forger's pictures and at real ones, and learn to tell them apart; the
# forger learns from every picture that was caught. Both start as beginners, and each improves because the other does.
# In theory, the police end up guessing. The generator is the forger: it never sees a real picture. Everything
# that it learns about photographs comes through the discriminator's gradient.

# %%
diagrams.gan()

# %% [markdown]
# ### Why does the generator get noise?
#
# Without an input, a network makes the same picture at every call. One perfect fake is not enough: once the
# police know it, it is worthless, and a single picture is not what photographs look like as a whole. Noise is
# the source of variety. Each $z$ should lead to another picture, and all together they should be spread as
# photographs are spread. Nothing in the loss of a single fake asks for that, and sometimes the generator finds
# a few pictures that fool the current discriminator and makes only these. This is **mode collapse**. So when
# you look at samples, ask two questions: is each one plausible, and do they *vary*?

# %% [markdown]
# ### The losses
#
# The generator $G$ maps a code $z \sim \mathcal{N}(0, I)$ of 64 numbers to an image. The discriminator maps
# an image to a *logit* $\ell(x)$, any real number; the probability that it assigns to "real" is
# $D(x) = \sigma(\ell(x)) = 1 / (1 + e^{-\ell(x)})$. Goodfellow et al. (2014) define the game
#
# $$\min_G \max_D \;\; V(D, G) = \mathbb{E}_{x}\big[\log D(x)\big] + \mathbb{E}_{z}\big[\log (1 - D(G(z)))\big] .$$
#
# **The discriminator** maximises $V$. With a minus sign, this is the sum of two cross-entropies to minimise:
# real images with the label 1, fakes with the label 0,
#
# $$\mathcal{L}_D = -\mathbb{E}_{x}\big[\log D(x)\big] - \mathbb{E}_{z}\big[\log (1 - D(G(z)))\big] .$$
#
# Because it is a *sum*, a discriminator that only guesses, $D = \tfrac12$, has a loss of $2 \log 2 = 1.386$.
# For a fixed generator whose images have the density $p_G$, the optimal discriminator is
# $D^*(x) = p(x) / (p(x) + p_G(x))$. It is one half everywhere exactly when the fakes have the same
# distribution as the real images. That is the equilibrium of the game, if training reaches it.
#
# **The generator** of the original game minimises $\mathbb{E}_z[\log(1 - D(G(z)))]$. This is the *saturating*
# loss, and it fails when it is needed most. Consider one fake with the logit $\ell$:
#
# $$\frac{\partial}{\partial \ell} \log\big(1 - \sigma(\ell)\big) = -\sigma(\ell)
# \qquad\text{but}\qquad
# \frac{\partial}{\partial \ell} \big[-\log \sigma(\ell)\big] = -\big(1 - \sigma(\ell)\big) .$$
#
# Early in training, the discriminator recognises fakes with confidence, $\ell \ll 0$. The gradient on the
# left is then nearly 0, so the generator learns nothing from bad fakes; the gradient on the right is nearly
# $-1$. It belongs to the *non-saturating* loss that you will use,
#
# $$\mathcal{L}_G = -\mathbb{E}_{z}\big[\log D(G(z))\big],$$
#
# the cross-entropy of the fakes with the label **1**. Both losses push every logit upwards and differ only in
# how hard they push. For a discriminator that only guesses, $\mathcal{L}_G$ is $\log 2 = 0.693$.

# %%
logits = torch.linspace(-8, 8, 200)
believed = 1 / (1 + torch.exp(-logits))  # D: the probability that the fake is real
saturating, non_saturating = -believed, believed - 1  # the two gradients above
figures.functions(
    logits,
    {"saturating: log(1 - D)": saturating, "non-saturating: -log D": non_saturating},
    "Gradient of the generator's loss for one fake",
    x_label="logit of the fake (left: recognised as fake)",
    y_label="gradient (nats per unit of the logit)",
)

# %% [markdown]
# ### Numerical stability for large logits
#
# The loss above takes the logarithm of a sigmoid. Computing the two functions one after the other fails for
# large logits: in float32, $\sigma(50)$ is exactly 1, and $\log(1 - 1)$ is minus infinity (PyTorch's
# `binary_cross_entropy` clamps it to -100, so it returns 100 here, and its gradient is lost). Combined, they are
# stable: $-\log(1 - \sigma(\ell)) = \log(1 + e^{\ell})$, which is 50 at $\ell = 50$. PyTorch has a function that
# computes both together.

# %% [markdown]
# ### Question 2-1a (7 points)
#
# In `gan.py`, write `DCGAN.__init__`, `_weight_initialization` and `_classification_loss`. The architecture
# is given (a small version of Radford et al. 2016), and so is most of the recipe: convolution weights from
# $\mathcal{N}(0, 0.02)$ (the second number is the standard deviation), batch normalisation weights from
# $\mathcal{N}(1, 0.02)$ (common in later DCGAN code), Adam with a learning rate of $2 \cdot 10^{-4}$ and betas
# (0.5, 0.999), one optimiser for each network. Two classic mistakes are to write the initialisation but never
# call it, and to forget Adam's learning rate.
#
# First look at the shapes on the way through both networks. When something does not fit, run a part alone:
# `generator.upsample_and_generate[:3](x)` runs three layers.

# %%
import gan


@torch.no_grad()
def print_shapes(network, x):
    """Run a network once and print the shape after every layer."""

    def show(layer, inputs, output):
        print(f"{type(layer).__name__:>15} -> {tuple(output.shape)}")

    layers = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(show) for layer in layers]
    print(f"{'input':>15}    {tuple(x.shape)}")
    y = network(x)
    for hook in hooks:
        hook.remove()
    print(f"{'output':>15}    {tuple(y.shape)}\n")


print_shapes(gan.Generator(64), torch.randn(5, 64))
print_shapes(gan.Discriminator(), torch.rand(5, 3, 32, 32))

# %%
grader.check("q2_1a")

# %% [markdown]
# Before training, the generator makes these images:

# %%
torch.manual_seed(SEED)
dcgan = gan.DCGAN(device=DEVICE)
first_samples = dcgan.generate(dcgan.tracked_noise)
figures.gan_samples(first_samples, title="DCGAN: samples from the tracked noise, before training")

# %% [markdown]
# ### Question 2-1b (13 points)
#
# Write the two halves of `DCGAN.training_step`. For every batch of real images:
#
# 1. **Discriminator.** Sample noise, generate as many fakes as there are real images, and *detach* them,
#    because this step must not update the generator. The loss of the real batch (label 1) plus the loss of
#    the fake batch (label 0), with the two batches kept separate; clear the old gradients, run the backward
#    pass, and take one step of `optimizerD`.
# 2. **Generator.** *New* noise and new fakes, not detached; the non-saturating loss; clear the generator's old
#    gradients, run the backward pass, and take one step of `optimizerG`. The gradient flows through the
#    discriminator, which is not updated here. The backward pass leaves gradients on it: clear them before the
#    discriminator's next step.
#
# Before you train, see what to aim for. The assignment comes with a generator that is already trained. You can
# show its samples as soon as 2-1a works:

# %%
torch.manual_seed(SEED)
given = load_trained()
example = gan.DCGAN(device=DEVICE)
example._generator.load_state_dict(given.weights)
figures.gan_samples(
    example.generate(dcgan.tracked_noise)[:32],
    title="Samples of the trained generator that comes with the assignment",
)

# %% [markdown]
# You cannot name an object in any of them, but there are skies, horizons, fur and plausible colours, and no two
# are alike. This generator was trained for 25 epochs on a fifth of CIFAR-10. Yours, trained on all of it, can do
# a little better.

# %%
grader.check("q2_1b")

# %% [markdown]
# ### Training
#
# `fit` (given) calls your training step for all batches, and every two epochs it generates images from
# `tracked_noise`: always the same 64 codes, so that you can see how each image changes.
#
# **Do not panic about the losses.** They do not fall as in Problem 1, and they are not supposed to: each is
# measured against an opponent that also learns, so a loss that stays where it is can hide steady progress.
# Healthy curves look like this (CIFAR-10, means over an epoch):
#
# * at first the police win: the discriminator's loss drops to 0.3, the generator's rises to 3 or 4;
# * after two or three epochs they find a balance, about 0.6 to 0.8 and 1.8, and stay there for the rest of the
#   training, with single spikes in both directions;
# * the samples keep improving while the curves are flat. Judge by the pictures.
#
# Worry when the discriminator's loss stays at 0 (it has won, and the generator has nothing left to learn from),
# when it stays at 1.386 from the start, or when the samples become alike. (In theory the game *ends* at 1.386,
# with perfect fakes. Our small generator never gets that far: here it means that the discriminator does not
# learn.)

# %%
torch.manual_seed(SEED)  # right before training: the data order does not depend on earlier draws


def fitted(model, file):
    """Train a DCGAN and save it with its history; or, with REUSE, load both from the file if it exists."""
    if REUSE and Path(file).is_file():
        saved = torch.load(file, map_location=DEVICE, weights_only=True)
        model.load_state_dict(saved["model"])
        return gan.History(**saved["history"])
    history = model.fit(train_images, epochs=EPOCHS)
    torch.save({"model": model.state_dict(), "history": vars(history)}, file)
    return history


history = fitted(dcgan, "dcgan.pt")
figures.gan_losses(history.dis_loss, history.gen_loss, title=f"DCGAN on {DATA}: training losses")

# %% [markdown]
# A *state dict* holds parameters and buffers by name, no code. `weights_only=True` makes `torch.load` accept
# nothing but such plain data; with `weights_only=False`, a file can run any program on your machine. `dcgan.pt` is
# yours to keep: download it before a Colab session ends.


# %%
iterations = len(train_images) // min(gan.DCGAN.batch_size, len(train_images))  # of one epoch
done = len(history.dis_loss) // iterations  # epochs: a file that was loaded may hold more than EPOCHS


def last_epoch(history):
    """The mean of each loss over the last epoch."""
    losses = {"discriminator's loss": history.dis_loss, "generator's loss": history.gen_loss}
    return {name: sum(values[-iterations:]) / iterations for name, values in losses.items()}


print({name: round(value, 3) for name, value in last_epoch(history).items()})
print(expected.compare("DCGAN", DATA, last_epoch(history), QUICK))

# %%
stages = {"epoch 0": first_samples[:10]}
for epoch, images in history.samples:
    if epoch in (2, 4, 8, 16) or epoch == history.samples[-1][0]:
        stages[f"epoch {epoch}"] = images[:10]
figures.image_rows(stages, f"DCGAN on {DATA}: ten of the tracked codes during training")

# %%
final_samples = dcgan.generate(dcgan.tracked_noise)
figures.gan_samples(final_samples, epoch=done, title=f"DCGAN on {DATA}: samples from the tracked noise")

# %%
figures.image_rows(
    {
        "yours": final_samples[:10],
        "the example's": example.generate(dcgan.tracked_noise)[:10],
    },
    "The same codes, two trained generators",
)

# %% [markdown]
# Do your samples vary? The codes are the same in both rows, but the pictures are not: each training run gives a
# code its own meaning.

# %% [markdown]
# ## 2. Where batch normalisation does not belong
#
# Batch normalisation gives every channel mean 0 and variance 1, over all images of a batch and all positions
# in them, and then applies a learnt scale and shift. It makes deep networks easier to train, but it needs
# care.

# %% [markdown]
# ### A worked question: why does the discriminator get all-real and all-fake batches, and never a mixed one?
#
# *Answer.* In a batch that is half real and half fake, the statistics are those of the mixture, and the
# discriminator learns to judge an image relative to that mixture. But look at the generator's step: there the
# discriminator sees a batch of nothing but fakes, with other statistics than it was ever trained on. It judges
# a kind of batch that it does not know, so the gradient that it sends to the generator is unreliable too.
# With separate batches, an all-fake batch looks the same in both steps. (Mixed batches leak as well:
# each fake's features would depend on the real images next to it.)
#
# The takeaway: with batch normalisation (Ioffe and Szegedy 2015), the output for one image depends on the
# other images in its batch. Always ask which images share a batch, in training and later; and where a single
# image must have a single answer, use evaluation mode.

# %% [markdown]
# ### Another: why is there no batch normalisation on the generator's *output* layer?
#
# Radford et al. (2016) omit it in two places of a DCGAN. The first is answered here; the second is your
# question.
#
# *Answer.* The output layer determines the final appearance of an image: its brightness, its colours and its
# contrast. Batch normalisation there would fix, for every batch, the mean and the variance of the red, green
# and blue channel (before the sigmoid) to the same few learnt numbers. The statistics of a batch of real images
# are not fixed; they vary from batch to batch, and single images are night scenes or snow. Each image would also
# depend on its neighbours in the batch: a dark image would force the others to be brighter, so that no image
# could be generated independently. No layer after the output layer could correct this.

# %% [markdown]
# <!-- BEGIN QUESTION -->
# <!-- question 2-2w -->
# ### Question 2-2w (4 points, at most 200 words)
#
# Why is there no batch normalisation right after the discriminator's *first* convolution? Explain what that
# layer sees and what normalising its output would remove.

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# The first convolution is the only layer that sees the pixels directly. Its outputs are linear in the pixels:
# local mean colours, brightness, edges, contrast. Batch normalisation right after it would set the mean and
# variance of each such channel, over the batch, to the same learnt numbers.
#
# Real and fake images come in separate batches, so each kind would be normalised with its own statistics. If
# all fakes are too dark, too green or too low in contrast, exactly this difference is removed: afterwards
# both batches have the same first two moments. The discriminator loses its easiest evidence, and the
# generator, which learns only from the discriminator, gets no gradient that would correct its colours.
# Samples may drift in colour and oscillate.
#
# It also makes the prediction for one image depend on its neighbours. And there is little benefit: inputs are
# already in [0, 1], and after one layer, activations have not yet exploded or vanished.
#
# In deeper layers, features are non-linear and more abstract, so losing their mean and variance costs less
# than batch normalisation helps training; by then, the information that the first layer kept is mixed into
# them.
# <!-- END SOLUTION -->

# %% [markdown]
# <!-- END QUESTION -->

# %%
grader.check("q2_2w")

# %% [markdown]
# ## 3. Spectral normalisation
#
# A discriminator that becomes too steep gives the generator poor gradients: tiny changes of an image change
# its output strongly, and its gradients are huge in some places and zero in others. How steep can it be? A
# linear layer $h \mapsto W h$ stretches distances by at most the largest singular value of its matrix,
#
# $$\lVert W h - W h' \rVert \le s(W)\, \lVert h - h' \rVert ,$$
#
# and some $h, h'$ reach this bound. LeakyReLU does not stretch distances. The factors of consecutive layers
# multiply. Miyato et al. (2018) therefore divide each weight by its own factor:
#
# $$\bar W = W / s(W), \qquad s(\bar W) = 1 .$$
#
# For a convolution, $W$ is the kernel viewed as a matrix with one row per output channel. Finding $s(W)$
# does not need a full singular value decomposition: *power iteration* keeps two vectors,
# $v \leftarrow W^\top u / \lVert W^\top u \rVert$ and $u \leftarrow W v / \lVert W v \rVert$, and
# $s(W) \approx u^\top W v$. The weights change little from step to step, so one iteration per training
# step is enough.
#
# (Fine print: this bounds the effect of a layer on each *patch*. Our kernels of size 4 with a stride of 2
# cover every pixel four times, so the whole convolution may stretch by up to 2; and batch normalisation and
# `fc` are not bounded here. The discriminator is constrained, but not strictly Lipschitz with constant 1.)

# %% [markdown]
# ### Question 2-3 (4 points)
#
# Write `SpectralNormDiscriminator`: spectral normalisation on all three convolutions, not only on the
# first, and not only on `fc`.
#
# There is a trap, and it is not about spectral normalisation alone. In every layer with a *parametrised*
# weight, `weight` is computed from another parameter. Filling `weight` with new numbers fills a tensor that is
# then discarded; `normal_weight_` in `gan.py` fills the parameter. Here is the smallest example, a weight that is half
# of its parameter:


# %%
class Half(nn.Module):
    """A parametrisation: weight = parameter / 2."""

    def forward(self, parameter):
        return parameter / 2


torch.manual_seed(SEED)
layer = nn.Conv2d(3, 32, 4, 2, 1)
parametrize.register_parametrization(layer, "weight", Half())
parameter = layer.parametrizations.weight.original
print(f"the parameter's standard deviation, PyTorch's default:             {parameter.std():.4f}")
with torch.no_grad():
    nn.init.normal_(layer.weight, 0.0, 0.5)
print(f"after nn.init.normal_(layer.weight, 0.0, 0.5), no effect:          {parameter.std():.4f}")
gan.normal_weight_(layer, 0.0, 0.5)
print(f"after gan.normal_weight_(layer, 0.0, 0.5):                         {parameter.std():.4f}")

# %%
grader.check("q2_3")

# %% [markdown]
# Now run the same training with the spectral-normed discriminator. A comparison is fair only if nothing else
# differs. Constructing the two discriminators consumes different amounts of random numbers, so the next cell
# copies the generator that the first run began with, and its tracked noise, and sets the seed *again* right
# before `fit`, as it was above. From there on, both runs shuffle the data in the same order. (The
# discriminators still begin with different weights.)

# %%
torch.manual_seed(SEED)
initial = gan.DCGAN(device=DEVICE)  # the same seed, so the same start as the first run's
spectral = gan.DCGAN(spectral_norm=True, device=DEVICE)
spectral._generator.load_state_dict(initial._generator.state_dict())
spectral.tracked_noise.copy_(initial.tracked_noise)
torch.manual_seed(SEED)
spectral_history = fitted(spectral, "dcgan-spectral.pt")
figures.compared_gan_losses(
    {
        f"{DATA}, without spectral norm": (history.dis_loss, history.gen_loss),
        f"{DATA}, with spectral norm": (spectral_history.dis_loss, spectral_history.gen_loss),
    }
)

# %%
print({name: round(value, 3) for name, value in last_epoch(spectral_history).items()})
print(expected.compare("DCGAN, spectral norm", DATA, last_epoch(spectral_history), QUICK))

# %%
figures.image_rows(
    {
        "without": final_samples[:10],
        "with\nspectral norm": spectral.generate(spectral.tracked_noise)[:10],
    },
    f"DCGAN on {DATA}: the same codes after {done} epochs",
)

# %%
print("largest singular values of the discriminator's three convolutions")
for name, model in (("without", dcgan), ("with", spectral)):
    with gan.evaluation_mode(model), torch.no_grad():
        convolutions = [layer for layer in model._discriminator.modules() if isinstance(layer, nn.Conv2d)]
        values = [float(torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2)) for layer in convolutions]
    print(f"{name:>8} spectral norm: ", ", ".join(f"{value:.2f}" for value in values))

# %% [markdown]
# The printed values show what the norm guarantees: no convolution's matrix stretches anything by more than about
# 1. Batch normalisation and `fc` can still scale the features, so the discriminator's steepness is limited, but
# not fixed. Use the curves to see its effect on the game: which of the two
# discriminators gets further ahead of its generator, with a loss further below 1.386? Where are the spikes,
# and how large are they? Be careful with conclusions: in a short run the difference is small, and one run of
# each with one seed proves little.

# %% [markdown]
# ## 4. What does the discriminator like best?
#
# Training changes weights to reduce a loss. The same gradients can change the *input* instead. **Activation
# maximisation** (Nguyen et al. 2016) keeps the trained networks fixed and moves the codes $z$ so that the
# discriminator assigns a higher probability to $G(z)$ being real. Put it beside the generator's training
# objective:
#
# $$\text{training:} \quad \min_{\theta} \; \mathbb{E}_z\big[-\log D(G_\theta(z))\big]
# \qquad\qquad
# \text{activation maximisation:} \quad \min_{z} \; -\log D(G_\theta(z)) .$$
#
# It is the same loss with another variable. Training moves the weights $\theta$ for all codes at once;
# activation maximisation moves one code at a time and leaves the weights alone. What do you expect? The loss
# must fall. Will the images become better?
#
# `DCGAN.actmax` (given) does this with Adam on the codes alone. Both networks are in evaluation mode: batch
# normalisation must use its running averages, not the statistics of the current codes. It starts from the tracked
# noise:

# %%
loss_before, before = dcgan.actmax(dcgan.tracked_noise[:10], steps=0)
loss_after, after = dcgan.actmax(dcgan.tracked_noise[:10], steps=ACTMAX_STEPS)
print(f"-log D(G(z)): {loss_before:.3g} before, {loss_after:.3g} after {ACTMAX_STEPS} steps")
figures.image_rows({"before": before, "after": after}, f"DCGAN on {DATA}: activation maximisation")

# %% [markdown]
# The trained generator can do the same, but with which discriminator? It comes without one, so *your*
# discriminator judges its images; it has never seen them:

# %%
example._discriminator.load_state_dict(dcgan._discriminator.state_dict())
theirs_loss_before, theirs_before = example.actmax(dcgan.tracked_noise[:10], steps=0)
theirs_loss_after, theirs_after = example.actmax(dcgan.tracked_noise[:10], steps=ACTMAX_STEPS)
print(
    f"-log D(G(z)): {theirs_loss_before:.3g} before, {theirs_loss_after:.3g} after {ACTMAX_STEPS} steps, for the trained example"
)
figures.image_rows(
    {
        "yours, before": before,
        "yours, after": after,
        "the example's,\nbefore": theirs_before,
        "the example's,\nafter": theirs_after,
    },
    "Activation maximisation: your generator and the example, your discriminator",
)

# %% [markdown]
# A discriminator is now almost certain that these images are real. Are they better images? Mostly they are
# just different, often with stronger colours and repeated texture. The discriminator has learnt to distinguish
# photographs from what the generator made *during training*; it knows little about codes that were moved
# elsewhere. High confidence does not mean that it is right.

# %% [markdown]
# ## 5. Can the generator reproduce this photograph?
#
# A generator has no encoder, but we can search for a code. For given images $x$, find the codes whose
# generated images are closest:
#
# $$z^* = \arg\min_z \; \frac{1}{3 \cdot 32 \cdot 32} \lVert G(z) - x \rVert^2 ,$$
#
# with 500 Adam steps from $z = 0$. (The search is deterministic: it gives the same result at every call.)

# %% [markdown]
# ### Question 2-4 (12 points)
#
# Write `DCGAN._reconstruction_loss` and `DCGAN.reconstruct`. `actmax` is very similar. Only the codes change;
# afterwards the networks are unchanged: parameters, running averages, modes, and no gradients left on them.

# %%
grader.check("q2_4")

# %% [markdown]
# You can try `reconstruct` without any training of your own: the trained example comes with four real images
# that it has never seen, squares of a portrait photograph of Grace Hopper. Flat grey has a loss of 0.124 on
# them, an untrained generator one of 0.12 to 0.13, and this one about 0.046.

# %%
loss, rebuilt = example.reconstruct(given.images)
figures.reconstructions(given.images, rebuilt, f"The trained example, loss {loss:.4f}", "test")

# %% [markdown]
# Now your own generator, on test images, and the example beside it:

# %%
loss, rebuilt = dcgan.reconstruct(TARGETS)
theirs, rebuilt_theirs = example.reconstruct(TARGETS)
figures.image_rows(
    {
        "original": TARGETS[:10],
        f"yours\n{loss:.4f}": rebuilt[:10],
        f"the example's\n{theirs:.4f}": rebuilt_theirs[:10],
    },
    f"{DATA}: test images and their reconstructions",
)

# %%
print(expected.compare("reconstruction", DATA, {"loss": loss}, QUICK))

# %% [markdown]
# ### How good is that?
#
# An earlier version of this assignment asked for a loss below 0.145. Does that sound strict? Compare it with
# what needs no training at all:

# %%
at_zero = dcgan._reconstruction_loss(dcgan.generate(torch.zeros(len(TARGETS), dcgan.code_size)), TARGETS)
grey = dcgan._reconstruction_loss(torch.full_like(TARGETS, 0.5), TARGETS)
torch.manual_seed(SEED)
untrained, _ = gan.DCGAN(device=DEVICE).reconstruct(TARGETS)
spectral_loss, _ = spectral.reconstruct(TARGETS)
print(f"mean squared error on {len(TARGETS)} test images of {DATA}")
print(f"  flat grey, 0.5 everywhere            {grey:.4f}")
print(f"  untrained generator, after 500 steps {untrained:.4f}")
print(f"  trained generator, at code zero      {at_zero:.4f}")
print(f"  trained generator, after 500 steps   {loss:.4f}   ({1 - loss / at_zero:.0%} below code zero)")
print(f"  the one trained with spectral norm   {spectral_loss:.4f}")

# %% [markdown]
# On the first 64 test images of CIFAR-10, flat grey reaches 0.064, and a generator that has never been trained
# does about as well (0.063 to 0.068). Both easily pass the old threshold: pixels in [0, 1] are never very far
# from grey. **A number is meaningful only next to a baseline.** A trained generator should reach 0.03 or less,
# half of what grey does. We measured 0.028 after one epoch, 0.021 after three, and 0.015 after 25.
#
# (A search that ends 40 % below the same generator's loss at code zero has moved, but that is all it shows: code
# zero can be far worse than grey. It is not a typical sample: codes from $\mathcal{N}(0, I)$ lie at a distance of
# about $\sqrt{64} = 8$ from the origin, and the generator never saw the zero code in training.)
#
# The remaining error is instructive too. The reconstructions get the layout and colours about right and lose
# the rest: there are 64 numbers for 3072 values, and a squared error that prefers a mean. An image that the
# search does not find may still be one that the generator can make: the search only goes downhill.

# %% [markdown]
# ## Finish
#
# `grader.check_all()` runs the public checks of all questions, of Problem 1 as well, which takes a while.
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
# * I. Goodfellow et al., [Generative Adversarial Nets](https://arxiv.org/abs/1406.2661), 2014: the game, and
#   the non-saturating loss.
# * S. Ioffe and C. Szegedy, [Batch Normalization: Accelerating Deep Network Training by Reducing Internal
#   Covariate Shift](https://arxiv.org/abs/1502.03167), 2015.
# * A. Radford, L. Metz and S. Chintala, [Unsupervised Representation Learning with Deep Convolutional
#   Generative Adversarial Networks](https://arxiv.org/abs/1511.06434), 2016: architecture, initialisation,
#   Adam's settings, where batch normalisation does not belong.
# * T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, [Spectral Normalization for Generative Adversarial
#   Networks](https://arxiv.org/abs/1802.05957), 2018.
# * A. Nguyen et al., [Synthesizing the preferred inputs for neurons in neural networks via deep generator
#   networks](https://arxiv.org/abs/1605.09304), 2016: activation maximisation through a generator.
#
# Advice from practice:
#
# * I. Goodfellow, [NIPS 2016 Tutorial: Generative Adversarial Networks](https://arxiv.org/abs/1701.00160), 2016:
#   questions, tricks and answers.
# * S. Chintala et al., [How to Train a GAN?](https://github.com/soumith/ganhacks): a list of tricks; not all
#   have aged well, so change one thing at a time.
# * PyTorch's [DCGAN tutorial](https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html), with faces.
#
# PyTorch's own pages:
#
# * [torch.optim](https://docs.pytorch.org/docs/stable/optim.html) and its
#   [Adam](https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html);
# * [BatchNorm2d](https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html);
# * [spectral_norm](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrizations.spectral_norm.html);
# * [saving and loading models](https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html);
# * [how CUDA and PyTorch work together](https://docs.pytorch.org/docs/stable/notes/cuda.html).
#
# Google's [questions and answers about Colab](https://research.google.com/colaboratory/faq.html), with the
# limits of free GPUs.
#
# The data: [CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html), by A. Krizhevsky, V. Nair and G. Hinton.
