"""Generated C: no warnings, no undefined behaviour, and every spike and state of the fixed-point network."""

import math
import os
import re
import runpy
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import export_networks as nets
import numpy as np
import pytest

from lava_1m1t1r import StepParams, arithmetic, golden, presets, reference
from lava_1m1t1r.description import Layer, M1T1RNeuron, NetDescription
from lava_1m1t1r.errors import InputError
from lava_1m1t1r.export import c_source, c_target, names, rtl_source, rtl_target, tools
from lava_1m1t1r.export.plan import plan
from lava_1m1t1r.export.report import VerificationError
from lava_1m1t1r.fast import FastNetwork
from lava_1m1t1r.sums import MAX_COUNT

pytestmark = pytest.mark.needs("gcc")
STRICT = ("-Os", "-Wshadow", "-Wsign-conversion", "-Wcast-qual", "-Wstrict-prototypes", "-Wundef", "-Wunused-macros", "-fno-builtin")


@pytest.mark.parametrize("flags", [nets.SANITIZED, STRICT], ids=["sanitized", "strict"])
@pytest.mark.parametrize("name", nets.NETWORKS)
def test_all_spikes_and_states_equal(name, flags, rng):
    net = nets.network(name, rng)
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net), "abc", flags=flags)
    assert "all equal" in found["compared with the fixed-point network"]


@pytest.mark.needs("clang")
@pytest.mark.parametrize("name", nets.NETWORKS)
def test_clang_finds_nothing_unused_or_unreachable(name, rng, tmp_path):
    c_target.deploy_c(nets.network(name, rng), tmp_path / "out")
    flags = ["-Wall", "-Wextra", "-Wconversion", "-Wunused-macros", "-Wunreachable-code-aggressive", "-Wcast-qual", "-Werror"]
    subprocess.run(["clang", "-std=c99", *flags, "-fsyntax-only", "net.c"], cwd=tmp_path / "out", check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_states_that_a_full_disk_cut_are_told_without_the_outputs(rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    tools.write_sources(c_source.sources(plan(net), "x", "net"), str(tmp_path))
    tools.call(["gcc", *c_target.FLAGS, "net.c", "host/main.c", "-o", "main"], str(tmp_path))
    words = c_target._words(nets.frames(rng, net, steps=2000))
    for place, code, why in (("/dev/full", 5, "No space left on device"), ("absent/states", 2, "No such file or directory")):
        with pytest.raises(VerificationError, match=f"main {place} ended with {code}: {place}: {why}\n$"):
            tools.call([f"{tmp_path}/main", place], str(tmp_path), words)


def _sparse(rng, size):
    """Inputs that reach no neuron, one or some of them; a layer without a recurrent weight other than 0."""
    first = nets.layer(rng, 0, 40, size, "dense_rec", delays=2, scale=20)
    weight = np.where(rng.random(first.weight.shape) < 0.1, first.weight, 0)
    weight[:, [0, 39]] = 0
    weight[-1, 7] = 254
    rec = np.where(rng.random((size, size)) < 0.02, first.weight_rec, 0)
    last = nets.layer(rng, 1, size, 5, "dense_rec", scale=1)
    return NetDescription((replace(first, weight=weight, weight_rec=rec), replace(last, weight_rec=np.zeros((5, 5), np.int32))))


@pytest.mark.parametrize("flags", [nets.SANITIZED, STRICT], ids=["sanitized", "strict"])
@pytest.mark.parametrize(("size", "wide"), [(256, 1), (257, 2)])
def test_zeros_of_sparse_weights_are_not_stored(size, wide, flags, rng):
    net = _sparse(rng, size)
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net), "abc", flags=flags)
    assert "all equal" in found["compared with the fixed-point network"]
    first, last = net.layers
    rows = 4 * (41 + size + 1)  # where each input's begin
    kept = (np.count_nonzero(first.weight) + np.count_nonzero(first.weight_rec)) * (1 + wide) + rows
    assert c_target.flash_bytes(plan(net))["weights"] == kept + last.weight.size + last.weight_rec.size < first.weight.size


def test_weights_that_are_all_zero_are_not_stored(rng):
    """As a pruned recurrence may be: it took as much as a full one, in memory and in time."""
    net = _sparse(rng, 256)
    net = net.replace(layers=(net.layers[0].replace(weight_rec=np.zeros((256, 256), np.int32)), net.layers[1]))
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net), "abc", flags=nets.SANITIZED)
    assert "all equal" in found["compared with the fixed-point network"]
    kept = c_source.stored(net.layers[0].weight_rec.astype(np.int8), 256)
    assert kept.bytes == 4 * 257 + 2 and kept.weight.tolist() == [0]


