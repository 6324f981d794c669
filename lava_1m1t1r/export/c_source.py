"""Target C: one header and one source of freestanding C99, integers only, equal to the fixed-point step bit for bit."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from .. import __version__, arithmetic
from ..arithmetic import GROWTH_MAX, ONE, unpack
from ..noise import SPLITMIX_FACTORS, SPLITMIX_STEP, bases
from ..program import FixedProgram
from ..sums import MAX_COUNT
from .plan import Plan, PlanLayer

ENTRY_BYTES, CONSTANTS_BYTES, STATE_BYTES = 8, 32, 12
"""Sizes of the structs in templates/net.c [byte], by which reports count memory; a compiler that has others refuses the source."""
_CONSTANTS = (
    "stretch",
    "v_th",
    "noise_filament",
    "noise_residue",
    "gain",
    "filament_decay",
    "residue_decay",
    "transfer",
    "gate_decay",
    "growth_shift",
    "filament_shift",
    "residue_shift",
    "transfer_shift",
    "gate_shift",
)  # in the order of the struct in templates/net.c

_NOISE_PARTS = {
    "NOISE": """
#define NOISE_SHIFT @NOISE_SHIFT@u
#define BYTES_MEAN @BYTES_MEAN@

/* Next state of a xorshift generator, which is also the number drawn. */
static uint32_t draw(uint32_t state)
{
    state ^= state << 13;
    state ^= state >> 17;
    return state ^ state << 5;
}

/* Random part of a state's change, standard deviation sqrt(sigma |change|), added to the state. */
static uint32_t jittered(const layer *l, uint32_t before, uint32_t after, uint32_t drawn, uint32_t gain)
{
    uint32_t fraction;
    const uint32_t change = smaller(after < before ? before - after : after - before, ONE);
    const entry *e = place(l->root, change, &fraction);
    const int64_t spread = (int64_t)(((uint64_t)between(e, fraction, FRACTION) * gain) >> NOISE_SHIFT);
    const int32_t bytes = (int32_t)((drawn & 255u) + (drawn >> 8 & 255u) + (drawn >> 16 & 255u) + (drawn >> 24)) - BYTES_MEAN;
    const int64_t moved = (int64_t)after + floored(spread * bytes, NOISE_SHIFT);
    return moved < 0 ? 0u : (uint32_t)moved;
}
static uint8_t ready; /* 1: the generators have been rewound */
""",
    "FIRST": """
    if (!ready) { /* a generator of 0 would stay there, and its noise at its least */
        @prefix@_reset();
    }""",
    "IS_READY": """
    ready = 1u;""",
    "JITTER": """    if (generator) {
        const uint32_t first = draw(*generator);
        *generator = draw(first);
        filament = jittered(l, s->filament, filament, first, p->noise_filament);
        residue = jittered(l, s->residue, residue, *generator, p->noise_residue);
    }
""",
    "REWIND": """
        for (n = 0; l->generator && n < l->outputs; n++) {
            /* SplitMix64's finaliser of (seed, layer, neuron), never 0. */
            uint64_t z = ((uint64_t)l->noise_high << 32 | l->noise_low) ^ n;
            z += UINT64_C(@SPLITMIX_STEP@);
            z = (z ^ z >> 30) * UINT64_C(@FIRST_FACTOR@);
            z = (z ^ z >> 27) * UINT64_C(@SECOND_FACTOR@);
            z ^= z >> 31;
            l->generator[n] = (uint32_t)z ? (uint32_t)z : 1u;
        }""",
    "GENERATOR_ARG": ", uint32_t *generator",
    "GENERATOR_USE": ", l->generator ? l->generator + n : 0",
}
"""What the templates hold for networks with noise alone, by its place in them."""
_LINE_PARTS = {
    "LINES": """/* delay lines: line n carries input n mod the number of inputs, so many steps later */
@LINE_DELAYS@
/* Spike counts of the last steps, and the step that comes next among them. */
static uint16_t gone[@KEPT@][@INPUTS@];
static uint32_t coming;

