"""What training blocks refuse, and how they tell it: arguments, inputs that are no spikes, sums beyond 32 bits."""

from dataclasses import replace

import numpy as np
import pytest
from training_blocks import FIG2, NEURON, SPIKES, torch

from lava_1m1t1r import presets
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.slayer import block, neuron
from lava_1m1t1r.slayer import layer as layer_module


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: block.m1t1r.Dense({**NEURON, "dt": 0.0}, 3, 2), "StepParams.dt"),
        (lambda: block.m1t1r.Dense(NEURON, 3.5, 2), "in_neurons"),
        (lambda: block.m1t1r.Recurrent(NEURON, 3, 2, delay_rec=63), "delay_rec"),
        (lambda: block.m1t1r.Dense({**NEURON, "norm": lambda: None}, 3, 2), "norm"),
        (lambda: block.m1t1r.Dense({**NEURON, "tau_grad": -1}, 3, 2), "tau_grad"),
        (lambda: block.m1t1r.Affine(NEURON, 3, 2, dynamics=True), "dynamics"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 2)(torch.zeros(1, 4, 5)), r"\(B, 3, T\)"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 2)(torch.full((1, 3, 5), 0.5)), "whole numbers"),
        *(
            (lambda kind=kind: kind({**NEURON, "params": replace(FIG2, mu=np.full(5, 150.0))}, 3, 2), r"DeviceParams .*\(2\); got 5")
            for kind in (block.m1t1r.Dense, block.m1t1r.Recurrent)
        ),
        (lambda: block.m1t1r.Conv({**NEURON, "dt": 1}, 1, 2, 3), r"per substep, .*Use a smaller dt \[s\]"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 2)(torch.zeros(3, 5)), r"have shape \(B, 3, T\); got \(3, 5\). .* batch of one"),
        *(
            (lambda given=given: block.m1t1r.Input(**given), "Input.* must be None without neurons")
            for given in ({"weight": 2.0}, {"bias": 1.0})
        ),
    ],
)
def test_bad_arguments_are_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (
            lambda: block.m1t1r.Dense({**NEURON, "tau": 3}, 3, 4),
            r"neuron_params must hold arguments of the neuron \(.*learn_range.*\); got 'tau'",
        ),
        (lambda: block.m1t1r.Recurrent(NEURON, 3, 4, delay_rec=[1, 2]), r"delay_rec must be one number, or one for each of 4 neurons"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 4)(np.zeros((1, 3, 5))), "Dense input must be a tensor"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 4, delay=5), "delay must be True or False"),
        (lambda: block.m1t1r.Recurrent(NEURON, 3, 4, bias=0.5), "bias must be True or False"),
        (lambda: block.m1t1r.Dense(NEURON, 10**12, 4), "in_neurons must be a whole number from 1 to"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 4, weight_scale=float("nan")), "weight_scale must be a finite number"),
        (lambda: block.m1t1r.Affine(None, 3, 4, mask=torch.full((4, 3), 2.0)), "mask must hold True and False, or 1 and 0, only"),
        (lambda: block.m1t1r.Dense({}, 3, 4, mask=torch.full((4, 3), float("nan"))), "mask must hold True and False"),
        (lambda: block.m1t1r.Affine(None, 3, 4, mask=torch.ones(3, 4)), r"mask must be a tensor \(4, 3\)"),
        (lambda: block.m1t1r.Dense(NEURON, 3, 4, pre_hook_fx="8 bit"), "pre_hook_fx must be a function"),
        (lambda: block.m1t1r.Recurrent(NEURON, 3, 4, delay_rec=[[1], [1, 2]]), "delay_rec must be one number"),
        (lambda: block.m1t1r.Input(3), "neuron_params must be a dict"),
        *((lambda n=n: block.m1t1r.Average(n), "Average.num_outputs must be a whole number from 1 to") for n in (0, -1, 2.5, "x")),
        (lambda: block.m1t1r.Average(2, count_log=1), "Average.count_log must be True or False"),
        (lambda: block.m1t1r.Input(NEURON, weight="one"), "Input.weight must be a finite number"),
        (lambda: neuron.Neuron(persistent_state="no"), r"persistent_state'\] must be True or False"),
        (lambda: neuron.Neuron(tau_grad=10**400), "tau_grad must be a finite number"),
        (lambda: neuron.Neuron().set_params(params=FIG2), "set_params must name fields of DeviceParams, or dt, .*; got 'params'"),
        (lambda: neuron.Neuron().set_params(radius=1.0), "set_params must name fields of DeviceParams, or dt, .*held; got 'radius'"),
        (lambda: neuron.Neuron().set_params(held=1), "StepParams.held must be True or False"),
    ],
)
def test_blocks_refuse_by_name(made, text):
    with pytest.raises(InputError, match=text):
        made()


