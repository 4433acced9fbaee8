"""The DCGAN: construction, steps, searches."""

from __future__ import annotations

from tests.experiments.metamorphic.patterns import Rule
from tests.experiments.metamorphic.rewriting import Rewrite, by_rules

STEPS = r"DCGAN\.(training_step|_discriminator_step|_generator_step)"
SEARCH = r"DCGAN\.(reconstruct|_search)"
ONES = "torch.ones_like(L_)"
ZEROS = "torch.zeros_like(L_)"
FULL = "torch.full_like(L_, V_)"
BETAS = (
    "torch.optim.Adam(P_, lr=self.learning_rate, betas=betas)",
    "optim.Adam(P_, lr=self.learning_rate, betas=(0.5, 0.999))",
)
GRADIENT = "(codes.grad,) = torch.autograd.grad(loss, [codes])\noptimizer.step()"
SUM = "L_ = A_ + B_\nself.optimizerD.zero_grad()\nL_.backward()\nself.optimizerD.step()"


def _labels(ones: str, zeros: str) -> list[Rule]:
    return [Rule(ONES, ones, STEPS), Rule(ZEROS, zeros, STEPS)]


def _betas(replace: str) -> list[Rule]:
    return [Rule(find, replace) for find in BETAS]


REWRITES: tuple[Rewrite, ...] = (
    by_rules(
        "labels-by-full-like",
        "full_like makes the labels.",
        *_labels("torch.full_like(L_, 1.0)", "torch.full_like(L_, 0.0)"),
    ),
    by_rules(
        "labels-by-new-ones",
        "new_ones makes the labels.",
        *_labels("L_.new_ones(L_.shape)", "L_.new_zeros(L_.shape)"),
        Rule(FULL, "L_.new_full(L_.shape, V_)", STEPS),
    ),
    by_rules(
        "labels-by-shape",
        "Labels are made by shape, device and type.",
        *_labels(
            "torch.ones(L_.shape, device=L_.device, dtype=L_.dtype)",
            "torch.zeros(*L_.shape, device=L_.device, dtype=L_.dtype)",
        ),
    ),
    by_rules(
        "labels-expanded",
        "Labels are one number, expanded.",
        *_labels("torch.tensor(1.0).to(L_).expand_as(L_)", "torch.tensor(0.0).to(L_).expand_as(L_)"),
        Rule(FULL, "torch.tensor(V_).to(L_).expand_as(L_)", STEPS),
    ),
    by_rules(
        "fakes-without-graph",
        "The fakes of the first phase are made under no_grad.",
        Rule(
            "F_ = self._generator(N_).detach()", "with torch.no_grad():\n    F_ = self._generator(N_)", STEPS
        ),
    ),
    by_rules(
        "fakes-by-data",
        "The fakes of the first phase are cut off by .data.",
        Rule("self._generator(N_).detach()", "self._generator(N_).data", STEPS),
        Rule("fake.detach()", "fake.data", STEPS),
    ),
    by_rules(
        "fakes-cloned",
        "The fakes of the first phase are cloned.",
        Rule("X_.detach()", "X_.detach().clone()", STEPS),
    ),
    by_rules(
        "fakes-cut-later",
        "The fakes are cut off where they are judged.",
        Rule(
            "F_ = self._generator(N_).detach()\nR_ = self._discriminator(real)\nL_ = self._discriminator(F_)",
            "F_ = self._generator(N_)\nR_ = self._discriminator(real)\nL_ = self._discriminator(F_.detach())",
            STEPS,
        ),
    ),
    by_rules(
        "two-backwards",
        "Reals and fakes have a backward pass each.",
        Rule(
            SUM,
            "self.optimizerD.zero_grad()\nA_.backward()\nB_.backward()\nL_ = A_ + B_\nself.optimizerD.step()",
            STEPS,
        ),
    ),
    by_rules(
        "one-backward",
        "One backward pass for reals and fakes.",
        Rule(
            "R_.backward()\nN_ = E_\nF_ = G_\nO_ = D_\nL_ = M_\nK_ = C_\nK_.backward()\nT_ = R_ + K_",
            "N_ = E_\nF_ = G_\nO_ = D_\nL_ = M_\nK_ = C_\nT_ = R_ + K_\nT_.backward()",
            STEPS,
        ),
    ),
    by_rules(
        "clear-first",
        "Gradients are cleared before the networks are called.",
        Rule(
            "N_ = E_\nL_ = D_\nS_ = C_\nself.optimizerG.zero_grad()",
            "self.optimizerG.zero_grad()\nN_ = E_\nL_ = D_\nS_ = C_",
            STEPS,
        ),
    ),
    by_rules(
        "clear-the-networks",
        "The networks clear their gradients.",
        Rule("self.optimizerD.zero_grad();", "self._discriminator.zero_grad();", STEPS),
        Rule("self.optimizerG.zero_grad();", "self._generator.zero_grad();", STEPS),
    ),
    by_rules(
        "clear-both",
        "Both networks' gradients are cleared in every phase.",
        Rule("self.optimizerD.zero_grad();", "self.zero_grad();", STEPS),
        Rule("self.optimizerG.zero_grad();", "self.zero_grad();", STEPS),
    ),
    by_rules(
        "gan-step-with-closure",
        "A step calls a closure.",
        Rule(
            "self.optimizerG.zero_grad()\nL_.backward()\nself.optimizerG.step()",
            "def closure():\n    self.optimizerG.zero_grad()\n    L_.backward()\n    return L_\nself.optimizerG.step(closure)",
            STEPS,
        ),
    ),
    by_rules(
        "generator-step-by-autograd",
        "torch.autograd.grad computes the generator's gradients.",
        Rule(
            "self.optimizerG.zero_grad()\nL_.backward()\nself.optimizerG.step()",
            "weights = list(self._generator.parameters())\n"
            "for p, g in zip(weights, torch.autograd.grad(L_, weights)):\n    p.grad = g\nself.optimizerG.step()",
            STEPS,
        ),
    ),
    by_rules(
        "discriminator-frozen",
        "The discriminator requires no gradients in the generator's step.",
        Rule(
            "N_ = E_\nL_ = D_\nS_ = C_\nself.optimizerG.zero_grad()\nS_.backward()\nself.optimizerG.step()",
            "self._discriminator.requires_grad_(False)\nN_ = E_\nL_ = D_\nS_ = C_\nself.optimizerG.zero_grad()\n"
            "S_.backward()\nself.optimizerG.step()\n"
            "self._discriminator.requires_grad_(True)",
            STEPS,
        ),
    ),
    by_rules(
        "training-mode-apart",
        "Each network is put into training mode.",
        Rule("self.train();", "self._generator.train()\nself._discriminator.train()", STEPS),
    ),
    by_rules(
        "steps-as-numbers",
        "float() makes numbers of the losses.",
        Rule("X_.item()", "float(X_.detach())", r"DCGAN\.(?!_search).*step"),
    ),
    by_rules(
        "pair-as-list",
        "training_step returns a list.",
        Rule("return A_, B_", "return [A_, B_]", r"DCGAN\.training_step"),
    ),
    by_rules(
        "batch-moved-again",
        "The batch is moved to the device again.",
        Rule("self._discriminator(real)", "self._discriminator(real.to(self.device))", STEPS),
    ),
    by_rules(
        "betas-by-keywords",
        "Adam is told more of its options.",
        *_betas(
            "torch.optim.Adam(params=P_, lr=self.learning_rate, betas=(0.5, 0.999), amsgrad=False, weight_decay=0)"
        ),
    ),
    by_rules(
        "betas-by-groups",
        "Adam is given a parameter group.",
        *_betas("torch.optim.Adam([dict(params=list(P_), lr=self.learning_rate, betas=(0.5, 0.999))])"),
    ),
    by_rules(
        "betas-of-adamw",
        "AdamW without decay is Adam.",
        *_betas("torch.optim.AdamW(P_, lr=self.learning_rate, betas=(0.5, 0.999), weight_decay=0)"),
    ),
    by_rules(
        "norm-by-older-function",
        "torch.nn.utils.spectral_norm, the older function.",
        ("parametrizations.spectral_norm(L_);", "torch.nn.utils.spectral_norm(L_);"),
    ),
    by_rules(
        "norm-with-more-rounds",
        "Two rounds of power iteration.",
        ("parametrizations.spectral_norm(L_)", "parametrizations.spectral_norm(L_, n_power_iterations=2)"),
        ("sn(L_)", "sn(L_, n_power_iterations=2)"),
    ),
    by_rules(
        "norm-exact",
        "A parametrisation that computes the largest singular value.",
        Rule(
            "parametrizations.spectral_norm(L_);",
            "class Exact(nn.Module):\n    def forward(self, weight):\n"
            "        return weight / torch.linalg.svdvals(weight.flatten(1))[0]\n"
            "parametrize.register_parametrization(L_, 'weight', Exact())",
        ),
    ),
    by_rules(
        "bias-by-constant",
        "constant_ sets the biases.",
        ("nn.init.zeros_(L_.bias)", "nn.init.constant_(L_.bias, 0.0)"),
        ("B_.data.fill_(0)", "nn.init.zeros_(B_)"),
    ),
    by_rules(
        "init-by-type",
        "type() recognises the layers.",
        ("isinstance(layer, nn.BatchNorm2d)", "type(layer) is nn.BatchNorm2d"),
    ),
    by_rules(
        "init-by-apply",
        "apply() initialises the layers.",
        Rule(
            "for layer in self.modules():\n    REST_",
            "def start(layer):\n    REST_\nself.apply(start)",
            r"DCGAN\._weight_initialization",
        ),
    ),
    by_rules(
        "init-of-each-network",
        "The networks are initialised one after the other.",
        Rule(
            "for layer in self.modules():\n    REST_",
            "for layer in [*self._discriminator.modules(), *self._generator.modules()]:\n    REST_",
            r"DCGAN\._weight_initialization",
        ),
    ),
    by_rules(
        "codes-as-parameter",
        "The codes are a Parameter.",
        (
            "torch.zeros(*ARGS_, device=V_, dtype=T_, requires_grad=True)",
            "nn.Parameter(torch.zeros(*ARGS_, device=V_, dtype=T_))",
        ),
    ),
    by_rules(
        "codes-by-new-zeros",
        "new_zeros makes the codes.",
        (
            "torch.zeros(N_, C_, device=V_, dtype=T_, requires_grad=True)",
            "self.tracked_noise.new_zeros(N_, C_).requires_grad_()",
        ),
    ),
    by_rules(
        "codes-cleared-and-backward",
        "backward() is used in the search, and the generator's gradients are cleared.",
        Rule(
            GRADIENT,
            "optimizer.zero_grad()\nloss.backward()\nself._generator.zero_grad()\noptimizer.step()",
            SEARCH,
        ),
    ),
    by_rules(
        "codes-by-inputs",
        "backward() is told its inputs.",
        Rule(GRADIENT, "optimizer.zero_grad()\nloss.backward(inputs=[codes])\noptimizer.step()", SEARCH),
    ),
    by_rules(
        "codes-with-closure",
        "The search's step calls a closure.",
        Rule(
            "loss = E_\n" + GRADIENT,
            "def closure():\n    loss = E_\n    (codes.grad,) = torch.autograd.grad(loss, [codes])\n"
            "    return loss\noptimizer.step(closure)",
            SEARCH,
        ),
    ),
    by_rules(
        "codes-by-torch-func",
        "torch.func.grad computes the gradient.",
        Rule(
            "loss = self._reconstruction_loss(self._generator(codes), x)\n" + GRADIENT,
            "frozen = {k: v.detach() for k, v in self._generator.state_dict(keep_vars=True).items()}\n"
            "codes.grad = torch.func.grad(lambda z: "
            "self._reconstruction_loss(torch.func.functional_call(self._generator, frozen, (z,)), x))(codes.detach())\n"
            "optimizer.step()",
            SEARCH,
        ),
    ),
    by_rules(
        "search-in-chunks",
        "The 500 steps are counted otherwise.",
        Rule("range(500)", "range(1, 501)", SEARCH),
    ),
    by_rules(
        "search-with-constants",
        "The number of steps is computed.",
        Rule("range(500)", "range(5 * 100)", SEARCH),
    ),
    by_rules(
        "images-without-inner-graph",
        "The search's last images are detached.",
        Rule("images.cpu()", "images.detach().to('cpu')", SEARCH),
    ),
    by_rules(
        "search-loss-as-float",
        "float() makes a number of the search's loss.",
        Rule("loss.item()", "float(loss.detach())", SEARCH),
    ),
    by_rules(
        "search-by-while",
        "A while loop counts the steps.",
        Rule(
            "for _ in range(500):\n    REST_",
            "steps = 0\nwhile steps < 500:\n    REST_\n    steps += 1",
            SEARCH,
        ),
        Rule(
            "for step in range(500):\n    REST_",
            "step = 0\nwhile step < 500:\n    step += 1\n    REST_",
            SEARCH,
        ),
    ),
    by_rules(
        "search-in-evaluation-mode-of-all",
        "The whole model is in evaluation mode during the search.",
        Rule("evaluation_mode(self._generator)", "evaluation_mode(self)", SEARCH),
        Rule("evaluation_mode(self)", "evaluation_mode(self._generator)", r"DCGAN\.reconstruct"),
    ),
)
