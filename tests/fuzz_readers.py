"""Fuzzes the readers of files on demand: ``python tests/fuzz_readers.py --inputs 100000``. A small sample runs in the tests.

An input is a valid file with damage drawn from (kind, number) alone: bytes overwritten, cut, moved; or, for HDF5, links, types, sizes,
filters and values exchanged through the HDF5 library. A reader must answer each with its data, or with an InputError that names the
file. Inputs are read in worker processes with a limit on memory, so that a crash, a hang or a flood of memory is counted and not
suffered. What fails is kept in the output folder, file and how to do it again: ``--again net:1234``.
"""

from __future__ import annotations

import argparse
import io
import json
import mmap
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from math import ceil
from pathlib import Path

import numpy as np

MEMORY = 6 << 30
"""Address space of a worker [bytes]: what numpy, numba and HDF5 map, and room for one input."""
GROWTH = 1 << 30
"""Growth of a worker's resident memory [bytes] that counts as a failure of the input."""
SECONDS = 10.0
"""Longest time of a processor for one input, making it included; twenty times as long on the clock."""
KINDS = ("net", "shd", "wav", "measurements", "recordings", "frames")
SUFFIX = {"net": ".net", "shd": ".h5", "wav": ".wav", "measurements": ".csv", "recordings": ".csv", "frames": ".npy"}
SHARE = {"net": 0.22, "shd": 0.3, "wav": 0.18, "measurements": 0.1, "recordings": 0.1, "frames": 0.1}


# ------------------------------------------------------------------------------------------------- valid files to start from


def originals(kind: str, folder: Path) -> list[bytes]:
    """Valid files of a kind."""
    return {"net": _nets, "shd": _shds, "wav": _wavs}.get(kind, lambda f: _texts(kind))(folder)


def _nets(folder: Path) -> list[bytes]:
    import export_networks
    import h5py

    from lava_1m1t1r.description import CubaNeuron, Layer
    from lava_1m1t1r.netx import schema

    rng = np.random.default_rng(1)
    cuba = Layer(1, "dense", (5,), 7, export_networks.even(rng, (5, 7), 1.0), neuron=CubaNeuron(1024, 128, 80))
    first = export_networks.layer(rng, 0, 6, 7, "dense_rec", delays=5, unequal=True, noise=True, bias=True)
    nets = [
        [first, cuba, Layer(2, "affine", (4,), 5, export_networks.even(rng, (4, 5), 1.0))],
        [Layer(0, "input", (3, 2, 1), 6), Layer(1, "flatten", (6,), 6), export_networks.layer(rng, 2, 6, 4), Layer(3, "average", (2,), 4)],
    ]
    for net in nets:
        schema.write(folder / "a.net", net)
        yield (folder / "a.net").read_bytes()
    with h5py.File(folder / "a.net", "r") as old, h5py.File(folder / "packed.net", "w", libver="latest") as new:
        _copy(old, new, compression="gzip", shuffle=True, chunks=True)
    yield (folder / "packed.net").read_bytes()


def _copy(old, new, **packing):
    for name, item in old.items():
        if hasattr(item, "keys"):
            _copy(item, new.create_group(name), **packing)
        else:
            new.create_dataset(name, data=item[()], dtype=item.dtype, **(packing if item.shape else {}))


def _shds(folder: Path) -> list[bytes]:
    import h5py

    from lava_1m1t1r.datasets import EventSet, write_shd

    rng = np.random.default_rng(2)
    sizes = (30, 0, 200, 7)
    spikes = [(np.sort(rng.uniform(0, 1, n)).astype(np.float32), rng.integers(0, 700, n).astype(np.uint16)) for n in sizes]
    write_shd(folder / "a.h5", EventSet.from_utterances(spikes, [0, 1, 2, 0], [0, 1, 0, 1], keys=("a", "b", "c"), speaker_names=("x", "y")))
    yield (folder / "a.h5").read_bytes()
    with h5py.File(folder / "a.h5", "r") as old, h5py.File(folder / "packed.h5", "w") as new:
        _copy(old, new, compression="gzip", chunks=True)
    yield (folder / "packed.h5").read_bytes()


