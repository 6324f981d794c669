"""The neuron written from the text of ``lava_1m1t1r/FIXED_POINT.md`` alone, in plain Python: the proof that the page is complete.

Nothing of the library is imported here. Section numbers are the page's.
"""

from itertools import product
from math import exp, expm1, floor, inf, log2, sinh, sqrt
from statistics import median

FULL = 1 << 22
DEVICE = "mu alpha beta gamma1 gamma2 lam r_on r_off c_gate r_control v_th v0 v_ref sigma1 sigma2".split()


def xor_shift(draw):  # section 5
    draw ^= draw << 13 & 0xFFFFFFFF
    draw ^= draw >> 17
    return draw ^ (draw << 5 & 0xFFFFFFFF)


def first_draw(seed, layer, n):
    wide = (1 << 64) - 1
    z = (seed % (1 << 32) << 32) ^ (layer << 20) ^ n
    z = (z + 0x9E3779B97F4A7C15) & wide
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & wide
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & wide
    z ^= z >> 31
    return z % (1 << 32) or 1


def lost(rate, h):
    return -expm1(-rate * h)


def decay_pair(share):  # section 2
    if share == 0:
        return 0, 12
    e = floor(-log2(share))
    if round(share * 2.0 ** (12 + e)) >= 1 << 12:
        e -= 1
    e = max(e, 0)
    return min(round(share * 2.0 ** (12 + e)), 4095), 12 + e


def law(d, w, v_ref):
    if w == inf:
        return d
    a = v_ref / w
    return v_ref * sinh(d / w) / sinh(a) if a < 30 else v_ref * (exp(d / w - a) - exp(-d / w - a))


def plain(values):  # section 3
    counts = [round(y) for y in values]
    return [(a, b - a, 0) for a, b in zip(counts, counts[1:], strict=False)]


def floating(values):
    segments = []
    for a, b in zip(values, values[1:], strict=False):
        larger = max(a, b, 1e-30)
        e = floor(log2(larger))
        if round(larger * 2.0 ** (16 - e)) >= 1 << 17:
            e += 1
        base = round(a * 2.0 ** (16 - e))
        segments.append((base, round(b * 2.0 ** (16 - e)) - base, e))
    return segments


def resistance(x, d):
    return d["r_on"] * x + d["r_off"] * expm1((1 - x) / d["lam"]) / expm1(1 / d["lam"])


def drop(k, d, volt):
    r = min(k / 64, 0.985)
    f, g, low = max(0.98 - r, 0), 0.0, volt
    t = d["r_on"] * d["c_gate"] / 50
    loss = d["gamma1"] + d["beta"]
    for _ in range(int(min(30 / d["gamma1"] / t, 2e6))):
        growth = d["mu"] * law(max(volt - g, 0), d["v0"], d["v_ref"]) / (d["alpha"] + abs(1 - f - r))
        f_new = min(max(f + t * (growth - loss * f), 0), 1)
        r_new = min(r + t * (d["beta"] * f - d["gamma2"] * r), 1)
        c = 1 / (resistance(min(max(f + r, 0), 1), d) * d["c_gate"])
        rate = c + 1 / (d["r_control"] * d["c_gate"])
        g = c * volt / rate + (g - c * volt / rate) * exp(-rate * t)
        f, r = min(f_new, 1 - r_new), r_new
        if g > 0.05 * volt and volt - g > low:
            break
        low = volt - g
    return low


def at(segment, u, bits):
    return segment[0] + (segment[1] * u >> bits)


def place(gap):
    w = gap + 1024
    octave = w.bit_length() - 1 - 10
    w <<= 12 - octave
    return 64 * octave + (w >> 16 & 63), w & 0xFFFF


def decay(x, m, s):  # section 4
    return x - (x * m + (1 << s) - 1 >> s)


