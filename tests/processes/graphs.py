"""Graphs for the tests of both runners: each function returns a Process and the Vars to compare."""

import numpy as np
from kinds.process import Dice
from lava.proc.atrlif.process import ATRLIF
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense, LearningDense
from lava.proc.graded.process import InvSqrt, NormVecDelay
from lava.proc.io.dataloader import StateDataloader
from lava.proc.io.sink import Read
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.learning_rules.r_stdp_learning_rule import RewardModulatedSTDP
from lava.proc.learning_rules.stdp_learning_rule import STDPLoihi
from lava.proc.lif.process import LIF, LearningLIF, LIFRefractory, LIFReset, TernaryLIF
from lava.proc.rf.process import RF
from lava.proc.sdn.process import SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from nested.process import Layer
from noisy.process import Noisy
from scipy.sparse import csr_matrix

T = 40
FLOAT, FIXED = "floating_pt", "fixed_pt"


def spikes(n, seed=1, rate=0.2, tag=FLOAT):
    return (np.random.default_rng(seed).random((n, T)) < rate).astype(int if tag == FIXED else float)


def weights(n, m, seed, tag):
    rng = np.random.default_rng(seed)
    return rng.integers(-60, 90, (n, m)) if tag == FIXED else rng.normal(0.3, 1.0, (n, m))


def neurons(n, tag, kind=LIF, **more):
    decays = dict(du=1024, dv=410, vth=40) if tag == FIXED else dict(du=0.25, dv=0.1, vth=2.0)
    return kind(shape=(n,), **decays, **more)


def recurrent(tag, n_in=30, n=12, n_out=5):
    """The 7 Processes of a recurrent network: source, 3 synapses, 2 layers of LIF, sink."""
    source, sink = Source(data=spikes(n_in, tag=tag)), Sink(shape=(n_out,), buffer=T)
    into, hidden = Dense(weights=weights(n, n_in, 2, tag)), neurons(n, tag)
    loop, out, last = (
        Dense(weights=weights(n, n, 3, tag)),
        Dense(weights=weights(n_out, n, 4, tag)),
        neurons(n_out, tag),
    )
    source.s_out.connect(into.s_in)
    into.a_out.connect(hidden.a_in)
    hidden.s_out.connect(loop.s_in)
    loop.a_out.connect(hidden.a_in)
    hidden.s_out.connect(out.s_in)
    out.a_out.connect(last.a_in)
    last.s_out.connect(sink.a_in)
    return hidden, [hidden.u, hidden.v, last.v, sink.data]


def through(synapse, tag, n_in=6, neuron=None, data=None):
    """Source, the synapse, neurons of its output's shape, sink."""
    source = Source(data=spikes(n_in, tag=tag) if data is None else data)
    neuron = neuron or neurons(synapse.a_out.shape[0], tag)
    sink = Sink(shape=neuron.s_out.shape, buffer=T)
    source.s_out.connect(synapse.s_in)
    synapse.a_out.connect(neuron.a_in)
    neuron.s_out.connect(sink.a_in)
    return neuron, [*(v for v in neuron.vars.members if v.name in ("u", "v")), sink.data]


def delayed(tag):
    delays = np.random.default_rng(9).integers(0, 5, (4, 6))
    return through(DelayDense(weights=weights(4, 6, 5, tag), delays=delays), tag)


def sparse(tag):
    w = weights(4, 6, 5, tag) * (np.random.default_rng(6).random((4, 6)) < 0.5)
    return through(Sparse(weights=csr_matrix(w)), tag)


def sparse_delayed(tag):
    w = weights(4, 6, 5, tag) * (np.random.default_rng(6).random((4, 6)) < 0.5)
    return through(DelaySparse(weights=csr_matrix(w), delays=csr_matrix(w != 0) * 2), tag)


def convolved(tag):
    w = weights(3 * 3 * 3, 2, 7, tag).reshape(3, 3, 3, 2)
    synapse = Conv(weight=w, input_shape=(6, 5, 2), padding=1)
    neuron = neurons(1, tag)
    data = spikes(60, tag=tag).reshape(6, 5, 2, T)
    decays = {name: getattr(neuron, name).init for name in ("du", "dv", "vth")}
    return through(synapse, tag, neuron=LIF(shape=synapse.a_out.shape, **decays), data=data)


def nested(tag):
    layer, source = Layer(weights=weights(4, 6, 5, FIXED)), Source(data=spikes(6, tag=tag))
    sink = Sink(shape=(4,), buffer=T)
    source.s_out.connect(layer.s_in)
    layer.s_out.connect(sink.a_in)
    return layer, [layer.v, sink.data]


def of_kind(kind, **more):
    def build(tag):
        return through(Dense(weights=weights(4, 6, 5, tag)), tag, neuron=neurons(4, tag, kind, **more))

    build.__name__ = kind.__name__
    return build


def ternary(tag):
    bounds = dict(vth_hi=40, vth_lo=-40, du=1024, dv=410) if tag == FIXED else dict(vth_hi=2.0, vth_lo=-1.0, du=0.2)
    return through(Dense(weights=weights(4, 6, 5, tag)), tag, neuron=TernaryLIF(shape=(4,), **bounds))


def adaptive(tag):
    steps = dict(theta_0=20, theta_step=8) if tag == FIXED else dict(theta_0=2.0, theta_step=0.5)
    neuron = ATRLIF(shape=(4,), **steps)
    return through(Dense(weights=weights(4, 6, 5, tag)), tag, neuron=neuron)


