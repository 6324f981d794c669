"""What a device may carry at the device level and a network step cannot: refused by name, with the cure."""

from dataclasses import fields, replace

import numpy as np
import pytest

from lava_1m1t1r import DeviceParams, InputError, StepParams, presets

SPREADS = [f.name for f in fields(DeviceParams) if f.name.endswith(("_ctoc", "_dtod"))]


@pytest.mark.parametrize("name", SPREADS)
def test_spreads_are_refused(name):
    with pytest.raises(InputError, match=f"DeviceParams.{name} must be .*Use "):
        StepParams(replace(presets.ZHAO2025_FIG2, **{name: 0.1}))


def test_the_noisy_preset_is_refused_and_a_drawn_layer_is_not():
    with pytest.raises(InputError, match="mu_ctoc"):
        StepParams(presets.ZHAO2025_FIG3CD)
    layer = replace(presets.ZHAO2025_FIG2, mu_dtod=0.2, r_control_dtod=0.1).spread(5, seed=1)
    program = StepParams(layer).fixed(5)
    assert len(np.unique(program.gate_decay + program.gate_shift * 4096)) == 5
