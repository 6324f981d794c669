"""Files that mean harm, one of each kind: refused by name, at once, and in little memory. The fuzzer takes up where these end."""

import errno
import functools
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import fuzz_readers
import h5py
import numpy as np
import pytest

from lava_1m1t1r._support import hdf5_file
from lava_1m1t1r.datasets import read_shd, read_wav, shd, wav_folder
from lava_1m1t1r.device.measurement import read_csv
from lava_1m1t1r.errors import FormatError
from lava_1m1t1r.netx.schema import read


def original(kind, number, path):
    with tempfile.TemporaryDirectory() as folder:
        path.write_bytes(list(fuzz_readers.originals(kind, Path(folder)))[number])
    return path


@pytest.fixture
def net(tmp_path):
    return original("net", 0, tmp_path / "a.net")


@pytest.fixture
def shd_path(tmp_path):
    return original("shd", 0, tmp_path / "a.h5")


def soft(file, name):
    file[name] = h5py.SoftLink("/layer")


def external(file, name):
    file[name] = h5py.ExternalLink("/etc/passwd", "/")


def claim(file, name):
    file.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=True)


def bomb(file, name):
    file.create_dataset(name, (1 << 28,), "u1", chunks=(1 << 20,), compression="gzip", compression_opts=9)
    file[name][: 1 << 22] = 0


def inflating(file, name):
    data = file.create_dataset(name, (64,), "u1", chunks=(64,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 22), 9)[:4000])


def references(file, name):
    file.create_dataset(name, (2,), h5py.ref_dtype)


def records(file, name):
    file[name] = np.zeros(3, [("a", "i4"), ("b", "O")][:1])


def opaque(file, name):
    file[name] = np.zeros(3, "V8")


def elsewhere(file, name):
    file.create_dataset(name, (3,), "i4", external=[("/etc/passwd", 0, 12)])


def virtual(file, name):
    layout = h5py.VirtualLayout((3,), "i4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset(name, layout)


def filtered(file, name):
    file.create_dataset(name, (64,), "i4", chunks=(64,), scaleoffset=0)


HARM = {
    soft: "a soft link",
    external: "a link into another file",
    claim: "claim at most",
    bomb: "claim at most",
    inflating: "inflate to chunks of 64 bytes|store chunks of at most|gzip chunks",
    references: "numbers or text",
    records: "numbers or text",
    opaque: "numbers or text",
    elsewhere: "keep its values in this file",
    virtual: "keep its values in this file",
    filtered: "be packed by nothing but",
}


@pytest.mark.parametrize("harm", HARM, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("kind", "key", "reader"), [("net", "layer/2/weight", read), ("shd", "labels", read_shd)])
def test_harm_is_refused_by_name(kind, key, reader, harm, tmp_path):
    path = original(kind, 0, tmp_path / "a.file")
    with h5py.File(path, "r+") as file:
        del file[key]
        harm(file, key)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match=HARM[harm]) as error:
        reader(path)
    assert str(path) in str(error.value) and key in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18  # KiB
    assert [p.name for p in tmp_path.iterdir()] == ["a.file"]


def test_a_group_that_holds_itself_ends(net):
    with h5py.File(net, "r+") as file:
        file["layer/0/neuron/again"] = file["layer"]
    with pytest.raises(FormatError, match="stand in one place only"):
        read(net)


def test_depth_number_and_total_size_of_what_a_file_holds_are_bounded(net, monkeypatch):
    raw = net.read_bytes()
    with h5py.File(net, "r+") as file:
        file.create_group("layer/0/" + "/".join("abcdefghijklmnop"))
    with pytest.raises(FormatError, match="layer/0/a/.* must have at most 16 levels of groups; got 16"):
        read(net)
    net.write_bytes(raw)
    with h5py.File(net, "r+") as file:
        for name in ("a", "b"):  # each alone would be allowed
            file.create_dataset(f"layer/0/{name}", (40 << 20,), "u1", chunks=(1 << 20,))
    with pytest.raises(FormatError, match=r"layer/0/\w+ must claim at most \d+ bytes, for a file of this size; got 41943040"):
        read(net)
    net.write_bytes(raw)
    monkeypatch.setattr(hdf5_file, "MOST_OBJECTS", 9)
    with pytest.raises(FormatError, match="a.net must hold at most 9 groups and datasets; got 10"):
        read(net)