/* What arrives on a delay line in the step that was kept last. */
static uint32_t on_line(uint32_t n)
{
    const uint32_t late = line_delay[n] + 1u;
    return gone[coming < late ? coming + @KEPT@u - late : coming - late][n % @INPUTS@u];
}
""",
    "KEEP": """
    for (n = 0; n < @PREFIX@_INPUTS; n++) {
        gone[coming][n] = input[n];
    }
    coming = coming + 1u < sizeof gone / sizeof gone[0] ? coming + 1u : 0u;""",
    "FORGET": """
    for (k = 0; k < sizeof gone / sizeof gone[0]; k++) {
        for (n = 0; n < @PREFIX@_INPUTS; n++) {
            gone[k][n] = 0;
        }
    }
    coming = 0;""",
    "ONCE": "\n * Delay lines are inside: give each spike once.",
}
"""And for those with delay lines alone."""


_ARITHMETIC = (
    "STATE_BITS",
    "GATE_EXTRA",
    "ACT_SHIFT",
    "STRETCH_BITS",
    "GAIN_BITS",
    "CHARGE_BITS",
    "KNOTS",
    "FINEST",
    "MIN_SHIFT",
    "MAX_SHIFT",
    "NOISE_SHIFT",
    "BYTES_MEAN",
)  # constants of arithmetic.py that the sources define


class Stored(NamedTuple):
    """Weights of N neurons with C inputs as the sources hold them."""

    weight: np.ndarray  # int8, a row of N an input; or those other than 0 alone, row after row
    target: np.ndarray | None  # of the latter: the neuron that each of them reaches, of receiver_type
    first: np.ndarray | None  # and (C + 1,) uint32, where each input's begin

    @property
    def bytes(self) -> int:
        """Size of the stored weights [byte]."""
        return sum(part.nbytes for part in self if part is not None)


def stored(weight: np.ndarray, widest: int) -> Stored:
    """Weights as (N, C) int8, or (1,), with their zeros or without: whichever takes less memory, if the widest layer has ``widest``
    neurons."""
    rows = np.ascontiguousarray(weight.T)
    dense = Stored(rows.reshape(-1), None, None)
    if rows.ndim == 1:
        return dense
    row, column = np.nonzero(rows)
    if not row.size:  # C has no arrays without elements: a zero stands in
        row, column = np.zeros((2, 1), np.intp)
    first = np.searchsorted(row, np.arange(len(rows) + 1)).astype(np.uint32)
    sparse = Stored(rows[row, column], column.astype(receiver_type(widest).removesuffix("_t")), first)
    return min(dense, sparse, key=lambda found: found.bytes)


def receiver_type(widest: int) -> str:
    """C type that numbers the neurons of a layer of ``widest``."""
    return next(f"uint{bits}_t" for bits in (8, 16) if widest <= 1 << bits)


def input_limit(plan: Plan) -> int:
    """Largest input value for which no sum of the first layer can leave 32 bits, at most that of the fast path.

    Layers after it receive spikes: 2^16 of them from either side, weights of 2^8 counts and a bias of 2^15 need 27 bits.
    """
    return min(MAX_COUNT, plan.layers[0].sums.limit())


def history_bits(plan: Plan) -> int:
    """Width of the word that holds a neuron's last spikes."""
    return next(b for b in (8, 16, 32, 64) if b >= max(layer.history for layer in plan.layers))


