"""Every preset, found by being defined."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lava_1m1t1r import presets
from lava_1m1t1r.device import simulate, stimulus
from lava_1m1t1r.params import DeviceParams

ALL = {name: getattr(presets, name) for name in presets.names()}


def test_the_promised_presets_exist():
    assert {f"ZHAO2025_{x}" for x in ("TABLE1", "TABLE7", "TABLE8", "FIG2", "FIG3", "FIG4", "FIG3CD")} <= set(ALL)
    assert "10.1038/s41928-025-01488-x" in presets.__doc__


@pytest.mark.parametrize("name", ALL)
def test_a_preset_rests_without_input_and_fires_with_enough(name):
    p = ALL[name]
    unit = 0.005 / p.gamma2
    silent = simulate(p, stimulus.rest(10 * unit), unit, 0)
    assert np.all(silent.filament == 0) and np.all(silent.gate_voltage == 0) and not silent.spike_times().size
    assert simulate(p, stimulus.train(1.05 * p.v_ref, unit, unit, 1000), unit, 0, "events").spike_times().size
    assert eval(repr(p), {"DeviceParams": DeviceParams, "inf": np.inf}) == p


@pytest.mark.parametrize("name", [n for n in ALL if n.startswith("ZHAO2025_FIG")])
def test_fitted_devices_limit_their_length_and_keep_the_published_parts(name):
    p, table = ALL[name], presets.ZHAO2025_TABLE1
    assert p.x_max == 1.0 and np.isfinite(p.v0)
    assert (p.r_on, p.r_off, p.c_gate, p.v_th) == (table.r_on, table.r_off, table.c_gate, table.v_th)


@pytest.mark.parametrize(
    ("device", "volt", "latches"),
    [
        (presets.ZHAO2025_FIG2, 0.732, False),
        (presets.ZHAO2025_FIG2, 0.734, True),
        (presets.ZHAO2025_FIG2_WIDE, 0.816, False),
        (presets.ZHAO2025_FIG2_WIDE, 0.818, True),
    ],
)
def test_the_devices_of_fig_2_latch_under_constant_input_from_where_their_descriptions_say(device, volt, latches):
    spikes = simulate(device, stimulus.constant(volt, 1.0), 1.0, 0, "events", rtol=1e-6).spike_times()
    assert (spikes[-1] < 0.5) == latches


@pytest.mark.parametrize("page", [Path(presets.__file__), Path(__file__).parents[1] / "RESULTS.md"], ids=lambda page: page.name)
def test_the_device_of_fig_2_latches_at_the_resistances_that_are_said(page):
    if not page.exists():
        pytest.skip(f"{page.name} lies in a checkout, not in the package")
    text = page.read_text(encoding="utf-8")
    ((first, last),) = re.findall(r"(\d+) to (\d+) MOhm,[^.]*latches at 0\.8 V", text)
    ends = []
    for megohms in (int(first) - 1, int(first), int(last), int(last) + 1):
        device = replace(presets.ZHAO2025_FIG2, r_control=1e6 * megohms)
        ends.append(simulate(device, stimulus.train(0.8, 1e-3, 1e-3, 1000), 2.0, 0, "events", rtol=1e-6).spike_times()[-1])
    assert [end < 1.0 for end in ends] == [False, True, True, False]