def test_rows_are_read_behind_a_block_of_the_users_and_from_chunks_without_their_filters(shd_path, tmp_path):
    plain = read_shd(shd_path)
    with h5py.File(shd_path) as old, h5py.File(tmp_path / "block.h5", "w", userblock_size=1024) as new:
        for name in old:
            old.copy(name, new)
    assert read_shd(tmp_path / "block.h5") == plain
    with h5py.File(shd_path) as old, h5py.File(tmp_path / "bare.h5", "w") as new:
        for name in old:
            old.copy(name, new)
        for name in ("spikes/times", "spikes/units"):  # chunks of three, the second of which is not full
            rows, kind = new[name][:], new[name].dtype
            del new[name]
            new.create_dataset(name, data=rows, dtype=kind, chunks=(3,), compression="gzip", shuffle=True)
            new.flush()
            without, packed = new[name].id.read_direct_chunk((3,))
            assert without == 0b01  # HDF5 leaves rows unshuffled, and says so in each chunk
            new[name].id.write_direct_chunk((3,), zlib.decompress(packed), filter_mask=0b11)
    assert read_shd(tmp_path / "bare.h5") == plain


def test_files_with_short_addresses_are_refused(tmp_path):
    sizes = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    sizes.set_sizes(4, 4)
    with h5py.File(h5py.h5f.create(bytes(tmp_path / "short.h5"), fcpl=sizes)) as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            rows = np.empty(1, object)
            rows[0] = np.ones(3, kind)
            file.create_dataset(f"spikes/{name}", data=rows, dtype=h5py.vlen_dtype(kind))
        file["labels"] = np.zeros(1, np.uint16)
    with pytest.raises(FormatError, match=r"spikes/times must use addresses of 8 bytes; got \(4, 4\). Repack it with h5repack"):
        read_shd(tmp_path / "short.h5")


def test_a_file_that_is_being_written_is_told_from_a_damaged_one(net):
    code = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(net)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        try:
            h5py.File(net).close()
        except OSError:
            pass
        else:
            writer.stdin.close()
            pytest.skip("HDF5 does not lock files here")
        with pytest.raises(FormatError, match="a.net must not be open for writing elsewhere while it is read. Wait until that is done."):
            read(net)
        writer.stdin.close()
    assert read(net).layers


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_from_a_damaged_file(net, monkeypatch, number):
    def refused(*_, **__):
        raise OSError(number, "Unable to synchronously open file (unable to lock file)")

    monkeypatch.setattr("h5py._hl.files.make_fid", refused)
    with pytest.raises(FormatError, match="a.net lies in a file system that gives no locks .*HDF5_USE_FILE_LOCKING=FALSE"):
        read(net)


def test_heaps_are_bounded(shd_path):
    """Rows that point outside, and rows that are all the same large one."""
    raw = shd_path.read_bytes()
    with h5py.File(shd_path) as file:
        at = file["spikes/times"].id.get_offset()
    row = struct.Struct("<IQI")
    length, heap, index = row.unpack_from(raw, at)
    for damaged, text in (
        ((length, len(raw) + 5, index), "lie in a global heap"),
        ((length, heap + 8, index), "lie in a global heap"),
        ((length, heap, 999), "hold at most the 0 bytes"),
        ((1 << 31, heap, index), "hold at most the"),
    ):
        shd_path.write_bytes(raw[:at] + row.pack(*damaged) + raw[at + row.size :])
        with pytest.raises(FormatError, match=text):
            read_shd(shd_path)
    with h5py.File(shd_path, "w") as file:
        file.create_dataset("spikes/times", (4096,), h5py.vlen_dtype(np.float16))
        file["spikes/times"][0] = np.ones(100_000, np.float16)
        at = file["spikes/times"].id.get_offset()
        file.create_dataset("spikes/units", (4096,), h5py.vlen_dtype(np.uint16))
        file["labels"] = np.zeros(4096, np.uint16)
    raw = shd_path.read_bytes()
    shd_path.write_bytes(raw[:at] + raw[at : at + row.size] * 4096 + raw[at + row.size * 4096 :])
    with pytest.raises(FormatError, match="spikes/times must hold at most the .* bytes of the file"):
        read_shd(shd_path)


