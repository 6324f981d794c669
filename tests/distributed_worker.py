"""Run by torchrun in test_train_distributed: trains through the command line, and notes what this process did.

Arguments: a file in SHD's format, a folder for results.
"""

import json
import os
import sys
from pathlib import Path

import torch

from lava_1m1t1r import cli
from lava_1m1t1r.recipes import fit, network
from lava_1m1t1r.slayer.delay import Delay

DATA, OUT = sys.argv[1], Path(sys.argv[2])
RANK = int(os.environ["RANK"])
seen, made = [], []


class Watched(fit.FrameSet):
    def __getitems__(self, index):
        seen.extend(index)
        return super().__getitems__(index)


def after_an_epoch(learner):
    learner.trainer.should_stop = True


def kept(build):
    def make(task):
        made.append(build(task))
        return made[-1]

    return make


def delayed(task):
    net = plain(task)
    net.hidden.delay = Delay()
    return net


def annealed(net, *given, **options):
    def halve(_epoch):
        net.hidden.neuron.tau_grad /= 2

    return usual(net, *given, on_epoch=halve if RANK == 0 else None, **options)


def train(folder, *more):
    seen.clear()
    options = ["--data", DATA, "--epochs", "2", "--hidden", "8", "--batch", "4", "-o", str(OUT / folder), *more]
    code = cli.main(["train", *options])
    parameters = torch.cat([p.detach().reshape(-1) for p in made[-1].parameters()]).tolist()
    return {"code": code, "seen": list(seen), "parameters": parameters}


torch.set_num_threads(1)
plain = network.m1t1r
fit.FrameSet, network.m1t1r = Watched, kept(plain)
report = {"whole": train("whole")}
fit.Learner.on_train_epoch_end = after_an_epoch
report["first"] = train("stopped")
del fit.Learner.on_train_epoch_end
report["resumed"] = train("stopped", "--resume")
report["watched"] = train("watched", "--data", str(OUT / "three.h5"), "--validate", "1", "--patience", "2")
usual, fit.fit, network.m1t1r = fit.fit, annealed, kept(plain)
report["annealed"] = train("annealed")
report["surrogate"] = made[-1].hidden.neuron.tau_grad / made[0].hidden.neuron.tau_grad
fit.fit, network.m1t1r = usual, kept(delayed)
report["delayed"] = train("delayed")
report["delays"] = made[-1].hidden.delay.delay.tolist()
(OUT / f"rank{RANK}.json").write_text(json.dumps(report))