@pytest.mark.parametrize("longest", [7, 8, 15, 16, 31, 32])
def test_the_longest_delay_is_remembered_whatever_word_holds_it(longest, rng):
    """Histories of 8, 16, 32 and 64 bits, filled to the last and by one more; spikes leave the network and come back after the delay."""
    neuron = M1T1RNeuron(StepParams(presets.ZHAO2025_FIG2, dt=4e-3, v_unit=0.25))
    delay, delay_rec = np.array([longest, 0, 1, longest], np.int32), np.array([0, longest, longest, 1], np.int32)
    weight, weight_rec = np.full((4, 4), 112, np.int32), np.full((4, 4), 100, np.int32)
    net = NetDescription((Layer(0, "dense_rec", (4,), 4, weight, weight_rec, delay=delay, delay_rec=delay_rec, neuron=neuron),))
    frames = nets.frames(rng, net, rate=0.3)
    assert np.all(FastNetwork(net).run(frames).out.any((0, 1)))
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), frames, "abc", flags=nets.SANITIZED)
    assert "all equal" in found["compared with the fixed-point network"]


@pytest.mark.parametrize(("delay", "delay_rec", "history"), [([3, 0], [0, 1], 4), ([0, 1], [5, 0], 6), (None, [2, 2], 3), (None, None, 1)])
def test_spikes_are_remembered_for_the_longest_delay_of_either_kind(delay, delay_rec, history, rng):
    late = {name: None if steps is None else np.array(steps, np.int32) for name, steps in (("delay", delay), ("delay_rec", delay_rec))}
    net = NetDescription((replace(nets.layer(rng, 0, 3, 2, "dense_rec"), **late),))
    assert plan(net).layers[0].history == history


def test_histories_take_the_smallest_word_that_holds_them(rng):
    layer, bits = nets.layer(rng, 0, 3, 2, "dense_rec"), {}
    for late in (0, 7, 8, 15, 16, 31, 32, 62):
        for field in ("delay", "delay_rec"):
            net = NetDescription((replace(layer, **{field: np.array([0, late], np.int32)}),))
            bits.setdefault(late, set()).add(c_source.history_bits(plan(net)))
    assert bits == {0: {8}, 7: {8}, 8: {16}, 15: {16}, 16: {32}, 31: {32}, 32: {64}, 62: {64}}


@pytest.mark.parametrize(
    ("index", "seed"), [(0, 0), (255, 1 << 31), (256, 1), (4095, 7), (4096, 7), (65535, (1 << 32) - 1), (3722, 956923907)]
)
def test_generators_start_as_stated_whatever_layer_and_seed(index, seed, rng):
    """The number of the layer lies across both halves of the word that a generator starts from. At last, one that would start from 0."""
    drawn = nets.layer(rng, index, 4, 5, noise=True, scale=6)
    net = NetDescription((replace(drawn, neuron=replace(drawn.neuron, seed=seed)),))
    found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net, steps=20, samples=1), "abc")
    assert "all equal" in found["compared with the fixed-point network"]


@pytest.mark.parametrize("zeros", [False, True], ids=["dense", "sparse"])
def test_the_largest_counts_are_added_up(zeros, rng):
    """They fill 16 bits before they are weighed, where weights are stored by half."""
    weight = rng.choice([-256, 254], (9, 60)).astype(np.int32)
    if zeros:
        weight[:, 2:] = 0
    drawn = nets.layer(rng, 0, 60, 9)
    for first in (replace(drawn, weight=weight), replace(drawn, weight=weight // 2)):
        net = NetDescription((first, nets.layer(rng, 1, 9, 2, "affine")))
        limit = c_source.input_limit(plan(net))
        assert limit > 1 << 14 and (c_source.stored(plan(net).layers[0].weight, 9).target is not None) == zeros
        frames = np.where(rng.random((1, 40, 60)) < 0.4, limit, 0)
        frames[0, -1] = limit
        found = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), frames, "abc", flags=nets.SANITIZED)
        assert "all equal" in found["compared with the fixed-point network"]


