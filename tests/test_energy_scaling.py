"""Energy over R_c, C_g and technology: drawn, and in the order that the circuit demands."""

import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")

from lava_1m1t1r import presets  # noqa: E402
from lava_1m1t1r.device.energy import scaling_figure  # noqa: E402


@pytest.mark.timeout(120)
def test_scaling_curves(tmp_path):
    curves = scaling_figure(presets.ZHAO2025_FIG2, tmp_path / "scaling.png", 0.8)
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    charge = curves["C_g, R_c C_g kept"]
    assert len(charge) >= 3 and charge[4.0] > charge[1.0] > charge[0.25]  # a larger gate takes more charge
    assert curves["technology"][0.0] == pytest.approx(1.3e-12, rel=0.15)  # Table 7: about 1.39 pJ
    assert 0.4e-18 < curves["technology"][1.0] < 1.1e-18  # Table 8: about 1 aJ
