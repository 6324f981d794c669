"""The report in a real browser: shown whole, in both colour schemes, on a phone, without errors and without the network."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="needs chromium on PATH"), pytest.mark.timeout(240)]

SCHEMES = {"light": (255, 255, 255), "dark": (18, 22, 27)}
PHONE = 390  # pixels
MEASURE = """
const page = document.querySelector('iframe').contentDocument, root = page.documentElement;
const images = [...page.images], view = page.defaultView;
document.body.textContent = 'MEASURED ' + JSON.stringify({
  wide: root.scrollWidth, seen: root.clientWidth, text: page.body.innerText,
  images: images.map(i => i.complete && i.naturalWidth), alternatives: images.every(i => i.alt.length > 0),
  sticking_out: [...page.querySelectorAll('body > *')].filter(e => e.getBoundingClientRect().right > root.clientWidth).length,
  back: view.getComputedStyle(page.body).backgroundColor, ink: view.getComputedStyle(page.body).color,
  letters: parseFloat(view.getComputedStyle(page.body).fontSize), fetched: view.performance.getEntriesByType('resource').map(e => e.name),
}) + ' END';
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    import matplotlib.pyplot as plt

    from lava_1m1t1r.report import Page

    report = Page("Accuracy <of> a network & what it took", "A lead with averylongwordthatnothingbreaks" + "x" * 200)
    report.numbers({"accuracy, fixed point": "78.3%", "chance": "5%", "spikes an utterance": "1290"})
    report.section("Tables", "First paragraph.\n\nSecond paragraph with <img src=http://127.0.0.1:9/x.png> in it.")
    report.table([f"column {i} of many" for i in range(12)], [[f"{i} {j}" for i in range(12)] for j in range(3)])
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    report.figure(figure, "A rising line.")
    report.pre("a line of a terminal that is wider than any phone " * 5)
    report.note("Small print.")
    return report.save(tmp_path_factory.mktemp("report") / "report.html")


def browse(folder, target, *options, scheme):
    dark = ("--blink-settings=preferredColorScheme=0",) if scheme == "dark" else ()
    quiet = (
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}",
    )
    command = [BROWSER, "--headless=new", *quiet, *dark, "--enable-logging=stderr", *options, target.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stderr[-1000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    return done.stdout


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_phone_shows_all_of_it(page, scheme, tmp_path):
    frame = html.escape(page.read_text(encoding="utf-8"), quote=True)
    outer = tmp_path / "phone.html"
    iframe = f'<iframe width="{PHONE}" height="800" style="border:0" srcdoc="{frame}"></iframe>'
    outer.write_text(f'<!doctype html><meta charset="utf-8"><body>{iframe}<script>onload = () => {{{MEASURE}}}</script></body>')
    dom = browse(tmp_path, outer, "--dump-dom", "--virtual-time-budget=5000", "--window-size=800,900", scheme=scheme)
    found = json.loads(html.unescape(re.search(r"MEASURED (.*) END", dom, re.S)[1]))
    assert found["seen"] == PHONE and found["wide"] <= PHONE and found["sticking_out"] == 0
    assert len(found["images"]) == 1 and found["images"][0] > 300 and found["alternatives"]
    assert found["fetched"] == []
    assert found["letters"] >= 16
    for words in ("Accuracy <of> a network & what it took", "78.3%", "chance", "column 11 of many", "A rising line.", "Small print."):
        assert words in found["text"]
    back, ink = (np.array([int(n) for n in re.findall(r"\d+", found[name])]) for name in ("back", "ink"))
    assert tuple(back) == SCHEMES[scheme]
    assert abs(int(back.sum()) - int(ink.sum())) > 3 * 128  # ink stands out from the paper


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_painted(page, scheme, tmp_path):
    browse(tmp_path, page, f"--screenshot={tmp_path / 'seen.png'}", "--window-size=1000,1200", scheme=scheme)
    seen = matplotlib.image.imread(tmp_path / "seen.png")[..., :3] * 255
    assert seen.shape[:2] == (1200, 1000)
    paper = np.all(np.abs(seen - SCHEMES[scheme]) < 2, axis=-1)
    assert 0.3 < paper.mean() < 0.95  # most is paper, and something is written on it
    assert np.any(np.abs(seen - SCHEMES[scheme]).sum(-1) > 300)