def test_a_gate_at_the_threshold_is_not_above_it():
    net, frames = nets.at_the_threshold()
    sources = c_source.sources(plan(net), "x", "abc")
    assert "all equal" in c_target.verify(net, sources, frames, "abc")["compared with the fixed-point network"]
    for right, wrong in (("charged > p->v_th", "charged >= p->v_th"), ("s->gate <= p->v_th", "s->gate < p->v_th")):
        assert right in sources["abc.c"]
        with pytest.raises(VerificationError, match="C outputs differ"):
            c_target.verify(net, sources | {"abc.c": sources["abc.c"].replace(right, wrong)}, frames, "abc")


def test_a_layer_equals_the_arbiter(rng, tmp_path):
    """Against :mod:`.reference` without the fast path between: the host program's output is the neurons' spikes a step later."""
    net = NetDescription((nets.layer(rng, 0, 9, 6, noise=True, unequal=True, bias=True),))
    frames = nets.frames(rng, net, samples=1)[0]
    only = net.layers[0]
    a_in = frames.astype(np.int64) @ only.weight.T.astype(np.int64) + only.bias
    traces = reference.run(only.neuron.step, a_in, seed=only.neuron.seed, layer=0)
    c_target.deploy_c(net, tmp_path / "out")
    subprocess.run(["gcc", "-std=c99", "net.c", "host/main.c", "-o", "main"], cwd=tmp_path / "out", check=True)
    words = np.concatenate([[len(frames)], frames.reshape(-1)]).astype("<i4").tobytes()
    got = subprocess.run(["./main", "states.bin"], cwd=tmp_path / "out", input=words, stdout=subprocess.PIPE, check=True).stdout
    spikes = np.frombuffer(got, "<i4").reshape(len(frames), 6)
    states = np.fromfile(tmp_path / "out/states.bin", "<i4").reshape(len(frames), 6, 3)
    assert traces.spike.sum() > 0
    np.testing.assert_array_equal(spikes[1:], traces.spike[:-1])
    np.testing.assert_array_equal(states, np.stack([traces.filament, traces.residue, traces.gate], axis=2))


def test_a_wrong_source_is_found_out(rng):
    net = nets.network("recurrent_with_delays", rng)
    sources = c_source.sources(plan(net), "x", "abc")
    sources["abc.c"] = sources["abc.c"].replace("#define CHARGE_BITS 20u", "#define CHARGE_BITS 21u")
    with pytest.raises(c_target.VerificationError, match="C (outputs|states) differ"):
        c_target.verify(net, sources, nets.frames(rng, net), "abc")


@pytest.mark.parametrize(
    "line", ["static int unused(void) { return 0; }", "int8_t narrowed(int32_t x); int8_t narrowed(int32_t x) { return x; }"]
)
def test_sources_that_give_a_warning_are_refused(line, rng):
    net = nets.network("one_neuron", rng)
    sources = c_source.sources(plan(net), "x", "abc")
    with pytest.raises(VerificationError, match="unused|conversion"):
        c_target.verify(net, sources | {"abc.c": sources["abc.c"] + line + "\n"}, nets.frames(rng, net), "abc")


def test_it_needs_no_library(rng, tmp_path):
    c_target.deploy_c(nets.network("noisy_unequal_with_readout", rng), tmp_path / "out")
    flags = ["-std=c99", "-Os", "-ffreestanding", "-fno-stack-protector", "-fno-pie"]
    subprocess.run(["gcc", *flags, "-c", "net.c", "-o", "net.o"], cwd=tmp_path / "out", check=True)
    undefined = subprocess.run(["nm", "-u", "net.o"], cwd=tmp_path / "out", capture_output=True, text=True, check=True).stdout
    assert undefined.split() == []


def test_too_large_counts_are_refused_and_change_nothing(rng, tmp_path):
    net = NetDescription((nets.layer(rng, 0, 700, 3, scale=40),))
    limit = c_source.input_limit(plan(net))
    assert limit * np.abs(net.layers[0].weight.astype(np.int64)).sum(axis=1).max() < 2**31 <= 4 * limit * 700 * 256
    c_target.deploy_c(net, tmp_path / "out")
    subprocess.run(["gcc", "-std=c99", "net.c", "host/main.c", "-o", "main"], cwd=tmp_path / "out", check=True)
    frame = np.zeros(700)
    for count in (limit + 1, -1, 1 << 16, (1 << 16) + 1):  # also those beyond the 16 bits of the sources
        frame[5] = count
        words = np.concatenate([[1], frame]).astype("<i4").tobytes()
        done = subprocess.run(["./main"], cwd=tmp_path / "out", input=words, capture_output=True)
        assert done.returncode == 4 and b"exceeds" in done.stderr, count


