"""Figures take axes and give axes; the report is one page without outside help."""

import io
import json

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")

from lava_1m1t1r import plot  # noqa: E402
from lava_1m1t1r._support.files import as_json, write_json  # noqa: E402
from lava_1m1t1r.errors import InputError  # noqa: E402
from lava_1m1t1r.report import Page  # noqa: E402


def test_raster_draws_one_mark_a_spike(rng):
    import matplotlib.pyplot as plt

    spikes = rng.random((30, 5)) < 0.3
    _, ax = plt.subplots()
    assert plot.raster(spikes, 1e-3, ax) is ax
    assert np.allclose(ax.collections[0].get_offsets(), np.argwhere(spikes))  # steps of 1 ms
    assert np.allclose(plot.raster(spikes, 2e-3).collections[0].get_offsets(), np.argwhere(spikes) * [2, 1])
    with pytest.raises(InputError, match=r"spikes must have the shape \(T, N\)"):
        plot.raster(spikes[0])
    ax.set_yticks([])
    assert plot.raster(spikes, 1e-3, ax) is ax and len(ax.get_yticks()) == 0  # the caller's own


def test_states_histogram_confusion_energy_hysteresis():
    time = np.arange(5) * 1e-3
    ax = plot.states(time, {"filament": np.arange(5), "residue": np.ones(5)}, scale={"residue": 3})
    assert [line.get_label() for line in ax.lines] == ["filament", "residue"]
    assert np.allclose([line.get_xydata().T for line in ax.lines], [[time * 1e3, np.arange(5)], [time * 1e3, np.full(5, 3)]])
    assert len(plot.states(time, {str(n): np.zeros(5) for n in range(15)}).lines) == 15
    ax = plot.isi_histogram(np.array([0.0, 0.002, 0.004, 0.010]), bins=[1, 3, 7])
    assert [(bar.get_x(), bar.get_height()) for bar in ax.patches] == [(1, 2), (3, 1)]  # ms
    ax = plot.isi_histogram([[0.010, 0.004, 0.0], [0.002, 0.0]], bins=[1, 3, 7])  # times in any order, of two neurons
    assert [bar.get_height() for bar in ax.patches] == [1, 2]
    ax = plot.isi_histogram(0.086 + np.arange(50) * 4e-3)  # alike, but for rounding
    assert sorted(bar.get_height() for bar in ax.patches)[-2:] == [0, 49] and 3.4 < ax.get_xlim()[0] < ax.get_xlim()[1] < 4.6
    ax = plot.confusion(np.array([[3, 1], [0, 2]]), ("a", "b"))
    assert np.allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [("3", (0, 0)), ("1", (1, 0)), ("0", (0, 1)), ("2", (1, 1))]
    assert [[tick.get_text() for tick in ticks] for ticks in (ax.get_xticklabels(), ax.get_yticklabels())] == [["a", "b"]] * 2
    assert not plot.confusion(np.eye(20)).texts
    assert [len(plot.confusion(np.eye(size)).get_xticks()) for size in (40, 41, 79, 81)] == [40, 21, 40, 27]  # names apart
    names = ["$\\foo$", "x_{$", "c"]  # no formulas: a user's
    ax = plot.confusion(np.eye(3), names)
    ax.figure.savefig(io.BytesIO())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == names
    ax = plot.energy_split({"gate": 1e-12, "R_c": 2e-12})
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([1, 2])
    assert len(plot.energy_split({str(k): 1.0 for k in range(9)}).patches) == 9
    with pytest.raises(InputError, match="confusion|counts"):
        plot.confusion(np.zeros((2, 3)))


def test_hysteresis_gives_each_way_its_colour():
    ax = plot.hysteresis([0, 0.5, 1, 1, 0.5, 0, 0.5], [0, 1e-9, 1e-6, 1e-6, -1e-6, 1e-9, 1e-9])
    ways = [(line.get_xdata().tolist(), line.get_color()) for line in ax.lines]
    assert [x for x, _ in ways] == [[0, 0.5, 1, 1], [1, 0.5, 0], [0, 0.5]]
    assert ways[0][1] == ways[2][1] != ways[1][1]
    assert min(line.get_ydata().min() for line in ax.lines) == 1e-15
    assert len(ax.get_legend().get_texts()) == 2
    with pytest.raises(InputError, match="shape of voltage"):
        plot.hysteresis([0, 1], [0, 1, 2])