def test_rows_packed_and_unpacked_read_alike(tmp_path):
    plain, packed = (read_shd(original("shd", n, tmp_path / f"{n}.h5")) for n in (0, 1))
    np.testing.assert_array_equal(plain.times, packed.times)
    np.testing.assert_array_equal(plain.units, packed.units)
    assert plain.keys == packed.keys == ("a", "b", "c")


def test_rows_packed_otherwise_are_refused_and_how_is_told(shd_path):
    with h5py.File(shd_path, "r+") as file:
        rows = file["spikes/times"][:]
        del file["spikes/times"]
        file.create_dataset("spikes/times", data=rows, dtype=h5py.vlen_dtype(np.float16), chunks=(1,), compression="lzf")
    text = r"spikes/times must be packed by nothing but gzip and shuffling, as it holds rows .*; got \['lzf'\]. Repack it with h5repack"
    with pytest.raises(FormatError, match=text):
        read_shd(shd_path)


def test_text_packed_otherwise_is_refused_and_how_is_told(shd_path):
    with h5py.File(shd_path, "r+") as file:
        del file["extra/keys"]
        file.create_dataset("extra/keys", data=["a", "b", "c"], dtype=h5py.string_dtype(), chunks=(1,), compression="lzf")
    text = r"extra/keys must be packed by nothing but gzip and shuffling, as it holds rows or text .*; got \['lzf'\]. Repack it"
    with pytest.raises(FormatError, match=text):
        read_shd(shd_path)


def test_a_layer_of_too_many_neurons(net):
    with h5py.File(net, "r+") as file:
        del file["layer/0/shape"]
        file["layer/0/shape"] = [1 << 20, 1 << 20, 1 << 20]
    with pytest.raises(FormatError, match="layer/0/shape must name at most"):
        read(net)


def test_what_a_wav_file_claims(tmp_path):
    path = original("wav", 0, tmp_path / "a.wav")
    raw = path.read_bytes()
    path.write_bytes(raw[:40] + struct.pack("<I", 1 << 31) + raw[44:])
    with pytest.raises(FormatError, match="hold the 2147483648 bytes"):
        read_wav(path)
    (tmp_path / "list.csv").write_text("file,label\n../../../nowhere.wav,one\n")
    with pytest.raises(FormatError, match="list.csv, line 2: file must exist"):
        wav_folder(tmp_path / "list.csv")


def test_a_recording_whose_name_is_too_long(tmp_path):
    (tmp_path / "list.csv").write_text(f"file,label\n{'9' * 400}.wav,one\n")
    with pytest.raises(FormatError, match="list.csv, line 2: file must exist"):
        wav_folder(tmp_path / "list.csv")


def test_layers_are_a_group(net):
    """A large dataset in its place took a minute to be walked."""
    with h5py.File(net, "r+") as file:
        del file["layer"]
        file.create_dataset("layer", (1 << 24,), "u1", chunks=True)
    with pytest.raises(FormatError, match="layer must be a group of layers"):
        read(net)


def test_an_open_file_is_walked_once(net):
    with hdf5_file.opened(net) as file:
        hdf5_file.check_tree(file)
        assert hdf5_file.dataset(file, "layer/0/weight").shape == (7, 6)
        assert hdf5_file.dataset(file, "layer/0/nothing") is None
        assert hdf5_file.dataset(file, "layer/0") is None


def test_mistakes_of_who_reads_a_file_are_not_the_files(net, monkeypatch):
    """The file is sound: to copy it again would not help. Of a damaged one, h5py complains."""
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute"), hdf5_file.opened(net):
        None.start  # noqa: B018
    with pytest.raises(FormatError, match="complete and undamaged; reading it failed with"), hdf5_file.opened(net) as file:
        file["layer/0/nothing"]
    monkeypatch.setattr(hdf5_file, "_of_library", lambda error: True)  # as where h5py writes another file
    with pytest.raises(OSError, match="No space left") as told, hdf5_file.opened(net):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(told.value, FormatError)


def test_a_checkpoint_is_told_from_a_network(tmp_path):
    np.savez(tmp_path / "last.npz", tree=np.zeros(3))  # as a checkpoint is
    with pytest.raises(FormatError, match=r"A checkpoint of `train` is no such file: read network\.net beside it"):
        read(tmp_path / "last.npz")