def test_a_first_step_without_reset_is_that_after_one(rng, tmp_path):
    """Generators of a noisy network would start at 0, and stay there."""
    c_target.deploy_c(nets.network("noisy_unequal_with_readout", rng), tmp_path / "out")
    program = """
        #include "net.h"
        #include <stdio.h>
        int main(void)
        {
            static uint16_t input[NET_INPUTS];
            static net_output output[NET_OUTPUTS];
            unsigned t, n, layer;
            uint32_t size;
        #ifdef RESET
            net_reset();
        #endif
            for (t = 0; t < 40; t++) {
                for (n = 0; n < NET_INPUTS; n++) input[n] = (uint16_t)((t + n) % 3u == 0u);
                net_step(input, output);
                for (layer = 0; layer < NET_LAYERS; layer++) {
                    const net_state *state = net_states(layer, &size);
                    for (n = 0; state && n < size; n++) printf("%lu ", (unsigned long)state[n].filament);
                }
                printf("\\n");
            }
            return 0;
        }"""
    (tmp_path / "out" / "use.c").write_text(program)
    said = []
    for flags in ([], ["-DRESET"]):
        subprocess.run(["gcc", "-std=c99", *flags, "net.c", "use.c", "-o", "use"], cwd=tmp_path / "out", check=True)
        said.append(subprocess.run(["./use"], cwd=tmp_path / "out", capture_output=True, check=True).stdout)
    assert said[0] == said[1] and len(set(said[0].split())) > 20


def test_a_refused_step_changes_nothing_and_other_layers_than_there_are_have_no_states(rng, tmp_path):
    """Also not what is on its way in delay lines."""
    net = nets.network("behind_delay_lines", rng)
    c_target.deploy_c(net, tmp_path / "out")
    program = """
        #include "net.h"
        #include <stdio.h>
        int main(void)
        {
            static uint16_t input[NET_INPUTS];
            static net_output output[NET_OUTPUTS];
            unsigned t, n;
            uint32_t size = 7;
            if (net_states(NET_LAYERS, &size) || net_states(NET_LAYERS - 1u, &size) || net_states(~0u, &size) || size != 7) return 1;
            if (!net_states(0, &size) || size != 6) return 2;
            for (t = 0; t < 90; t++) {
        #ifdef REFUSED
                for (n = 0; n < NET_INPUTS; n++) input[n] = (uint16_t)(n ? 3u : NET_INPUT_LIMIT + 1u);
                if (net_step(input, output) != -1) return 3;
                for (n = 0; n < NET_INPUTS; n++) input[n] = (uint16_t)(n == NET_INPUTS - 1u ? UINT16_MAX : 3u);
                if (net_step(input, output) != -1) return 4;
        #endif
                for (n = 0; n < NET_INPUTS; n++) input[n] = (uint16_t)((t + n) % 3u == 0u);
                if (net_step(input, output)) return 5;
                for (n = 0; n < NET_OUTPUTS; n++) printf("%ld ", (long)output[n]);
                for (n = 0; n < size; n++) printf("%lu ", (unsigned long)net_states(0, &size)[n].filament);
            }
            return 0;
        }"""
    (tmp_path / "out" / "use.c").write_text(program)
    said = []
    for flags in ([], ["-DREFUSED"]):
        subprocess.run(["gcc", *c_target.FLAGS, *nets.SANITIZED, *flags, "net.c", "use.c", "-o", "use"], cwd=tmp_path / "out", check=True)
        said.append(subprocess.run(["./use"], cwd=tmp_path / "out", capture_output=True, check=True).stdout)
    assert said[0] == said[1] and len(set(said[0].split())) > 20