NO_SPIKES = {
    "negative": (-SPIKES, "whole numbers from 0"),
    "nan": (SPIKES * float("nan"), "whole numbers from 0"),
    "infinite": (SPIKES / 0, "whole numbers from 0"),
    "halves": (SPIKES / 2, "whole numbers from 0"),
    "complex": (SPIKES * 1j, "input must hold real numbers"),
    "sparse": (SPIKES.to_sparse(), "input must be a dense tensor.*to_dense"),
    "meta": (SPIKES.to("meta"), "input must have values"),
    "nested": (torch.nested.nested_tensor([SPIKES[0]]), "input must be a dense tensor.*to_padded_tensor"),
    "jagged": (torch.nested.nested_tensor([SPIKES[0]], layout=torch.jagged), "input must be a dense tensor.*to_padded_tensor"),
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("harm", NO_SPIKES)
def test_both_paths_refuse_what_are_no_spikes(harm, force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    x, text = NO_SPIKES[harm]
    for net in (block.m1t1r.Dense(NEURON, 3, 2), block.m1t1r.Recurrent(NEURON, 3, 2), block.m1t1r.Affine(None, 3, 2)):
        with pytest.raises(InputError, match=text):
            net(x)


@pytest.mark.parametrize("force", [False, True])
def test_counts_whose_sums_may_leave_32_bits_are_refused(force, monkeypatch):
    """Compiled loops would wrap there, plain torch operations not. A large count of a few inputs is no danger."""
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    for net in (block.m1t1r.Dense(NEURON, 300, 2), block.m1t1r.Recurrent(NEURON, 300, 2), block.m1t1r.Affine(None, 300, 2)):
        (net.input_synapse if hasattr(net, "input_synapse") else net.synapse).weight.data[1] = 3.9
        x = torch.zeros(2, 300, 4)
        x[1, :3, 2] = 32767
        net(x)
        x[1, :, 2] = 32767
        with pytest.raises(InputError, match="input must hold counts of at most .*; got 'counts up to 32767, 9830100 in a step'"):
            net(x)


def test_traces_are_refused():
    with pytest.raises(InputError, match="torch.jit traces"), pytest.warns(torch.jit.TracerWarning):
        torch.jit.trace(block.m1t1r.Dense(NEURON, 3, 2), SPIKES)


@pytest.mark.parametrize("force", [False, True])
def test_currents_are_finite_and_what_32_bits_count(force, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    for z in (SPIKES * float("nan"), SPIKES / 0, SPIKES * 1e8):
        with pytest.raises(InputError, match="synaptic input must lie within"):
            neuron.Neuron(**NEURON)(z)
    harms = {"real": SPIKES * 1j, "dense": SPIKES.to_sparse(), "values": SPIKES.to("meta"), "tensor": None, "shape": SPIKES[0]}
    for text, z in harms.items():
        for encoder in (neuron.Neuron(**NEURON), block.m1t1r.Input(NEURON)):
            with pytest.raises(InputError, match=text):
                encoder(z)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("force", [False, True])
def test_weights_that_are_not_finite_are_told_in_the_forward_pass(force, value, monkeypatch):
    monkeypatch.setattr(layer_module, "FORCE_TORCH", force)
    for name, text in (("input_synapse.weight", "weights"), ("recurrent_synapse.weight", "weights"), ("bias", "bias")):
        net = block.m1t1r.Recurrent(NEURON, 3, 2)
        net.get_parameter(name).data.view(-1)[1] = value
        for x in (SPIKES, 2 * SPIKES):  # counts
            with pytest.raises(InputError, match=f"{text} must be finite"):
                net(x)


def test_what_lava_dl_has_and_this_library_has_not_is_told():
    with pytest.raises(AttributeError, match="block.m1t1r has no KWTA: winners"):
        block.m1t1r.KWTA  # noqa: B018
    assert not hasattr(block.m1t1r, "Anything")


@pytest.mark.parametrize("shape", [(1, 5, 3), (5, 3), (2, 4, 3, 3)])
def test_averages_of_groups_that_do_not_fit_are_refused(shape):
    with pytest.raises(InputError, match=r"Average input must have shape \(B, N, T\), N a multiple of 2"):
        block.m1t1r.Average(2)(torch.zeros(shape))


def test_weights_whose_sums_of_spikes_may_leave_32_bits_are_refused():
    for make in (block.m1t1r.Affine, block.m1t1r.Dense):
        net = make({**NEURON}, 4, 3, pre_hook_fx=lambda w: torch.full_like(w, 2e7))
        with pytest.raises(InputError, match="weights must be at most 8.3886e.06, so that no sum of 4 spikes leaves 32 bits"):
            net(torch.ones(1, 4, 2))
    many = block.m1t1r.Dense({**NEURON}, 70_000, 2, pre_hook_fx=lambda w: torch.full_like(w, 511.0))  # counts of 16 bits
    with pytest.raises(InputError, match="weights must be at most 479.343, so that no sum of 70000 spikes leaves 32 bits; got 511.0"):
        many(torch.ones(1, 70_000, 2))
    wide = block.m1t1r.Affine({**NEURON}, 4, 3, pre_hook_fx=lambda w: torch.full_like(w, 600.0))
    assert torch.equal(wide(torch.ones(1, 4, 2)), torch.full((1, 3, 2), 2400.0))


def test_blocks_with_masks_are_made_where_there_are_no_numbers():
    with torch.device("meta"):
        made = [block.m1t1r.Dense({**NEURON}, 5, 3, mask=torch.ones(3, 5, dtype=kind)) for kind in (torch.bool, torch.float32)]
    assert all(net.synapse.weight.is_meta for net in made)


@pytest.mark.parametrize("delays", [[-1, 0, 0], [0, 0, 63], [-40, 400, 1], [1, 2]], ids=str)
def test_recurrent_delays_of_a_state_dict_are_checked(delays):
    """A compiled loop would read what no spike has been written to."""
    net = block.m1t1r.Recurrent({**NEURON}, 4, 3, delay_rec=3)
    net.delay_rec = torch.tensor(delays)
    with pytest.raises(InputError, match=r"^delay_rec(\[\d\])? must "):
        net(torch.ones(1, 4, 2))


@pytest.mark.parametrize("seed", [True, 2**64 + 3, -1, 0.5])
def test_seeds_are_checked_where_they_are_given(seed):
    with pytest.raises(InputError, match=r"neuron_params\['seed'\] must be a whole number from 0 to 4294967295"):
        block.m1t1r.Dense({**NEURON, "seed": seed}, 4, 3)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ({"v_th": 1.2}, r"the gate never gets above v_th \(1.2 V\)"),
        ({"mu": 1e-3}, r"no input turns this device on: it takes .* V, and v_in_max"),
    ],
)
def test_neurons_that_can_never_fire_are_told(device, words):
    with pytest.warns(UserWarning, match=words):
        block.m1t1r.Dense({"params": replace(presets.ZHAO2025_FIG2, **device)}, 4, 3)


def test_a_block_that_does_not_fit_is_told_from_frames_that_are_turned():
    readout = block.m1t1r.Affine(None, 30, 3)
    with pytest.raises(
        InputError, match=r"Affine input must have shape \(B, 30, T\); got \(1, 20, 5\). Its in_neurons is what the block before"
    ):
        readout(torch.zeros(1, 20, 5))
    with pytest.raises(InputError, match=r"got \(1, 5, 30\). Blocks take time last: transpose frames"):
        readout(torch.zeros(1, 5, 30))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 0.5, 32768.0])
@pytest.mark.parametrize("place", [0, 15, 16, 63, 64, 79, 80, 83])
@pytest.mark.parametrize("turned", [False, True])
def test_one_cell_that_is_no_count_is_found_wherever_it_is(value, place, turned):
    """Sixteen neighbours in memory are compared at once, and the rest of a row one by one."""
    x = torch.zeros(1, 84, 84)
    x[0, place, place] = value
    with pytest.raises(InputError, match="input must hold whole numbers from 0"):
        block.m1t1r.Affine(None, 84, 2)(x.transpose(1, 2) if turned else x)


@pytest.mark.parametrize("part", ["recurrent_synapse.weight", "bias"])
def test_sums_of_counts_are_bounded_together_with_those_of_recurrence_and_bias(part):
    """With a weight of one's own, whose sum alone is 1461 below the largest."""
    net, x = block.m1t1r.Recurrent(NEURON, 1, 2, pre_hook_fx=lambda w: w), torch.full((1, 1, 5), 10007.0)
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.input_synapse.weight.fill_(214598 / 64)
        net(x)
        dict(net.named_parameters())[part].fill_(60.0)
    with pytest.raises(InputError, match="input must"):
        net(x)
