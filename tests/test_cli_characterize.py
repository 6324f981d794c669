"""``characterize``: devices from files, fits, and what is measured of them."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lava_1m1t1r import cli, device
from lava_1m1t1r._support.files import as_json
from lava_1m1t1r.commands import characterize
from lava_1m1t1r.device import paper
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.netx.schema import read
from lava_1m1t1r.params import DeviceParams
from lava_1m1t1r.presets import ZHAO2025_FIG2, ZHAO2025_FIG2_WIDE, ZHAO2025_FIG4, ZHAO2025_TABLE7


def images(page):
    return Path(page).read_text().count('<img alt="')


@pytest.mark.train
def test_a_fitted_device_is_characterised_and_trained(small_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(
        "quantity,volt,width,gap,count,value,tolerance,r_control\nfirst_turn_on,0.8,0.1,0.1,1,0.03,1e-3,\n", encoding="utf-8"
    )
    assert cli.main(["characterize", "--fit", "rows.csv", "--free", "mu", "--set", "r_control=2e8", "-o", "fitted"]) == 0
    fitted = DeviceParams.from_dict(json.loads(Path("fitted/fit.json").read_text())["params"])
    assert fitted.r_control == 2e8 and fitted.mu != ZHAO2025_FIG2.mu
    assert images("fitted/fit.html") == 1 and "first_turn_on" in Path("fitted/fit.html").read_text()
    assert cli.main(["characterize", "--device", "fitted/fit.json", "--trials", "2", "-o", "run.6"]) == 0
    assert Path("run.6/summary.png").stat().st_size > 5000  # whatever the name of the folder
    assert (
        images("run.6/characteristics.html") == 2 and "characteristics of fitted/fit.json" in Path("run.6/characteristics.html").read_text()
    )
    assert DeviceParams.from_dict(json.loads(Path("run.6/characteristics.json").read_text())["device"]) == fitted
    options = ["train", "--data", str(small_file), "--hidden", "4", "--epochs", "1", "-o", "run"]
    for file in ("fitted/fit.json", "run.6/characteristics.json"):
        assert cli.main([*options, "--device", file]) == 0
        assert read("run/network.net").active[0].step.device == fitted.scaled(40.0)
    assert DeviceParams.from_dict(json.loads(Path("run/results.json").read_text())["task"]["device"]) == fitted
    capsys.readouterr()
    assert cli.main([*options, "--resume"]) == cli.USAGE_ERROR  # another device
    assert "--device must be what the run of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        ("{", [], "--device must be a JSON file; got 'device.json'"),
        ("[" * 100_000, [], "--device must be a JSON file; got 'device.json'"),
        ('{"mu": 1.0, "r_on": 1e6, "mu": 2.0}', [], "--device must be a JSON file; got 'device.json': the field 'mu' is given twice."),
        pytest.param('{"mu": ' + "[" * 900 + "1" + "]" * 900 + "}", [], "--device device.json: ", id="lists in lists"),
        ("[1]", [], "--device device.json: from_dict.values must be a mapping"),
        ('{"params": {"mew": 1}}', [], "hold fields of DeviceParams; got 'mew'"),
        ('{"mu": -1}', [], "DeviceParams.mu"),
        ('{"mu": [80, 90]}', [], "be one device"),
        ("{}", ["--preset", "ZHAO2025_FIG3"], "--preset must not be used with --device"),
    ],
)
def test_what_is_no_device_is_refused(content, more, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "device.json").write_text(content, encoding="utf-8")
    assert cli.main(["characterize", "--device", "device.json", *more]) == cli.USAGE_ERROR
    assert words in capsys.readouterr().err and not Path("characteristics").exists()
    assert cli.main(["characterize", "--device", "none.json"]) == cli.USAGE_ERROR
    assert capsys.readouterr().err == "lava-1m1t1r characterize: file none.json must exist; got 'no such file'. Check the path.\n"


def test_the_load_of_the_two_neurons_is_named():
    """That of Table 7, 1 GOhm, moves the node too far for the coupling to settle: another one is used, and the result says so."""
    used = "load resistor used here: with its own the simulated coupling does not settle"
    pair = device.characterize(ZHAO2025_TABLE7, trials=5)["cascaded propagation"]
    assert pair.numbers["load resistor"] == (1e9, "ohm") and pair.numbers[used] == (1e8, "ohm") and pair.curves["load"] == 1e8
    pair = device.characterize(ZHAO2025_FIG4, trials=5)["cascaded propagation"]
    assert pair.numbers["load resistor"] == (47e3, "ohm") and used not in pair.numbers and pair.curves["load"] == 47e3


@pytest.mark.parametrize("option", ["--volt", "--width"])
def test_pulses_of_a_fit_are_those_of_its_rows(option, tmp_path, capsys):
    assert cli.main(["characterize", "--fit", "m.csv", option, "0.9", "-o", str(tmp_path / "out")]) == cli.USAGE_ERROR
    assert f"{option} must not be used with --fit" in capsys.readouterr().err


@pytest.mark.parametrize("meets", [True, False])
def test_a_fit_is_as_asked_for_and_its_exit_code_tells_whether_it_meets(meets, tmp_path, monkeypatch, capsys):
    rows = "quantity,volt,width,gap,count,value,tolerance,r_control\nfirst_turn_on,0.8,0.1,0.1,1,0.03,1e-3,\n"
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    asked = {}

    monkeypatch.setattr(characterize, "can_draw", lambda what: False)

    def fit(p, measurements, **options):
        asked.update(options, p=p, rows=len(measurements))
        return SimpleNamespace(params=p, report=lambda: "as a table", as_dict=lambda: {"meets": meets})

    monkeypatch.setattr(sys.modules["lava_1m1t1r.device.fitting"], "fit", fit)
    options = ["--search", "3", "--seed", "5", "--free", "mu", "v0", "--preset", "ZHAO2025_FIG2_WIDE", "--json"]
    out = tmp_path / "out"
    assert cli.main(["characterize", "--fit", str(tmp_path / "rows.csv"), "-o", str(out), *options]) == (0 if meets else 1)
    assert asked == {"p": ZHAO2025_FIG2_WIDE, "rows": 1, "free": ["mu", "v0"], "search": 3, "seed": 5, "progress": True}
    assert json.loads(capsys.readouterr().out) == json.loads((out / "fit.json").read_text()) == {"meets": meets}
    assert (out / "fit.txt").read_text().strip() == "as a table"


def test_characteristics_are_of_the_seed_and_the_pulses_that_are_given(tmp_path, monkeypatch, capsys):
    asked = []

    def measured(p, volt, width, **options):
        asked.append((volt, width, options))
        return SimpleNamespace(volt=volt, width=width, text=str, as_dict=dict)

    monkeypatch.setattr(device, "characterize", measured)
    monkeypatch.setattr(device.energy, "scaling", lambda *arguments: asked.append(arguments) or {})
    monkeypatch.setattr(characterize, "can_draw", lambda what: False)
    pulses = ["--volt", "0.9", "--width", "2e-3", "--trials", "20", "--seed", "3"]
    assert cli.main(["characterize", "-o", str(tmp_path), *pulses, "--json"]) == 0
    own = device.spike_energy(ZHAO2025_FIG2, 0.9, 2e-3)
    assert asked == [(0.9, 2e-3, {"seed": 3, "progress": True, "trials": 20}), (own,)]
    energy = json.loads(as_json(own.as_dict()))
    assert json.loads(capsys.readouterr().out)["energy"] == energy
    page = (tmp_path / "characteristics.html").read_text()
    assert "The six characteristics of ZHAO2025_FIG2<" in page and "<img" not in page


def test_figures_and_energies_of_an_earlier_device_do_not_stand_beside_anothers_numbers(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    given = ["characterize", "-o", str(tmp_path), "--trials", "10", "--volt", "0.8", "--width", "1e-3"]
    assert cli.main(given) == 0
    drawn = {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".html")}
    assert len(drawn) == 9 and images(tmp_path / "characteristics.html") == 2
    monkeypatch.setattr(device.figures, "folder", stopped)
    assert cli.main([*given, "--set", "r_control=2e8"]) == 130
    assert {path.name for path in tmp_path.iterdir()} == {"characteristics.txt", "characteristics.json", "energy.txt"}
    former = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(device.energy, "scaling", stopped)
    assert cli.main([*given, "--set", "r_control=2.2e8"]) == 130
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == former


def test_the_papers_numbers_stand_on_a_page(tmp_path, monkeypatch, capsys):
    rows = [
        paper.Comparison("Fig. 1", "interval", "0.8 V", "ms", 4.0, 4.1, 0.4, "ZHAO2025_FIG2"),
        paper.Comparison("Fig. 2", "spikes", "1 V", "%", 50.0, 20.0, 3.0, "ZHAO2025_FIG3", "It <differs>."),
    ]
    monkeypatch.setattr(paper, "reproduce", lambda **options: rows)
    assert cli.main(["characterize", "--paper", "-o", str(tmp_path)]) == 0
    page, text = (tmp_path / "paper.html").read_text(), capsys.readouterr().out
    for row in paper.cells(rows)[0]:
        assert "".join(f"<td>{cell}</td>" for cell in row) in page and all(cell in text for cell in row)
    assert paper.cells(rows)[1] == ["[1] It <differs>."] and "<p>[1] It &lt;differs&gt;.</p>" in page
    assert "no [1]" in page and page.count("<td>no") == 1


def test_the_papers_trials_are_of_the_seed_that_is_given(tmp_path, monkeypatch, capsys):
    def reproduced(**options):
        raise InputError(str(options))

    monkeypatch.setattr(paper, "reproduce", reproduced)
    for given, options in ((["--seed", "3"], {"seed": 3}), (["--trials", "7"], {"seed": 0, "trials": 7})):
        assert cli.main(["characterize", "--paper", "-o", str(tmp_path / "out"), *given]) == cli.USAGE_ERROR
        assert str({"seed": options["seed"], "progress": True, **options}) in capsys.readouterr().err