@pytest.mark.needs("g++")
def test_programs_of_cpp_may_hold_several_networks(rng, tmp_path):
    """Headers are included more than once."""
    for name, network in (("ear", "noisy_unequal_with_readout"), ("eye", "one_neuron")):
        net = replace(nets.network(network, rng), classes=("a", "b")[: 2 if name == "ear" else 1])
        c_target.deploy_c(net, tmp_path / name, name=name)
        subprocess.run(["gcc", *c_target.FLAGS, "-c", f"{name}/{name}.c", "-o", f"{name}.o"], cwd=tmp_path, check=True)
    program = """
        #include "ear/ear.h"
        #include "eye/eye.h"
        #include "ear/ear.h"
        static const char *const names[EAR_OUTPUTS] = EAR_CLASSES;
        int main()
        {
            static const uint16_t heard[EAR_INPUTS] = {1}, seen[EYE_INPUTS] = {1};
            ear_output said[EAR_OUTPUTS];
            eye_output told[EYE_OUTPUTS];
            uint32_t size;
            ear_reset();
            eye_reset();
            return ear_step(heard, said) || eye_step(seen, told) || !ear_states(0, &size) || !eye_states(0, &size) || names[1][0] != 'b';
        }"""
    (tmp_path / "use.cpp").write_text(program)
    strict = ["-Wall", "-Wextra", "-Wconversion", "-Wold-style-cast", "-pedantic", "-Werror", "-std=c++11"]
    subprocess.run(["g++", *strict, "use.cpp", "ear.o", "eye.o", "-o", "use"], cwd=tmp_path, check=True)
    subprocess.run(["./use"], cwd=tmp_path, check=True)


def test_no_prefix_makes_a_name_that_the_source_has_already(rng, tmp_path):
    """``next`` did: of what a network declares, nothing that is not the prefix's ends in what follows a prefix."""
    for network in nets.NETWORKS:
        sources = c_source.sources(plan(nets.network(network, rng)), "x", "qq")
        declared = set(re.findall(r"\bqq(_[a-z]+)\b", sources["qq.h"])) | {
            f"_{word.lower()}" for word in re.findall(r"QQ_(\w+)", sources["qq.h"])
        }
        assert {"_step", "_reset", "_states", "_inputs"} <= declared
        own = {word for word in re.findall(r"[A-Za-z]\w*", sources["qq.c"]) if not word.lower().startswith("qq_")}
        assert not [word for word in own if any(word.lower().endswith(end) for end in declared)]
    c_target.deploy_c(nets.network("behind_delay_lines", rng), tmp_path / "out", name="next")


NAMES = ('quo"te', "\u2028line", "back\\slash", "end */ // ??/", "??(", "\u00e9t\u00e9 \u2603 \U0001f600", "@DT@ %s", "")


def test_names_of_classes_are_a_macro_whatever_they_hold(rng, tmp_path):
    net = NetDescription((nets.layer(rng, 0, 3, len(NAMES)),))
    without, named = c_source.sources(plan(net), "x", "net"), c_source.sources(plan(replace(net, classes=NAMES)), "x", "net")
    assert without["net.c"] == named["net.c"] and "CLASSES" not in without["net.h"]  # no memory for whoever does not use it
    report = c_target.deploy_c(replace(net, classes=NAMES), tmp_path / "out")
    assert report.facts["classes"] == list(NAMES) and "\\u2028line" in report.text
    main = """#include "net.h"
    #include <stdio.h>
    static const char *const names[NET_OUTPUTS] = NET_CLASSES;
    int main(void) { unsigned n; for (n = 0; n < NET_OUTPUTS; n++) printf("%s%c", names[n], 0); return 0; }
    """
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["gcc", *c_target.FLAGS, "-iquote", "out", "main.c", "-o", "main"], cwd=tmp_path, check=True)  # with trigraphs
    said = subprocess.run(["./main"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert said.split(b"\0")[:-1] == [name.encode() for name in NAMES]


def test_the_header_says_how_to_use_it_and_how_layers_are_numbered(rng):
    sources = c_source.sources(plan(nets.network("behind_delay_lines", rng)), "x", "net")
    words = " ".join(sources["net.h"].replace(" * ", " ").split())
    assert "0: layer 1 (dense_rec, 15 -> 6)" in words and "1: layer 2 (affine, 6 -> 3)" in words
    assert "/* layers[0]: layer 1 (dense_rec, 15 -> 6) */" in sources["net.c"]
    for told in ("largest sum over these steps", "one step of delay, here 1 in all", "give each spike once", "no function is re-entrant"):
        assert told in words
    assert "give each spike once" not in c_source.sources(plan(nets.network("one_neuron", rng)), "x", "net")["net.h"]


def test_the_step_that_is_stated_is_the_networks(rng, tmp_path):
    report = c_target.deploy_c(nets.network("beyond_every_limit", rng), tmp_path / "out")
    assert report.facts["network step [s]"] == 4e-3 and "One step is 0.004 s." in (tmp_path / "out/net.h").read_text()


def test_headers_that_those_of_c_include_are_no_names():
    """NAME.h would hide them where compilers look for it with -I."""
    for compiler in ("gcc", "arm-none-eabi-gcc"):
        for header in names.HEADERS if shutil.which(compiler) else ():
            said = subprocess.run(
                [compiler, "-E", "-H", "-xc", "-"], input=f"#include <{header}.h>\n", capture_output=True, text=True
            ).stderr
            found = {Path(line.split()[-1]) for line in said.splitlines() if line.startswith(".")}
            plain = {
                path.stem for path in found if path.parent.name in ("include", "newlib") and re.fullmatch("[a-z][a-z0-9_]*", path.stem)
            }
            assert plain <= names.HEADERS
    with pytest.raises(InputError, match="must not be a header of C: it would hide <features.h>"):
        names.c_prefix("features")


def test_instructions_that_are_not_counted_are_told(rng, tmp_path, monkeypatch):
    net = nets.network("one_neuron", rng)
    found = {}
    for counted in (None, [5, 9]):
        monkeypatch.setattr(c_target, "_instructions", lambda *_, counted=counted: counted)
        found[bool(counted)] = c_target.deploy_c(net, tmp_path / "out", frames=nets.frames(rng, net, steps=2, samples=1))
    assert [any("valgrind is not installed" in note for note in found[counted].notes) for counted in (False, True)] == [True, False]
    assert found[True].facts["instructions a step, largest"] == 9 and "instructions a step, largest" not in found[False].facts


@pytest.mark.needs("valgrind")
def test_instructions_are_counted_in_a_part_of_long_samples_which_is_told(rng, monkeypatch):
    net = nets.network("one_neuron", rng)
    for most, words in ((3, ", first 1 of 2 samples, first 3 of 5 steps)"), (5, ", first 1 of 2 samples)"), (10, "processor)")):
        monkeypatch.setattr(c_target, "_COUNTED", most)
        facts = c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net, steps=5), "abc")
        (mean,) = (name for name in facts if name.startswith("instructions a step, mean"))
        assert mean.endswith(words) and 0 < facts[mean] <= facts["instructions a step, largest"]