def test_names_that_are_no_text_are_refused(net, tmp_path):
    """Of such h5py makes bytes, which nothing sorts among texts."""
    with h5py.File(net, "r+") as file:
        file[b"layer/0/neur\xffn"] = 1
    with pytest.raises(FormatError, match=r"layer/0/b'neur\\xffn' must have a name in UTF-8"):
        read(net)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file[b"spik\xffs"], file["labels"] = 1, 1
    with pytest.raises(FormatError, match="must hold the dataset 'spikes/times'"):
        read_shd(tmp_path / "x.h5")


@pytest.fixture
def open_to_all():
    """A folder in which others may look, as those that pytest makes are not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def errors_without_rights(jobs):
    """What each job raises in a child that is not root: class and text."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        found = []
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            for job in jobs:
                try:
                    job()
                    found.append(["", "it was read"])
                except Exception as error:
                    found.append([type(error).__name__, str(error)])
            os.write(sink, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def test_what_may_not_be_read_is_named(open_to_all):
    """By someone without rights; all has been read once before, so that the child need not import anything."""
    readers = dict(net=read, shd=read_shd, wav=read_wav, measurements=read_csv)
    jobs = {}
    for kind, reader in readers.items():
        path = original(kind, 0, open_to_all / f"a{fuzz_readers.SUFFIX[kind]}")
        reader(path)
        jobs[path] = reader
    (open_to_all / "list.csv").write_text("file,label\na.wav,one\n")
    jobs[open_to_all / "list.csv"] = functools.partial(wav_folder, threads=1, progress=False)
    for name, file, reader in (
        ("one", "a.wav", lambda folder: wav_folder(folder.parent, threads=1, progress=False)),
        ("own", "shd_train.h5", shd),
    ):
        folder = open_to_all / name / "folder"
        folder.mkdir(parents=True)
        folder.parent.chmod(0o755)  # whatever the umask
        (folder / file).write_bytes((open_to_all / f"a{Path(file).suffix}").read_bytes())
        jobs[folder] = reader
    for path, reader in jobs.items():
        reader(path)
        path.chmod(0)
    found = errors_without_rights([functools.partial(reader, path) for path, reader in jobs.items()])
    for path, (kind, text) in zip(jobs, found, strict=True):
        assert kind == "PermissionError" and str(path) in text, (path, kind, text)
        path.chmod(0o755)


@pytest.mark.train
def test_a_checkpoint_that_may_not_be_read_is_named(open_to_all):
    from lava_1m1t1r.recipes import checkpoint

    path = open_to_all / "last.ckpt"
    checkpoint.write(path, {"state_dict": {}, "run": {}})
    checkpoint.read(path)
    path.chmod(0)
    ((kind, text),) = errors_without_rights([lambda: checkpoint.read(path)])
    assert kind == "PermissionError" and str(path) in text


def test_a_command_names_the_file_that_it_may_not_read(tmp_path, monkeypatch, capsys):
    """The command's own way with such an error: a line, and 2."""
    from lava_1m1t1r import cli

    path, real = original("net", 0, tmp_path / "a.net"), open

    def closed(name, *rest, **named):
        if Path(name) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return real(name, *rest, **named)

    monkeypatch.setattr(hdf5_file, "open", closed, raising=False)
    assert cli.main(["evaluate", str(path)]) == cli.USAGE_ERROR
    assert capsys.readouterr().err == f"lava-1m1t1r evaluate: [Errno 13] Permission denied: '{path}'\n"


@pytest.mark.timeout(600)  # compiles
@pytest.mark.parametrize("kind", fuzz_readers.KINDS)
def test_originals_are_read(kind, tmp_path):
    for number, content in enumerate(fuzz_readers.originals(kind, tmp_path)):
        path = tmp_path / f"{kind}{number}{fuzz_readers.SUFFIX[kind]}"
        path.write_bytes(content)
        verdict, text = fuzz_readers.judge(kind, path)
        assert verdict == ("refused" if kind == "recordings" else "accepted"), text  # its recordings are not there


@pytest.mark.timeout(600)  # three processes that compile
def test_a_sample_of_the_fuzzer(tmp_path):
    counts = {kind: fuzz_readers.fuzz(kind, 60, tmp_path) for kind in ("net", "shd", "wav")}
    assert all(set(c) <= {"accepted", "refused"} and sum(c.values()) == 60 and c["refused"] > 5 for c in counts.values()), counts
