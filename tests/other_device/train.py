"""Train networks of all blocks on the CPU and on another device; print, as JSON, how far the two are apart.

``python train.py DEVICE [LIBRARY]``: the device's name for torch, and the library that brings it, unless torch has it.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from lava_1m1t1r import presets
from lava_1m1t1r.recipes.network import Network
from lava_1m1t1r.recipes.smooth import Smooth
from lava_1m1t1r.slayer.block.m1t1r import Affine, Average, Conv, DelayLines, Dense, Flatten, Input, Pool, Recurrent

STEP = {"params": presets.ZHAO2025_FIG2.scaled(40), "dt": 10e-3, "substeps": 2}
NOISY = STEP | {"params": replace(STEP["params"], sigma1=2e-3, sigma2=3e-4)}
OPERATIONS = torch.library.Library("aten", "IMPL")  # undone when it is collected
CHANNELS, IMAGE, STEPS = 24, (2, 8, 8), 30


def hidden(neuron=STEP, inputs=CHANNELS, **options):
    return [Recurrent(neuron, inputs, 20, weight_scale=3, **options), Affine(None, 20, 5)]


def smooth():
    block = Dense(STEP, CHANNELS, 20, weight_scale=3)
    Smooth(block.synapse, 2.0)
    return [block]


NETWORKS = {
    "dense": lambda: [Dense(STEP, CHANNELS, 20, weight_scale=3), Dense(STEP, 20, 5, weight_scale=9)],
    "delays and norms": lambda: [Dense(STEP, CHANNELS, 20, weight_scale=3, delay=True, weight_norm=True)],
    "recurrent": hidden,
    "four delays": lambda: hidden(delay_rec=4, bias=True),
    "noise": lambda: hidden(NOISY),
    "learned devices": lambda: hidden(STEP | {"learn": ("mu", "gamma1", "r_control")}),
    "kept states": lambda: hidden(STEP | {"persistent_state": True}),
    "delay lines": lambda: [DelayLines(CHANNELS, (0, 3, 5)), *hidden(inputs=3 * CHANNELS)],
    "input": lambda: [Input(STEP | {"v_unit": 0.4}, weight=3.0), Average(num_outputs=4)],
    "smooth weights": smooth,
    "images": lambda: [Conv(STEP, 2, 4, 3, padding=1, weight_scale=3), Pool(STEP, 2), Flatten(), Dense(STEP, 64, 5, weight_scale=9)],
}


def train(name, device):
    """Outputs of three calls, the last one's gradients, and whether a step of an optimiser later the file is the one written on the CPU."""
    torch.manual_seed(0)
    x = (torch.rand(6, *(IMAGE if name == "images" else (CHANNELS,)), STEPS) < 0.3).float()
    net = Network(NETWORKS[name]())
    net(x)  # draws learned delays
    net, x = net.to(device), x.to(device).requires_grad_()
    with torch.no_grad():
        first = [net(x), net(x.to(torch.uint8))]
    out = net(x)
    (out * torch.linspace(0, 1, STEPS, device=device)).sum().backward()
    gradients = [x.grad, *(p.grad for p in net.parameters() if p.grad is not None)]
    torch.optim.Adam(net.parameters(), lr=0.01).step()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "there.net"), Path(folder, "here.net")]
        net.export(paths[0])
        net.cpu().export(paths[1])
        there, here = (path.read_bytes() for path in paths)
    return [y.detach().cpu() for y in (*first, out)], [g.cpu() for g in gradients], there == here


def convolve_on_the_cpu(device):
    """torch has no convolution for devices that it does not know: have it done on the CPU."""
    there = lambda tensors: tuple(None if t is None else t.to(device) for t in tensors)  # noqa: E731
    here = lambda values: [v.cpu() if isinstance(v, torch.Tensor) else v for v in values]  # noqa: E731

    def backward(gradient, x, weight, *sizes):
        *sizes, wanted = sizes
        return there(torch.ops.aten.convolution_backward(*here((gradient, x, weight)), None, *sizes, wanted))

    OPERATIONS.impl("convolution_overrideable", lambda *given: there([torch.ops.aten.convolution(*here(given))])[0], "PrivateUse1")
    OPERATIONS.impl("convolution_backward_overrideable", backward, "PrivateUse1")


def main(device, *library):
    for path in library:
        torch.ops.load_library(path)
        convolve_on_the_cpu(device)
    found = {}
    for name in NETWORKS:
        (outputs, gradients, _), (outputs2, gradients2, same) = train(name, "cpu"), train(name, device)
        found[name] = {
            "spikes": min(float(y.count_nonzero()) for y in outputs),
            "outputs": all(torch.equal(a, b) for a, b in zip(outputs, outputs2, strict=True)),
            "gradient": max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(gradients, gradients2, strict=True)),
            "file": same,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
