"""A stem is there as its blocks come: on a real store, the same bytes as if it had been whole."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from minio import Minio
from msgspec import UNSET

from functions.separate.audio.encoders import make_encoder, prevent_clipping, rescale_divisor
from functions.separate.job import Job
from functions.separate.output import multipart, preview
from functions.separate.output.multipart import PART_BYTES
from functions.separate.output.serial_executor import SerialExecutor
from functions.separate.output.stem_store import StemStore
from functions.separate.output.stems_writer import StemsWriter, open_stems
from functions.separate.stems import Stem
from microdemucs.events import ObjectCreated
from microdemucs.jobs import preview_prefix
from microdemucs.options import Options
from tests.integration.separate.sounds import music

STEMS = [Stem("one", (0,)), Stem("no_one", (1, 2))]
BLOCK = 258_000
SOURCES = np.stack([music(30, seed=seed).T for seed in range(3)]) * np.float32(0.4)
LOUD = SOURCES * np.float32([1, 6, 6])[:, None, None]
ALL = [
    Options(format=format_, bits=bits, clip_mode=mode)
    for format_, bits in (("mp3", 16), ("flac", 16), ("flac", 24), ("wav", 16), ("wav", 32))
    for mode in ("rescale", "clamp", "none")
]


@pytest.fixture
def shelf(context, request: pytest.FixtureRequest) -> StemStore:
    song = ObjectCreated("songs", request.node.name, 1, "etag")
    return StemStore(context.stems, Job("0" * 32, song, "", ""))


@pytest.fixture
def there(root: Minio, request: pytest.FixtureRequest):
    """The objects beside the song: name → bytes."""

    def there(prefix: str = f"{request.node.name}/") -> dict[str, bytes]:
        found = root.list_objects("stems", prefix, recursive=True)
        keys = [str(one.object_name) for one in found]
        return {key.removeprefix(prefix): root.get_object("stems", key).read() for key in keys}

    return there


@pytest.fixture
def uploads(root: Minio, request: pytest.FixtureRequest):
    """The multipart uploads that are open."""

    def uploads() -> list[str]:
        keys = [f"{request.node.name}/{stem.name}.wav" for stem in STEMS]
        # MinIO lists those of one key only
        found = [root._list_multipart_uploads("stems", prefix=key).uploads for key in keys]
        return [one.object_name for some in found for one in some]

    return uploads


def whole(audio: np.ndarray, options: Options) -> bytes:
    """The file of `audio` [2, n], encoded at one go when all of it is there."""
    with tempfile.TemporaryFile() as into:
        writer = make_encoder(options, into, audio.shape[1], 7)
        writer.write(
            prevent_clipping(audio, options.clip_mode, rescale_divisor(np.abs(audio).max()))
        )
        writer.close()
        into.seek(0)
        return into.read()


def blocks(sources: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, sources.shape[-1], BLOCK):
        yield sources[..., start : start + BLOCK].copy()


@contextmanager
def written(shelf: StemStore, sources: np.ndarray, options: Options) -> Iterator[StemsWriter]:
    with open_stems(shelf, STEMS, options, sources.shape[-1]) as files:
        for block in blocks(sources):
            files.write(block)
        files.wait()
        yield files


@pytest.mark.parametrize("sources", [SOURCES, LOUD], ids=["quiet", "loud"])
@pytest.mark.parametrize("options", ALL, ids=lambda o: f"{o.format}{o.bits}-{o.clip_mode}")
def test_the_stems_are_what_is_encoded_at_one_go(shelf, there, options, sources):
    with written(shelf, sources, options) as files:
        is_rescaled = sources is LOUD and options.clip_mode == "rescale"
        assert [file.name for file in files.needing_reencoding] == (
            ["no_one"] if is_rescaled else []
        )
        files.reencode(lambda share: None)
        told = files.finish()
    shelf.remove_previews()
    right = {
        f"one.{options.format}": whole(sources[0], options),
        f"no_one.{options.format}": whole(sources[1] + sources[2], options),
    }
    assert there() == right
    assert [stem.size for stem in told] == [len(data) for data in right.values()]
    assert [stem.scale is not UNSET for stem in told] == [False, is_rescaled]


def test_nothing_is_there_before_all_is(shelf, there, uploads):
    sources = np.concatenate([SOURCES] * 3, axis=-1)
    with written(shelf, sources, Options(format="wav")) as files:
        assert len(uploads()) == 2
        assert [name for name in there() if not name.startswith(".live/")] == []
        files.finish()
        assert {"one.wav", "no_one.wav"} <= set(there())
    assert uploads() == []


def test_more_than_two_parts_are_one_object(shelf, there):
    sources = np.concatenate([SOURCES] * 5, axis=-1)
    options = Options(format="wav")
    with written(shelf, sources, options) as files:
        files.finish()
    data = there()["one.wav"]
    assert len(data) > 4 * PART_BYTES
    assert data == whole(sources[0], options)


@pytest.mark.parametrize("clip_mode", ["none", "rescale"])
def test_what_is_given_up_leaves_nothing(shelf, there, uploads, clip_mode):
    sources = np.concatenate([SOURCES] * 3, axis=-1)
    options = Options(format="wav", clip_mode=clip_mode)
    with written(shelf, sources, options):
        assert len(uploads()) == 2
    assert uploads() == []
    shelf.remove_previews()
    assert there() == {}


def test_an_upload_that_will_be_wrong_is_given_up_at_once(shelf, uploads):
    sources = np.concatenate([SOURCES, SOURCES, LOUD], axis=-1)
    with written(shelf, sources, Options(format="wav")):
        assert [key.rpartition("/")[2] for key in uploads()] == ["one.wav"]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 2 * PART_BYTES - 1, 2 * PART_BYTES, 12_345_678])
def test_an_upload_of_any_size_is_whole(context, root, size, tmp_path):
    data = np.random.default_rng(size).bytes(size)
    with (tmp_path / "grows").open("w+b", buffering=0) as file:
        upload = multipart.Upload(context.stems, f"upload-{size}", "audio/x-test", file)
        for start in range(0, size, 3_000_000):
            file.write(data[start : start + 3_000_000])
            upload.grown(file.tell())
        file.seek(0)
        file.write(b"HEAD"[:size])  # as FLAC's encoder does in the end
        assert upload.finish() == size
    answer = root.get_object("stems", f"upload-{size}")
    assert answer.read() == b"HEAD"[:size] + data[4:]
    assert answer.headers["Content-Type"] == "audio/x-test"


@pytest.mark.parametrize("format_", ["mp3", "flac", "wav"])
def test_the_pieces_are_the_beginning_of_the_stem(shelf, there, format_, request):
    options = Options(format=format_)
    sources = np.concatenate([SOURCES] * 2, axis=-1)
    with open_stems(shelf, STEMS, options, sources.shape[-1]) as files:
        counts = []
        for block in blocks(sources):
            files.write(block)
            files.wait()
            counts.append(len(there(preview_prefix(request.node.name) + f"one.{format_}/")))
        heard = there(preview_prefix(request.node.name) + f"one.{format_}/")
        files.finish()
    # after the first block, and then where 20 s are full: never at the end
    assert counts == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    assert sorted(heard) == ["000001", "000002", "000003"]
    beginning = b"".join(heard[name] for name in sorted(heard))
    stem = whole(sources[0], options)
    header = 200 if format_ == "flac" else 0  # which is written anew in the end
    assert 0 < len(beginning) < len(stem)
    assert beginning[header:] == stem[header : len(beginning)]
    shelf.remove_previews()
    assert there(preview_prefix(request.node.name)) == {}


def test_where_the_key_leaves_no_room_there_are_no_pieces(context, root, tmp_path):
    key = "/".join(["k" * 200] * 4 + ["k" * 196])
    with (tmp_path / "grows").open("w+b", buffering=0) as file:
        file.write(b"some")
        preview.Preview(context.stems, key, "no_vocals.flac", file).grown(4, 1)
    assert list(root.list_objects("stems", preview_prefix(key), recursive=True)) == []


def test_in_a_lane_order_is_kept_and_few_wait():
    go, done, given = threading.Event(), [], []

    def work(number: int) -> None:
        go.wait(10)
        done.append(number)

    def give() -> None:
        for number in range(10):
            lane.submit(work, number)
            given.append(number)

    with SerialExecutor() as lane:
        giving = threading.Thread(target=give)
        giving.start()
        giving.join(0.2)
        assert given == [0, 1]
        go.set()
        giving.join(10)
        lane.wait()
    assert done == list(range(10))


def test_what_is_raised_in_a_lane_is_raised_to_who_gives_more():
    def fail() -> None:
        raise MemoryError

    with SerialExecutor() as lane:
        lane.submit(fail)
        lane.submit(fail)
        with pytest.raises(MemoryError):
            lane.submit(fail)


def test_who_leaves_a_lane_drops_what_has_not_begun():
    begun, go, done = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.set()
        go.wait(10)
        done.append(number)

    with SerialExecutor() as lane:
        lane.submit(work, 1)
        lane.submit(work, 2)
        begun.wait(10)
        threading.Timer(0.1, go.set).start()
    assert done == [1]