@pytest.mark.parametrize("which", ["flash_limit", "ram_limit"])
def test_a_small_controller_is_refused_before_anything_is_written(which, rng, tmp_path):
    net = nets.network("recurrent_with_delays", rng)
    parts = "weights [0-9]+, .*tables [0-9]+" if which == "flash_limit" else "states [0-9]+, .*sums [0-9]+"
    with pytest.raises(InputError, match=rf"{which} must be at least \d+ bytes \({parts}\); got 100\. Smaller layers"):
        c_target.deploy_c(net, tmp_path / "out", **{which: 100})
    assert not (tmp_path / "out").exists()
    least = sum((c_target.flash_bytes if which == "flash_limit" else c_target.ram_bytes)(plan(net)).values())
    with pytest.raises(InputError, match=f"{which} must be at least {least} bytes"):
        c_target.deploy_c(net, tmp_path / "out", **{which: least - 1})
    c_target.deploy_c(net, tmp_path / "out", **{which: least})


@pytest.mark.parametrize("struct", ["entry", "constants", "state"])
def test_a_compiler_refuses_structs_of_other_sizes_than_were_counted(struct, rng, monkeypatch):
    name = f"{struct.upper()}_BYTES"
    monkeypatch.setattr(c_source, name, getattr(c_source, name) + 4)
    sources = c_source.sources(plan(nets.network("one_neuron", rng)), "x", "net")
    with pytest.raises(VerificationError, match=rf"{struct}_ha(s|ve)_.*size.* negative"):
        c_target.object_size(sources, "net", "gcc")


@pytest.mark.parametrize("name", nets.NETWORKS)
def test_stated_bytes_are_those_of_the_object(name, rng, tmp_path):
    report = c_target.deploy_c(nets.network(name, rng), tmp_path / "out")
    sections = report.facts["gcc -Os object [bytes]"]
    states, constants = (sum(report.facts[f"{what} [bytes]"].values()) for what in ("states", "constants"))
    assert states <= sections["bss"] <= states + 128  # alignment
    assert constants <= sections["text"] <= constants + 4096  # and the code


