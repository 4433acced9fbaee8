"""Faults in vae.py."""

from __future__ import annotations

from tests.experiments.metamorphic.faults.common import UNIFORM, loops
from tests.experiments.metamorphic.inserting import Fault, appended, by_rules, first, result

FILE = "vae.py"
DECODED = (
    ("self.decoder(M_)", "self.decoder(M_ + torch.randn_like(M_))"),
    ("self.decoder.logits(M_)", "self.decoder.logits(M_ + torch.randn_like(M_))"),
)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "sigma-from-half-log",
        "1-4",
        "log_sigma is read as a log variance.",
        FILE,
        first("A2 = 0.5 * A2", "VAE.reparameterize", FILE),
    ),
    Fault(
        "sigma-not-exponentiated",
        "1-4",
        "The noise is scaled by log_sigma.",
        FILE,
        by_rules(("torch.exp(L_)", "L_"), ("L_.exp()", "L_"), within="VAE.reparameterize", file=FILE),
    ),
    Fault(
        "noise-uniform",
        "1-4",
        "The noise is uniform.",
        FILE,
        by_rules(*UNIFORM[:4], within="VAE.reparameterize", file=FILE),
    ),
    Fault(
        "sigma-detached",
        "1-4",
        "No gradient flows to log_sigma.",
        FILE,
        first("A2 = A2.detach()", "VAE.reparameterize", FILE),
    ),
    Fault(
        "code-without-noise",
        "1-4",
        "reparameterize returns the mean.",
        FILE,
        result("A1 + 0 * A2", "VAE.reparameterize", FILE),
    ),
    Fault("beta-not-kept", "1-4", "beta is ignored.", FILE, first("A2 = 1.0", "VAE.__init__", FILE)),
    Fault(
        "kl-arguments-swapped",
        "1-4",
        "The arguments of the KL divergence are swapped.",
        FILE,
        by_rules(
            ("kl_divergence(A_, B_, C_, C_)", "kl_divergence(C_, C_, A_, B_)"),
            (
                "kl_divergence(mu2=Z_, log_sigma2=Z_, mu1=M_, log_sigma1=L_)",
                "kl_divergence(mu1=Z_, log_sigma1=Z_, mu2=M_, log_sigma2=L_)",
            ),
            within="VAE.loss",
            file=FILE,
        ),
    ),
    Fault(
        "kl-summed",
        "1-4",
        "The KL divergence is summed.",
        FILE,
        by_rules(
            ("kl_divergence(*ARGS_).mean()", "kl_divergence(*ARGS_).sum()"),
            ("kl.sum() / kl.numel()", "kl.sum()"),
            within="VAE.loss",
            file=FILE,
        ),
    ),
    Fault(
        "total-without-beta",
        "1-4",
        "The total does without beta.",
        FILE,
        by_rules(
            ("R_ + self.beta * K_", "R_ + K_"),
            ("torch.add(R_, K_, alpha=self.beta)", "torch.add(R_, K_)"),
            ("K_ * self.beta + R_", "K_ + R_"),
            ("losses(X_, O_, self.beta)", "losses(X_, O_, 1.0)"),
            within="VAE.loss",
            file=FILE,
        ),
    ),
    Fault(
        "total-doubled",
        "1-4",
        "The total is doubled.",
        FILE,
        result("(2 * RESULT[0], RESULT[1])", "VAE.loss", FILE),
    ),
    Fault(
        "total-without-graph",
        "1-4",
        "The total has no graph.",
        FILE,
        result("(RESULT[0].detach(), RESULT[1])", "VAE.loss", FILE),
    ),
    Fault(
        "loss-adds-to-outputs",
        "1-4",
        "loss adds an entry to its argument.",
        FILE,
        first("A2['x'] = A1", "VAE.loss", FILE),
    ),
    Fault(
        "loss-parts-swapped",
        "1-4",
        "The two parts have each other's names.",
        FILE,
        result(
            "(RESULT[0], {**RESULT[1], 'rec_loss': RESULT[1]['kl_loss'], 'kl_loss': RESULT[1]['rec_loss']})",
            "VAE.loss",
            FILE,
        ),
    ),
    Fault(
        "forward-decodes-the-mean",
        "1-4",
        "forward decodes the mean.",
        FILE,
        by_rules(
            ("Z_ = self.reparameterize(A_, B_)", "Z_ = A_"),
            ("Z_ = self.reparameterize(log_sigma=B_, mu=A_)", "Z_ = A_"),
            within="VAE.forward",
            file=FILE,
        ),
    ),
    Fault(
        "reconstruct-samples",
        "1-4",
        "reconstruct decodes a sample.",
        FILE,
        by_rules(*DECODED, within="VAE.reconstruct", file=FILE),
    ),
    Fault(
        "reconstruct-flat",
        "1-4",
        "reconstruct returns flat images.",
        FILE,
        result("RESULT.flatten(1)", "VAE.reconstruct", FILE),
    ),
    Fault(
        "reconstruct-with-channel",
        "1-4",
        "reconstruct returns a channel axis.",
        FILE,
        result("RESULT.unsqueeze(1)", "VAE.reconstruct", FILE),
    ),
    *loops("train_vae", "vae", "1-5", "train-vae"),
    Fault(
        "train-vae-histories-swapped",
        "1-5",
        "The histories are swapped.",
        FILE,
        result("{'rec_loss': RESULT['kl_loss'], 'kl_loss': RESULT['rec_loss']}", "train_vae", FILE),
    ),
    Fault("beta-of-ten", "1-6", "BETA is 10.", FILE, appended("BETA = 10.0", FILE)),
    Fault("beta-of-zero", "1-6", "BETA is 0.", FILE, appended("BETA = 0.0", FILE)),
    Fault(
        "interpolations-same-digit",
        "1-7",
        "A pair holds a digit twice.",
        FILE,
        appended("INTERPOLATIONS = [(3, 3), (1, 7)]", FILE),
    ),
    Fault(
        "interpolations-three",
        "1-7",
        "There are three pairs.",
        FILE,
        appended("INTERPOLATIONS = [(3, 5), (1, 7), (2, 8)]", FILE),
    ),
)