def sigma_delta(tag):
    neuron = SigmaDelta(shape=(4,), vth=10, spike_exp=0, state_exp=0)
    return through(Dense(weights=weights(4, 6, 5, FIXED), num_message_bits=16), tag, neuron=neuron)


def learning(tag):
    rule = STDPLoihi(learning_rate=1, A_plus=1, A_minus=-1, tau_plus=10, tau_minus=10, t_epoch=4)
    source, into = Source(data=spikes(6, tag=tag)), Dense(weights=weights(6, 6, 2, tag))
    pre, post, sink = neurons(6, tag), neurons(4, tag, LearningLIF, learning_rule=rule), Sink(shape=(4,), buffer=T)
    synapse = LearningDense(weights=np.abs(weights(4, 6, 5, tag)), learning_rule=rule, name="plastic")
    source.s_out.connect(into.s_in)
    into.a_out.connect(pre.a_in)
    pre.s_out.connect(synapse.s_in)
    synapse.a_out.connect(post.a_in)
    post.s_out.connect(sink.a_in)
    post.s_out.connect(synapse.s_in_bap)
    return post, [post.v, synapse.weights, synapse.x1, synapse.y1, sink.data]


def read_probe(tag):
    process, variables = recurrent(tag)
    probe = Read(buffer=T, interval=2, offset=1)
    probe.connect_var(process.v)
    return process, [*variables, probe.data]


def noisy(tag):
    source, sink, twin = Noisy(scale=np.ones(3)), Sink(shape=(3,), buffer=T), Noisy(scale=np.full(3, 0.5))
    source.s_out.connect(sink.a_in)
    twin.s_out.connect(sink.a_in)
    return source, [source.sent, twin.sent]


def dice(tag):
    one, other, sink = Dice(seed=3), Dice(seed=8), Sink(shape=(3,), buffer=T)
    one.s_out.connect(sink.a_in)
    other.s_out.connect(sink.a_in)
    return one, [one.sent, other.sent, sink.data]


def resonant(tag):
    fixed = dict(state_exp=6, decay_bits=12, vth=1)
    neuron = RF(shape=(3,), period=6, alpha=0.1, **(fixed if tag == FIXED else {"vth": 0.7}))
    real, imag, sink = Source(data=spikes(3, tag=tag)), Source(data=spikes(3, 2, tag=tag)), Sink(shape=(3,), buffer=T)
    real.s_out.connect(neuron.a_real_in)
    imag.s_out.connect(neuron.a_imag_in)
    neuron.s_out.connect(sink.a_in)
    return neuron, [neuron.real, neuron.imag, sink.data]


def normalised(tag):
    """A loop through a synapse, from the neuron's second output back to its second input."""
    neuron, root, loop = (
        NormVecDelay(shape=(1,), exp=4),
        InvSqrt(shape=(1,), fp_base=12),
        Dense(weights=np.array([[2]]), num_message_bits=24),
    )
    source, sink = Source(data=np.random.default_rng(1).integers(-300, 300, (1, T))), Sink(shape=(1,), buffer=T)
    source.s_out.connect(neuron.a_in1)
    neuron.s2_out.connect(loop.s_in)
    loop.a_out.connect(root.a_in)
    root.s_out.connect(neuron.a_in2)
    neuron.s_out.connect(sink.a_in)
    return neuron, [neuron.v, sink.data]


def rewarded(tag):
    taus = dict(pre_trace_decay_tau=10, post_trace_decay_tau=10, eligibility_trace_decay_tau=0.5, t_epoch=2)
    rule = RewardModulatedSTDP(learning_rate=1, A_plus=2, A_minus=-2, pre_trace_kernel_magnitude=16, post_trace_kernel_magnitude=16, **taus)
    source, reward, sink = Source(data=spikes(6, tag=tag)), Source(data=20 * spikes(4, 2, tag=tag)), Sink(shape=(4,), buffer=T)
    synapse = LearningDense(weights=np.abs(weights(4, 6, 5, tag)), learning_rule=rule)
    neuron = neurons(4, tag, LearningLIF, learning_rule=rule)
    source.s_out.connect(synapse.s_in)
    synapse.a_out.connect(neuron.a_in)
    neuron.s_out.connect(synapse.s_in_bap)
    reward.s_out.connect(neuron.a_third_factor_in)
    neuron.s_out.connect(sink.a_in)
    return neuron, [neuron.v, synapse.weights, synapse.tag_1, sink.data]


def loaded(tag):
    """Samples are written into the neurons' states, through a RefPort."""
    samples = [(np.arange(4) * 3 * k, k + 1) for k in range(3)]
    loader, neuron, sink = StateDataloader(dataset=samples, interval=5, offset=1), neurons(4, tag, bias_mant=2), Sink(shape=(1,), buffer=T)
    loader.connect_var(neuron.v)
    loader.ground_truth.connect(sink.a_in)
    return neuron, [neuron.v, neuron.u, sink.data]


GRAPHS = [
    recurrent,
    delayed,
    sparse,
    sparse_delayed,
    convolved,
    nested,
    learning,
    read_probe,
    ternary,
    adaptive,
    sigma_delta,
    resonant,
    rewarded,
    loaded,
    of_kind(LIFReset, reset_interval=7, reset_offset=3),
]
CASES = [(graph, tag) for graph in GRAPHS for tag in (FLOAT, FIXED)]
CASES += [(normalised, FIXED), (noisy, FLOAT), (dice, FLOAT), (of_kind(LIFRefractory, refractory_period=3), FLOAT)]