@pytest.mark.parametrize("name", nets.NETWORKS)
def test_stated_bytes_are_those_of_the_arrays_by_content(name, rng):
    """Without the few bytes for each layer that say where its arrays are."""
    lowered = plan(nets.network(name, rng))
    text = c_source.sources(lowered, "x", "net")["net.c"]
    word = re.search(r"typedef (uint\d+_t) history;", text)[1]
    sizes = {"int8_t": 1, "uint8_t": 1, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "uint64_t": 8}
    sizes |= {"entry": 8, "constants": 32, "net_state": 12}
    contents = {
        **dict.fromkeys(("weight", "target", "first"), "weights"),
        **dict.fromkeys(("bias", "delay", "neuron"), "neurons"),
        **dict.fromkeys(("field", "inverse", "charge", "drop", "root"), "tables"),
        **{"line": "delay lines", "state": "states", "past": "spike histories", "generator": "generators", "ready": "generators"},
        **{"sums": "sums", "gone": "input on its way", "coming": "input on its way"},
    }
    found = dict.fromkeys((*c_target.flash_bytes(lowered), *c_target.ram_bytes(lowered)), 0)
    for kind, array, numbers in re.findall(r"^static (?:const )?(\w+) (\w+)((?:\[\d+\])*)(?:;| = )", text, re.MULTILINE):
        if kind != "layer":
            size = sizes[word if kind == "history" else kind] * math.prod(int(n) for n in re.findall(r"\d+", numbers))
            found[contents[array.split("_")[0]]] += size
    assert found == c_target.flash_bytes(lowered) | c_target.ram_bytes(lowered)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "my net"}, "name must be a lower-case C identifier"),
        ({"name": "a" * 300}, "name must be a lower-case C identifier of at most 200 characters that begins with a letter"),
        ({"name": "stdint"}, "name must not be a header of C: it would hide <stdint.h>; got 'stdint'. Call it my_stdint"),
        ({"flash_limit": "10"}, "flash_limit must be a whole number >= 0; got '10'"),
        ({"ram_limit": np.nan}, "ram_limit must be a whole number >= 0; got nan"),
        ({"frames": np.full((1, 4, 1), np.nan)}, "frames must hold whole spike counts"),
    ],
)
def test_wrong_options_are_refused(options, words, rng, tmp_path):
    with pytest.raises(InputError, match=words):
        c_target.deploy_c(nets.network("one_neuron", rng), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_a_compiler_sources_are_written_and_nothing_is_proven(rng, tmp_path):
    net = nets.network("one_neuron", rng)
    report = c_target.deploy_c(net, tmp_path / "out", compiler="nocc")
    assert report.notes[0] == "Not compiled: nocc is not installed here." and report.notes[1].startswith("Not run: give frames")
    assert not any("object" in fact for fact in report.facts) and (tmp_path / "out" / "net.c").is_file()
    with pytest.raises(InputError, match="compiler must be installed for the proof; got 'nocc'. Install it, or leave frames"):
        c_target.deploy_c(net, tmp_path / "new", compiler="nocc", frames=np.ones((1, 5, 1), int))
    assert not (tmp_path / "new").exists()


def test_a_compiler_may_be_named_by_a_relative_path(rng, tmp_path, monkeypatch):
    """It runs in another folder."""
    (tmp_path / "mycc").write_text('#!/bin/sh\nexec gcc "$@"\n')
    (tmp_path / "mycc").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    net = nets.network("one_neuron", rng)
    facts = c_target.deploy_c(net, "out", compiler="./mycc", frames=nets.frames(rng, net)).facts
    assert "./mycc -Os object [bytes]" in facts and "compared with the fixed-point network" in facts


def test_a_keyword_of_c_may_be_a_prefix(rng, tmp_path):
    """It stands before _step and the like only."""
    frames = np.ones((1, 5, 1), int)
    report = c_target.deploy_c(nets.network("one_neuron", rng), tmp_path / "out", name="int", frames=frames)
    assert "int.h" in report.files


def test_counts_that_the_sources_refuse_are_refused_before_they_are_compiled(rng, tmp_path):
    net = NetDescription((nets.layer(rng, 0, 700, 3, scale=40),))
    limit = c_source.input_limit(plan(net))
    with pytest.raises(InputError, match=f"frames must hold counts of at most {limit}, or so few .*; got 'counts up to {limit + 1}"):
        c_target.deploy_c(net, tmp_path / "out", frames=np.full((1, 1, 700), limit + 1))


@pytest.mark.parametrize("readout", [False, True])
def test_the_firmware_example_gives_the_networks_sums(readout, rng, tmp_path):
    deploy = Path(__file__).resolve().parents[1] / "deploy"
    net = runpy.run_path(str(deploy / "example.py"))["network"]()
    if readout:
        net = NetDescription((*net.layers, nets.layer(rng, len(net.layers), net.outputs, 3, "affine")))
    c_target.deploy_c(net, tmp_path / "out")
    subprocess.run(["gcc", *c_target.FLAGS, "-iquote", "out", "out/net.c", str(deploy / "c/use.c"), "-o", "use"], cwd=tmp_path, check=True)
    lines = subprocess.run(["./use"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    step, channel = np.arange(200)[:, None], np.arange(net.inputs)
    wanted = FastNetwork(net).run(((step * 7 + channel * 13) % 5 == 0)[None].astype(int)).out[0].sum(0, dtype=np.int64)
    assert wanted.any() and lines == [f"output {n}: {total}" for n, total in enumerate(wanted)]
    assert readout or f"\n{lines[0]}\n" in (deploy / "c/README.md").read_text()


@pytest.mark.parametrize(("limit", "bits"), [(c_source.input_limit, 32), (rtl_source.input_limit, rtl_source.SUM_BITS)])
def test_no_sum_exceeds_its_register_under_the_largest_counts(limit, bits, rng):
    """Also where one neuron has the largest input weights and another one the largest recurrent ones."""
    drawn = nets.layer(rng, 0, 700, 40, "dense_rec", bias=True)
    weight, weight_rec = np.full((40, 700), 2, np.int32), np.full((40, 40), 2, np.int32)
    weight[3], weight_rec[7] = 254, -256
    first = replace(drawn, weight=weight, weight_rec=weight_rec, bias=np.full(40, 1 << 15, np.int32))
    net = NetDescription((first, nets.layer(rng, 1, 40, 3)))  # the layers behind it get spikes
    most = limit(plan(net))
    largest = most * np.abs(weight).sum(1).astype(np.int64) + np.abs(weight_rec).sum(1) + (1 << 15)
    assert 0 < most and largest.max() < 1 << (bits - 1)
    assert (most + 1) * 700 * 254 + 40 * 256 + (1 << 15) >= 1 << (bits - 1) or most == MAX_COUNT


def test_names_of_files_do_not_end_comments(rng, tmp_path):
    frame = replace(nets.network("one_neuron", rng), source="a@b@c.net")
    assert "from a?b?c.net. " in c_source.sources(plan(frame), "x", "net")["net.h"]  # templates mark what they leave open so
    net = replace(nets.network("one_neuron", rng), source="a\nb*\u2603\udcff.net")
    assert plan(net).source == "a?b*??.net"
    for deploy in (c_target.deploy_c, rtl_target.deploy_rtl):
        deploy(net, tmp_path / deploy.__name__)


def test_programs_that_may_not_run_are_told(tmp_path):
    (tmp_path / "main").write_text("no program")
    with pytest.raises(InputError, match=r"main may not be run \(.*TMPDIR\) must allow programs to run"):
        tools.call([str(tmp_path / "main")], str(tmp_path))


@pytest.mark.parametrize(("mask", "rights"), [(0o077, 0o700), (0o002, 0o775)])
def test_a_folder_gets_the_rights_of_any_new_one(mask, rights, rng, tmp_path):
    before = os.umask(mask)
    try:
        c_target.deploy_c(nets.network("one_neuron", rng), tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == rights
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_programs_that_do_not_end_are_told(rng, monkeypatch):
    net = nets.network("one_neuron", rng)
    monkeypatch.setattr(tools, "LIMIT", 1e-3)
    with pytest.raises(c_target.VerificationError, match="gcc did not end within 0.001 s"):
        c_target.verify(net, c_source.sources(plan(net), "x", "abc"), nets.frames(rng, net), "abc")


def test_the_sources_take_their_constants_from_the_arithmetic():
    """Neither the template nor the part for noise states a number that arithmetic.py has."""
    template = (Path(c_source.__file__).parent / "templates" / "net.c").read_text()
    assert not re.findall(r"#define \w+ \(?\d", template + c_source._NOISE_PARTS["NOISE"])
    text = c_source.sources(plan(golden.networks()["stochastic"][0]), "title", "net")["net.c"]
    defined = dict(re.findall(r"#define (\w+) (\d+)u?$", text, re.MULTILINE))
    assert {name: int(value) for name, value in defined.items()} == {name: getattr(arithmetic, name) for name in c_source._ARITHMETIC}