def sources(plan: Plan, title: str, name: str) -> dict[str, str]:
    """Text of ``NAME.h``, ``NAME.c`` and of a small host program that runs them on files.

    Parameters
    ----------
    plan : Plan
        A network that keeps the rules of this target.
    title : str
        First line of both files.
    name : str
        Prefix of everything the header declares, and of the files.

    Returns
    -------
    dict of str
        File name to text.
    """
    noisy = any(layer.noisy for layer in plan.layers)
    text = {
        "TITLE": title,
        "VERSION": __version__,
        "SOURCE": plan.source.replace("@", "?"),  # it marks what a template leaves open
        "DT": f"{plan.dt:g}",
        "FILE": name,
        "GUARD": f"{name.upper()}_H",
        "PREFIX": name.upper(),
        "prefix": name,
        "LAYERS": str(len(plan.layers)),
        "INPUTS": str(plan.channels),
        "KEPT": str(lines_length(plan)),
        **(dict.fromkeys(_LINE_PARTS, "") if plan.lines is None else _LINE_PARTS),
        "LINE_DELAYS": "" if plan.lines is None else _declared("uint8_t", "line_delay", plan.lines),
        "INPUT": "input[n]" if plan.lines is None else "on_line(n)",
        "INPUT_ARG": ", const uint16_t *input" if plan.lines is None else "",
        "INPUT_USE": ", input" if plan.lines is None else "",
        "OUTPUTS": str(plan.outputs),
        "INPUT_LIMIT": str(input_limit(plan)),
        "OUTPUT_TYPE": "uint8_t" if plan.spiking else "int32_t",
        "OUTPUT_WORDS": "spikes (0 or 1)" if plan.spiking else "weighted sums",
        "OUTPUT_EXPRESSION": "(uint8_t)arrived(l, l->delay, n)" if plan.spiking else "sums[n]",
        "HISTORY": f"uint{history_bits(plan)}_t",
        "WIDEST": str(plan.widest),
        "ENTRY_BYTES": str(ENTRY_BYTES),
        "CONSTANTS_BYTES": str(CONSTANTS_BYTES),
        "STATE_BYTES": str(STATE_BYTES),
        "RECEIVER": receiver_type(plan.widest),
        "CLASSES": _classes(plan),
        "NUMBERS": "\n".join(f" *   {k}: {layer.name}" for k, layer in enumerate(plan.layers)),
        "LATE": str(sum(layer.program is not None for layer in plan.layers)),
        "DATA": _data(plan, name),
        **{constant: str(getattr(arithmetic, constant)) for constant in _ARITHMETIC},
        "GROWTH_GAPS": str(GROWTH_MAX // ONE),
        **(_NOISE_PARTS if noisy else dict.fromkeys(_NOISE_PARTS, "")),
        "SPLITMIX_STEP": f"0x{SPLITMIX_STEP:016X}",
        "FIRST_FACTOR": f"0x{SPLITMIX_FACTORS[0]:016X}",
        "SECOND_FACTOR": f"0x{SPLITMIX_FACTORS[1]:016X}",
    }
    return {f"{name}.h": _filled("net.h", text), f"{name}.c": _filled("net.c", text), "host/main.c": _filled("host.c", text)}


def _filled(template: str, text: dict[str, str]) -> str:
    source = (resources.files(__package__) / "templates" / template).read_text()
    for _ in range(2):  # parts hold names too
        source = re.sub(r"@(\w+)@", lambda match: text[match[1]], source)
    return source


def _classes(plan: Plan) -> str:
    """Macro with the names of the outputs, which takes no memory where it is not used."""
    if not plan.classes:
        return ""
    use = "/* Names of the outputs in UTF-8, for static const char *const names[@PREFIX@_OUTPUTS] = @PREFIX@_CLASSES; */"
    return "\n".join(["", use, "#define @PREFIX@_CLASSES { \\", *(f"    {_literal(name)}, \\" for name in plan.classes), "}", ""])


def _literal(text: str) -> str:
    """String literal of C. Of what is special to C or to the templates, in octal digits, there is nothing that ends a line or a comment."""
    plain = set(range(32, 127)) - set(b'"\\?*/@')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def lines_length(plan: Plan) -> int:
    """Number of input steps that the delay lines hold; 0 without them."""
    return 0 if plan.lines is None else int(plan.lines.max()) + 1


def _data(plan: Plan, name: str) -> str:
    lines: list[str] = []
    tables: dict[bytes, str] = {}
    rows = []
    for k, layer in enumerate(plan.layers):
        lines.append(f"/* layers[{k}]: {layer.name} */")
        fields: dict[str, Any] = {"inputs": f"{layer.inputs}u", "outputs": f"{layer.outputs}u", "single": f"{int(layer.single)}u"}
        fields["input"] = _synapses(lines, layer.weight, layer.weight_shift, f"{k}", plan.widest)
        if layer.weight_rec is not None:
            fields["recurrent"] = _synapses(lines, layer.weight_rec, layer.rec_shift, f"rec_{k}", plan.widest)
        if layer.bias is not None:
            fields["bias"] = _array(lines, "int32_t", f"bias_{k}", layer.bias)
        for field in ("delay", "delay_rec"):
            if np.any(getattr(layer, field)):
                fields[field] = _array(lines, "uint8_t", f"{field}_{k}", getattr(layer, field))
        if layer.program is not None:
            fields |= _neurons(lines, tables, layer, layer.program, k, name)
        rows.append("    {" + ", ".join(f".{key} = {value}" for key, value in fields.items()) + "},")
    return "\n".join([*lines, f"static const layer layers[{len(rows)}] = {{", *rows, "};"])


def _synapses(lines: list[str], weight: np.ndarray, shift: int, suffix: str, widest: int) -> str:
    found = stored(weight, widest)
    fields = [f".weight = {_array(lines, 'int8_t', f'weight_{suffix}', found.weight)}", f".shift = {shift}u"]
    if found.target is not None and found.first is not None:
        fields.append(f".target = {_array(lines, receiver_type(widest), f'target_{suffix}', found.target)}")
        fields.append(f".first = {_array(lines, 'uint32_t', f'first_{suffix}', found.first)}")
    return "{" + ", ".join(fields) + "}"


def _neurons(lines: list[str], tables: dict[bytes, str], layer: PlanLayer, p: FixedProgram, k: int, name: str) -> dict[str, Any]:
    n = layer.outputs
    columns = np.stack([np.asarray(getattr(p, field)) for field in _CONSTANTS], axis=1)
    columns = columns[:1] if p.alike else columns
    lines.append(f"static const constants neuron_{k}[{len(columns)}] = {{")
    lines += ["    {" + ", ".join(str(int(v)) for v in row) + "}," for row in columns] + ["};"]
    lines += [f"static {name}_state state_{k}[{n}];", f"static history past_{k}[{n}];"]
    fields: dict[str, Any] = {"neuron": f"neuron_{k}", "per_neuron": "0u" if p.alike else "1u"}
    fields |= {"v_max": f"{layer.v_max}u", "substeps": f"{layer.substeps}u"}
    fields |= {"field_shift": f"{int(p.field_shift)}u", "field_top": f"{int(p.field_top)}u"}
    for curve, packed in layer.tables.items():
        key = packed.tobytes()
        if key not in tables:
            tables[key] = f"{curve}_{k}"
            base, step, exponent = unpack(packed)
            first = (base | ((exponent & 255) << 24)).astype(np.int64)
            entries = [f"{{{b}u, {s}}}" for b, s in zip(first.tolist(), step.tolist(), strict=True)]
            lines.append(f"static const entry {tables[key]}[{packed.size}] = {{\n{_wrapped(entries)}\n}};")
        fields[curve] = tables[key]
    fields |= {"state": f"state_{k}", "past": f"past_{k}"}
    if layer.noisy:
        lines.append(f"static uint32_t generator_{k}[{n}];")
        high, low = divmod(int(bases(np.array([layer.seed]), layer.index)[0]), 1 << 32)
        fields |= {"generator": f"generator_{k}", "noise_high": f"{high}u", "noise_low": f"{low}u"}
    return fields


def _array(lines: list[str], kind: str, name: str, values: np.ndarray) -> str:
    lines.append(_declared(kind, name, values))
    return name


def _declared(kind: str, name: str, values: np.ndarray) -> str:
    flat = np.asarray(values).reshape(-1)
    return f"static const {kind} {name}[{flat.size}] = {{\n{_wrapped([str(v) for v in flat.tolist()])}\n}};"


def _wrapped(items: list[str]) -> str:
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > 118:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line])