def _wavs(_folder: Path) -> list[bytes]:
    rng = np.random.default_rng(3)
    for code, bits, channels, extra in ((1, 16, 1, b""), (1, 24, 2, b"LIST\x04\0\0\0INFO"), (3, 32, 1, b""), (1, 8, 1, b"")):
        data = rng.integers(0, 127, 1600 * channels * bits // 8, np.uint8).tobytes()
        head = struct.pack("<HHIIHH", code, channels, 16000, 16000 * channels * bits // 8, channels * bits // 8, bits)
        body = b"WAVE" + b"fmt " + struct.pack("<I", 16) + head + extra + b"data" + struct.pack("<I", len(data)) + data
        yield b"RIFF" + struct.pack("<I", len(body)) + body


def _texts(kind: str) -> list[bytes]:
    if kind == "measurements":
        head = "quantity,volt,width,gap,count,r_control,value,tolerance\n"
        yield (head + "first_spike,0.8,1e-3,1e-3,200,2.5e8,88e-3,4.4e-3\nshortening,2.0,20e-3,1.0,2,,0.2e-3,0.4e-3\n").encode()
    elif kind == "recordings":
        yield b"file,label,speaker\none/a.wav,one,anna\ntwo/b.wav,two,\n"
    else:
        for values in (np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.zeros(5)):
            file = io.BytesIO()
            np.save(file, values)
            yield file.getvalue()


# ------------------------------------------------------------------------------------------------------------------- damage

_ODD = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff" * 8, b"\0" * 8, b"\xff" * 4, struct.pack("<Q", 1 << 40), struct.pack("<I", 1 << 31))
_WORDS = (b"nan", b"inf", b"-1", b"1e400", b"9" * 400, b"../../x", b"/etc/passwd", b'"', b",", b"\n", b"{}", b"[]", b"null", b"\0", b"\xc3")


def damage_bytes(rng, data: bytes, text: bool) -> bytes:
    """Overwrite, cut, repeat, move or insert a few bytes, once to six times."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 7))):
        if not data:
            break
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 33))
        what = rng.integers(7)
        words = _WORDS if text and rng.random() < 0.7 else _ODD
        if what == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif what == 1:
            word = words[rng.integers(len(words))]
            data[at : at + len(word)] = word
        elif what == 2:
            data[at : at + size] = rng.integers(0, 256, size, np.uint8).tobytes()
        elif what == 3:
            del data[at : at + size if rng.random() < 0.7 else None]
        elif what == 4:
            data[at:at] = words[rng.integers(len(words))]
        elif what == 5:
            source = int(rng.integers(len(data)))
            data[at : at + size] = data[source : source + size]
        else:
            data += data[at : at + size] * int(rng.integers(1, 9))
    return bytes(data)


def _objects(file) -> list[str]:
    names = []
    file.visit(names.append)
    return names


def _value(rng):
    """A value that some key may not have."""
    import h5py

    shape = [(), (1,), (0,), (3,), (7,), (7, 6), (7, 7), (2, 3, 4), (1, 1)][rng.integers(9)]
    what = rng.integers(11)
    if what < 3:
        scale = 10.0 ** rng.integers(-320, 308) if rng.random() < 0.5 else 2.0 ** rng.integers(-3, 40)
        return (rng.standard_normal(shape) * scale).astype(rng.choice(["f8", "f4", "f2", ">f8"]))
    if what < 6:
        limit = int(rng.choice([2, 100, 5000, 1 << 31, 1 << 62]))
        return rng.integers(-limit, limit, shape).astype(rng.choice(["i8", "i4", "u2", "u1", ">i4", "u8"]))
    if what == 6:
        return np.full(shape, rng.choice([np.nan, np.inf, -np.inf, 1e308, 5e-324]))
    if what == 7:
        return rng.choice([b"dense", b"dense_rec", b"affine", b"average", b"input", b"flatten", b"1M1T1R", b"CUBA", b"", b"\xff\xfe"])
    if what == 8:
        return np.zeros(shape, [("a", "i4"), ("b", "f8")]) if rng.random() < 0.5 else np.zeros(shape, "c16")
    if what == 9:
        return h5py.Empty("f4")
    return ["caf\u00e9", "x" * 5000, "\u0000", "1"][rng.integers(4)]


def damage_hdf5(rng, path: Path) -> None:
    """Exchange keys, values, links, sizes and filters through the HDF5 library, once to three times."""
    import h5py

    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names = _objects(file)
            if names:
                try:
                    _exchange(rng, file, names)
                except (ValueError, TypeError, KeyError, OSError, RuntimeError, MemoryError):  # HDF5 itself does not write this
                    continue


def _exchange(rng, file, names: list[str]) -> None:
    import h5py

    name, other, what = names[rng.integers(len(names))], names[rng.integers(len(names))], rng.integers(10)
    if what == 6:
        file[f"{name}/more" if isinstance(file[name], h5py.Group) else f"{name}_more"] = _value(rng)
        return
    if what == 7 and isinstance(file[name], h5py.Dataset) and 0 < file[name].size < 1 << 20 and file[name].dtype.kind in "iuf":
        values = np.array(file[name][()])
        values.reshape(-1)[rng.integers(values.size)] = rng.choice([-1, 0, 1, 127, 255])
        file[name][()] = values
        return
    del file[name]
    if what == 1 and other in file:
        file[name] = file[other]
    elif what == 2:
        file[name] = [h5py.SoftLink("/layer"), h5py.SoftLink("/" + name), h5py.ExternalLink("/etc/passwd", "/")][rng.integers(3)]
    elif what == 3:
        shape = [(1 << 40,), (1 << 20, 1 << 20), (1 << 27,), (1 << 24,)][rng.integers(4)]
        packing = {"compression": rng.choice(["gzip", "lzf"])} if rng.random() < 0.7 else {}
        file.create_dataset(name, shape, rng.choice(["f4", "i8", "S10", "u1"]), chunks=True, **packing)
    elif what == 4:
        file.create_dataset(name, (4,), h5py.ref_dtype if rng.random() < 0.5 else h5py.string_dtype())
    elif what == 5:
        rows = np.empty(4, object)
        for i in range(4):
            rows[i] = rng.integers(0, 1000, int(rng.integers(0, 50))).astype("f2")
        file.create_dataset(name, data=rows, dtype=h5py.vlen_dtype(np.dtype(str(rng.choice(["f2", "u2", "i4", "f8"])))))
    elif what > 6:
        file[name] = _value(rng)


def make(kind: str, number: int, sources: list[bytes], path: Path) -> None:
    """Write input ``number`` of a kind."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    data = sources[rng.integers(len(sources))]
    structured = kind in ("net", "shd") and rng.random() < 0.5
    path.write_bytes(data)
    if structured:
        damage_hdf5(rng, path)
    if not structured or rng.random() < 0.1:
        path.write_bytes(damage_bytes(rng, path.read_bytes(), kind not in ("net", "shd", "wav")))


# ------------------------------------------------------------------------------------------------------------------ reading


def read(kind: str, path: Path) -> None:
    """Give a file to its reader; a network that is accepted is also run for a few steps."""
    if kind == "net":
        from lava_1m1t1r.fast import FastNetwork
        from lava_1m1t1r.netx.schema import read as read_net

        net = read_net(path)
        if max(layer.size for layer in net.layers) <= 64:
            FastNetwork(net).run(np.ones((1, 3, net.inputs), np.uint8), threads=1)
    elif kind == "shd":
        from lava_1m1t1r.datasets import read_shd

        read_shd(path)
    elif kind == "wav":
        from lava_1m1t1r.datasets import InnerEar, read_wav

        InnerEar().prepare(*read_wav(path))
    elif kind == "measurements":
        from lava_1m1t1r.device.measurement import read_csv

        read_csv(path)
    elif kind == "recordings":
        from lava_1m1t1r.datasets import wav_folder

        wav_folder(path, progress=False, threads=1)
    else:
        from lava_1m1t1r.commands._samples import array_of_file

        array_of_file(str(path), "--frames")


def judge(kind: str, path: Path) -> tuple[str, str]:
    """Read one file: (verdict, text). Good verdicts are "accepted" and "refused"."""
    from lava_1m1t1r.errors import InputError

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(kind, path)
        verdict = "accepted", ""
    except InputError as error:
        named = path.stem in str(error) or kind == "wav"  # of sound, the inner ear knows no file
        verdict = ("refused" if named else "unnamed"), str(error)[:300]
    except Exception as error:
        verdict = f"raised {type(error).__name__}", str(error)[:300]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return ("memory", f"{grown} bytes more") if grown > GROWTH else verdict


def work(kind: str, first: int, end: int, place: Path) -> None:
    """A worker: judge inputs, noting before each one where it stands."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, open(place, "r+b") as note, open(f"{place}.verdicts", "a", buffering=1) as verdicts:
        at = mmap.mmap(note.fileno(), 8)
        sources = list(originals(kind, Path(folder)))
        path = Path(folder, f"input{SUFFIX[kind]}")
        for extra in list(Path(folder).iterdir()):
            extra.unlink()
        for source in sources:  # imports and compiles
            path.write_bytes(source)
            judge(kind, path)
        for number in range(first, end):
            at[:8] = struct.pack("<q", number)
            make(kind, number, sources, path)
            verdict, text = judge(kind, path)
            left = sorted(os.listdir(folder))
            if left != [path.name]:
                verdict, text = "wrote files", str(left)
                for name in set(left) - {path.name}:
                    os.unlink(Path(folder, name))
            verdicts.write(json.dumps([number, verdict, text]) + "\n")


def _processor_seconds(pid: int) -> float:
    """Time of a processor that a process has used; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fuzz(kind: str, count: int, out: Path, progress: bool = False) -> Counter:
    """Judge inputs 0 to ``count``, beginning a new worker after each one that took the last down."""
    place = out / kind
    place.write_bytes(struct.pack("<q", -1))
    log = Path(f"{place}.verdicts")
    log.write_text("")
    first, lost = 0, []
    while first < count:
        command = [sys.executable, __file__, "--worker", kind, str(first), str(count), str(place)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        verdict, seen, since, used = "", None, time.monotonic(), 0.0
        while process.poll() is None:
            time.sleep(0.2)
            (now,) = struct.unpack("<q", place.read_bytes())
            spent = _processor_seconds(process.pid)
            if now != seen:
                seen, since, used = now, time.monotonic(), spent
                continue
            slow = 1 if now >= first else 20  # the first input waits for imports
            if spent - used > slow * SECONDS or time.monotonic() - since > 20 * slow * SECONDS:
                process.kill()
                process.wait()
                verdict = "hang"
        (at,) = struct.unpack("<q", place.read_bytes())
        if process.returncode == 0:
            break
        if at < first:
            raise RuntimeError(f"the worker of {kind} does not start (exit status {process.returncode})")
        code = -process.returncode
        lost.append([at, verdict or (f"crash {signal.Signals(code).name}" if code > 0 else "worker ended"), ""])
        first = at + 1
    rows = [json.loads(line) for line in log.read_text().splitlines()] + lost
    counts = Counter(verdict for _, verdict, _ in rows)
    bad = [row for row in rows if row[1] not in ("accepted", "refused")]
    with tempfile.TemporaryDirectory() as folder:
        sources = list(originals(kind, Path(folder)))
        for number, verdict, _ in bad[:50]:
            make(kind, number, sources, out / f"{kind}-{number}-{verdict.replace(' ', '-')}{SUFFIX[kind]}")
    (out / f"{kind}.failures.json").write_text(json.dumps(bad, indent=0))
    for leftover in (place, log):
        leftover.unlink()
    if progress:
        print(f"{kind:<14}" + ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common()), flush=True)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs of all kinds together")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--out", default="fuzz", help="folder for what fails")
    parser.add_argument("--again", metavar="KIND:NUMBER", help="make one input and read it here")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        kind, first, end, place = args.worker
        work(kind, int(first), int(end), Path(place))
        return 0
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    if args.again:
        kind, number = args.again.split(":")
        with tempfile.TemporaryDirectory() as folder:
            make(kind, int(number), list(originals(kind, Path(folder))), out / f"again{SUFFIX[kind]}")
        read(kind, out / f"again{SUFFIX[kind]}")
        return 0
    started, total = time.monotonic(), Counter()
    share = sum(SHARE[kind] for kind in args.kinds)
    for kind in args.kinds:
        total += fuzz(kind, ceil(args.inputs * SHARE[kind] / share), out, True)
    bad = sum(n for verdict, n in total.items() if verdict not in ("accepted", "refused"))
    print(f"{sum(total.values())} inputs in {time.monotonic() - started:.0f} s: {bad} failures" + (f", kept in {out}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