class Layer:
    """A layer of neurons. ``devices``: one dict a neuron with the fields of DEVICE."""

    def __init__(self, devices, dt, substeps, v_unit, v_in_max, seed=0, layer=0):
        h = dt / substeps
        self.substeps = substeps
        self.v_max = round(4096 * v_in_max / v_unit)
        self.middle = {name: median([d[name] for d in devices]) for name in DEVICE}
        shared, w = devices[0], self.middle["v0"]
        self.neurons = [self._constants(d, h, w, v_unit) for d in devices]
        self.noisy = any(d["sigma1"] or d["sigma2"] for d in devices)
        self.top = self.v_max * max(n["stretch"] for n in self.neurons) >> 16
        self.q = min(max(floor(log2(sqrt(8e-4) * min(w, 1000) * 4096 / v_unit)), 0), 6)
        knots = range((self.top >> self.q) + 2)
        self.field = floating([min(law((k << self.q) * v_unit / 4096, w, shared["v_ref"]), 2.0**126) for k in knots])
        scale = [2.0 ** (10 + (k >> 6)) * (1 + (k & 63) / 64) for k in range(833)]
        gaps = [max(w_k - 1024, 0) / FULL for w_k in scale]
        self.inverse = floating([1 / (shared["alpha"] + gap) for gap in gaps])
        closed = [resistance(min(max(1 - gap, 0), 1), shared) * shared["c_gate"] for gap in gaps]
        self.charge = plain([2**20 * lost(1 / rc, h) for rc in closed])
        self.root = plain([64 * sqrt(FULL * gap) for gap in gaps])
        volt = min(v_in_max, max(1.0, max(d["v_ref"] for d in devices)))
        drops = [2**18 * drop(k, self.middle, volt) / v_unit for k in range(65)]
        self.drop = plain(drops + drops[-1:])
        self.start = [(0, 0, 0, first_draw(seed, layer, n)) for n in range(len(devices))]
        self.reset()

    def reset(self):
        self.states = list(self.start)

    @staticmethod
    def _constants(d, h, w, v_unit):
        loss = d["gamma1"] + d["beta"]
        g = d["mu"] * lost(loss, h) / loss
        stretch = 1 << 16
        if d["v0"] != inf:
            stretch = round((1 << 16) * w / d["v0"])
            g *= d["v_ref"] / law(d["v_ref"] * w / d["v0"], w, d["v_ref"])
        exponent = floor(log2(g)) + 1
        c = round((1 << 16) * g * 2.0**-exponent)
        gain, shift = (1 << 15, 10 - exponent) if c == 1 << 16 else (c, 11 - exponent)
        return {
            "f": decay_pair(lost(loss, h)),
            "r": decay_pair(lost(d["gamma2"], h)),
            "t": decay_pair(d["beta"] * lost(d["gamma2"], h) / d["gamma2"]),
            "g": decay_pair(lost(1 / (2 * d["r_control"] * d["c_gate"]), h)),
            "stretch": stretch,
            "gain": gain,
            "shift": shift,
            "vth": round((1 << 18) * d["v_th"] / v_unit),
            "n": [round(sqrt(FULL * s) * 2**14 / sqrt(21845)) for s in (d["sigma1"], d["sigma2"])],
        }

    def _grown(self, x, mantissa, shift):
        k, u = place(FULL - x)
        z = min(max(shift - self.inverse[k][2], 8), 47)
        return min(mantissa * at(self.inverse[k], u, 16) >> z, 1 << 23)

    def _noise(self, change, draw, n):
        k, u = place(min(abs(change), FULL))
        z = at(self.root[k], u, 16) * n >> 10
        return z * (sum(draw.to_bytes(4, "little")) - 510) >> 10

    def _substep(self, c, state, v):
        f, r, g, draw = state
        tm, ts = c["t"]
        d = max((v << 6) - g >> 6, 0)
        p = min(d * c["stretch"] >> 16, self.top)
        segment = self.field[p >> self.q]
        mantissa, shift = at(segment, p & (1 << self.q) - 1, self.q) * c["gain"] >> 15, c["shift"] - segment[2]
        fk, rk = decay(f, *c["f"]), decay(r, *c["r"])
        e1 = self._grown(f + r, mantissa, shift)
        e2 = self._grown(min(fk + e1 + rk + (f * tm >> ts), FULL), mantissa, shift)
        f1 = fk + (e1 + e2 >> 1)
        r1 = rk + ((f + min(f1, FULL) >> 1) * tm >> ts)
        if self.noisy:
            a = xor_shift(draw)
            draw = xor_shift(a)
            f1, r1 = max(f1 + self._noise(f1 - f, a, c["n"][0]), 0), max(r1 + self._noise(r1 - r, draw, c["n"][1]), 0)
        r2 = min(r1, FULL)
        f2 = min(f1, FULL - r2)
        x = f2 + r2
        g1 = decay(g, *c["g"])
        shut = x >= FULL
        k, u = place(0 if shut else FULL - (f + r + x >> 1))
        above = max(g1 - (v << 6), 0)
        below = max((v << 6) - (at(self.drop[r2 >> 16], r2 & 0xFFFF, 16) if shut else 0) - g1, 0)
        moved = (above + below) * at(self.charge[k], u, 16) >> 20
        g2 = g1 - moved if above else g1 + moved
        fired, closed = g2 > c["vth"] and g <= c["vth"], x >= FULL and f + r < FULL
        return (f2, r2, decay(g2, *c["g"]), draw), fired, closed

    def step(self, a_in):
        """One network step under ``a_in`` (one int a neuron): per neuron (spike, turn_on, filament, residue, gate)."""
        out = []
        for n, (c, a) in enumerate(zip(self.neurons, a_in, strict=True)):
            v = min(min(max(a, 0), (self.v_max >> 6) + 1) << 6, self.v_max)
            state, spike, turn_on = self.states[n], False, False
            for _ in range(self.substeps):
                state, fired, closed = self._substep(c, state, v)
                spike, turn_on = spike or fired, turn_on or closed
            self.states[n] = state
            out.append((spike, turn_on, *state[:3]))
        return out


def unrolled(kernels, inputs, features, kernel, stride, padding, dilation, groups, margin):
    """W (N rows of C) of a convolution of the page's section 6, from nested lists."""
    (channels, height, breadth), (kh, kw), own = inputs, kernel, inputs[0] // groups
    sizes = zip((height, breadth), kernel, stride, padding, dilation, margin, strict=True)
    rows, columns = ((size + 2 * u + m - d * (k - 1) - 1) // s + 1 for size, k, s, u, d, m in sizes)
    matrix = []
    for o, p, q in product(range(features), range(rows), range(columns)):
        row = [0] * (channels * height * breadth)
        for c, i, j in product(range(own), range(kh), range(kw)):
            y, x = p * stride[0] + i * dilation[0] - padding[0], q * stride[1] + j * dilation[1] - padding[1]
            if 0 <= y < height and 0 <= x < breadth:
                one = kernels[o if len(kernels) > 1 else 0][c][i][j]  # a pooling writes its kernel once
                row[((o * groups // features * own + c) * height + y) * breadth + x] += one
        matrix.append(row)
    return matrix


def layer_of(params, size, seed=0, layer=0):
    """A Layer from anything with the field names of the page: ``params.device`` and the step's own."""
    values = {name: getattr(params.device, name) for name in DEVICE}
    devices = [{name: float(v if isinstance(v, float) else v.reshape(-1)[n]) for name, v in values.items()} for n in range(size)]
    return Layer(devices, params.dt, params.substeps, params.v_unit, params.v_in_max, seed, layer)