def test_measurement_stands_beside_simulation():
    ax = plot.beside([1, 2], [3, 4], [3.1, 4.2], tolerance=[0.1, 0.1])
    assert np.allclose([line.get_xydata() for line in ax.lines[:2]], [[[1, 3.1], [2, 4.2]], [[1, 3], [2, 4]]])
    assert np.allclose(ax.collections[0].get_segments(), [[[1, 2.9], [1, 3.1]], [[2, 3.9], [2, 4.1]]])
    with pytest.raises(InputError, match="one shape"):
        plot.beside([1, 2], [3, 4], [3])
    for tolerance in ([0.1], [0.1, -0.1], [0.1, np.inf]):
        with pytest.raises(InputError, match="tolerance must be finite and >= 0, one or"):
            plot.beside([1, 2], [3, 4], [3, 4], tolerance=tolerance)


def test_report_escapes_and_stands_alone(tmp_path):
    import matplotlib.pyplot as plt

    report = Page("a <b> & c", "lead")
    report.section("one", "first\n\nsecond")
    report.table(("x", "y"), [(1, "<script>")])
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    report.figure(figure, "caption")
    page = report.save(tmp_path / "report.html").read_text()
    assert "a &lt;b&gt; &amp; c" in page and "<script>" not in page
    assert 'src="data:image/png;base64,' in page and "prefers-color-scheme" in page and "viewport" in page


def test_every_part_of_a_report_escapes_what_it_is_given():
    from matplotlib.figure import Figure

    text = '<b> & "c"'
    report = Page(text, text)
    report.section(text, text)
    report.note(text)
    report.pre(text)
    report.numbers({text: text})
    report.table((text,), [(text,)])
    report.figure(Figure(), text)
    assert text not in report.source and "<b> &" not in report.source
    assert report.source.count("&lt;b&gt; &amp; &quot;c&quot;") == 13  # a title stands twice, a caption beside its figure's alternative


def test_fields_are_told_to_six_digits():
    report = Page("title")
    report.fields({"mu": 1234.56789, "substeps": 4, "name": "x"})
    assert "<td>mu</td><td>1234.57</td>" in report.source and "<td>substeps</td><td>4</td>" in report.source


def test_names_that_are_no_text_are_shown_as_far_as_they_are(tmp_path):
    report = Page("1M1T1R on caf\udce9", "lead")  # as Python has the bytes of a file's name that are no UTF-8
    assert "1M1T1R on caf\\udce9" in report.save(tmp_path / "report.html").read_text()


def test_a_report_leaves_the_figures_of_others_alone():
    """Of pyplot it closes the figure that it is given; figures that are no pyplot's need none."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    others, own = plt.figure(), plt.figure()
    backend, report = plt.get_backend(), Page("title")
    for figure in (own, Figure()):
        report.figure(figure, "caption")
    assert plt.fignum_exists(others.number) and not plt.fignum_exists(own.number) and plt.get_backend() == backend
    plt.close(others)


def test_what_cannot_be_json_is_named(tmp_path):
    values = {"a": [1, {"b": np.arange(2)}], "path": tmp_path, "none": None, "x": float("nan")}
    assert json.loads(as_json(values)) == {"a": [1, {"b": [0, 1]}], "path": str(tmp_path), "none": None, "x": None}
    with pytest.raises(InputError, match=r"values\['a'\]\[1\]\['b'\] must be a number, text.*got <object"):
        write_json(tmp_path / "results.json", {"a": [1, {"b": object()}]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: plot.states(np.zeros((2, 2, 2)), {"a": np.zeros((2, 2, 2))}), r"time \[s\] must have the shape \(T,\)"),
        (lambda: plot.raster(np.eye(3), colour="no colour"), "colour must be a colour"),
        (lambda: plot.isi_histogram([0, 1, 3], colour=5), "colour must be a colour"),
        (lambda: plot.isi_histogram([0, 1, 3], bins=[1, 1, 2]), "bins .* must be a number of bins, or rising edges"),
        (lambda: plot.raster(np.zeros((3, 0))), "spikes must hold at least one neuron"),
        (lambda: plot.raster([[np.nan]]), "spikes must hold at least one neuron, and be finite"),
        (lambda: plot.confusion([[np.nan, 1], [1, 1]]), "counts must be finite"),
        (lambda: plot.confusion([[-1, 1], [1, 1]]), "counts must be >= 0"),
        (lambda: plot.confusion(np.zeros((0, 0))), "counts must have the shape"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw, text):
    with pytest.raises(InputError, match=text):
        draw()
