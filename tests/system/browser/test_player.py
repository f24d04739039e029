"""The page's player: what is heard of each stem, sample by sample, in a real browser."""

import base64
import io
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.lib.stride_tricks import sliding_window_view
from playwright.sync_api import Browser, Page, Request

from microdemucs.lame_info import count_frames, info_frame
from testing.encoded_stems import encode
from testing.job_writer import STEMS, JobWriter
from tests.system.browser.listening import (
    FADED,
    RATE,
    Listener,
    Numbers,
    Samples,
    Song,
    counting,
    decode,
    find,
    noise,
    numbers_of,
    sounding,
    wav,
)
from tests.system.browser.player_fixtures import listener, page, song

__all__ = ["listener", "page", "song"]  # pytest finds them here

SECONDS = 20
LENGTH = SECONDS * RATE
STEADY = 32  # samples in a row
LEVELS = [0.1, 0.2, 0.3, 0.4]


@cache
def counting_stems() -> dict[str, bytes]:
    """WAV files whose samples tell their number."""
    return {f"{name}.wav": wav(counting(number, LENGTH)) for number, name in enumerate(STEMS)}


@cache
def decoded(data: bytes) -> Samples:
    """The samples of a file, as FFmpeg decodes it from its beginning."""
    return decode(data)


@cache
def noise_stems(format_: str, bitrate: int) -> dict[str, bytes]:
    """Files of noise, another one in each stem."""
    return {
        f"{name}.{format_}": encode(noise(number, LENGTH), format=format_, bitrate=bitrate)
        for number, name in enumerate(STEMS)
    }


def spread(numbers: Numbers) -> set[int]:
    """Return by how many samples the stems are apart, wherever all play steadily.

    While a stem is faded, some of its samples look like neighbours of what they are.
    """
    steps = sliding_window_view(np.diff(numbers, axis=1) == 1, STEADY, axis=1).all(axis=2)
    steady = numbers[:, STEADY:][:, (steps & (numbers[:, STEADY:] >= 0)).all(axis=0)]
    return set((steady.max(axis=0) - steady.min(axis=0)).tolist())


def test_stems_are_never_a_sample_apart_after_pauses_seeks_and_mutes(
    song: Song, listener: Listener
) -> None:
    listener.load(song.finish(counting_stems()))
    listener.pause_seek_and_mute(SECONDS, playing_s=0.2, muted_s=0.05)
    listener.do("seek(1)")
    listener.play_on(0.5)
    numbers = numbers_of(listener.recorded())
    assert spread(numbers) == {0}
    assert (numbers >= 0).all(axis=0).sum() > 4 * RATE
    assert listener.problems() == []


def test_no_sample_is_missing_or_doubled(song: Song, listener: Listener) -> None:
    listener.load(song.finish(counting_stems()))
    listener.do("play()")
    listener.play_until("position > 4")
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    assert set(np.diff(numbers).ravel().tolist()) == {1}


@pytest.mark.parametrize("is_playing", [False, True], ids=["start", "seek"])
def test_a_start_loses_nothing_while_the_page_is_busy(
    song: Song, listener: Listener, is_playing: bool
) -> None:
    listener.load(song.finish(counting_stems()))
    listener.do("seek(4)")
    listener.do("play()")
    listener.play_on(0.3)
    listener.do("seek(9)")
    listener.play_on(0.3)
    if not is_playing:
        listener.do("pause()")
        listener.do("seek(4)")
        listener.recorded()
    listener.do_late("seek(4)" if is_playing else "play()")
    listener.play_until("position < 9 && tested.position > 4.4")
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    begin = np.nonzero(numbers[0] == 4 * RATE + 2 * FADED)[0][-1]
    assert set(np.diff(numbers[:, begin:]).ravel().tolist()) == {1}
    assert spread(numbers) == {0}


@cache
def constant_stems() -> dict[str, bytes]:
    """WAV files whose samples are all the same."""
    return {
        f"{name}.wav": wav(np.full((2, LENGTH), level * 32767, np.int16))
        for name, level in zip(STEMS, LEVELS, strict=True)
    }


def levels(listener: Listener) -> Samples:
    """Return what was heard of `constant_stems`; 1 is the level of the file."""
    return listener.recorded() / np.array(LEVELS, np.float32)[:, None, None]


def test_nothing_clicks_while_the_page_is_busy(song: Song, listener: Listener) -> None:
    listener.load(song.finish(constant_stems()))
    for call in ("play()", "setMuted('bass', true)", "setMuted('bass', false)", "pause()"):
        listener.do_late(call)
        if listener.do("isPlaying"):
            listener.play_on(0.1)
    heard = levels(listener)
    assert heard.max() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(heard)).max() < 0.1


def test_nothing_clicks_if_the_browser_tells_an_old_time(
    page: Page, song: Song, listener: Listener
) -> None:
    listener.load(song.finish(constant_stems()))
    listener.do("play()")
    listener.play_on(0.1)
    page.evaluate("""() => {
        const time = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, "currentTime");
        const get = function () { return time.get.call(this) - 0.1; };
        Object.defineProperty(BaseAudioContext.prototype, "currentTime", { get });
    }""")
    listener.play_on(1.2)  # it counts the time from before no more
    for call in (
        "setMuted('bass', true)",
        "setMuted('bass', false)",
        "setVolume('other', 0.3)",
        "setPan('drums', 1)",
        "seek(9)",
        "setSolo('vocals', true)",
    ):
        listener.do(call)
        listener.play_on(0.5)
    listener.do("pause()")
    heard = levels(listener)
    assert heard[:, 0].max(axis=1) == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(heard)).max() < 0.1


def halves(stems: dict[str, bytes], share: float) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the first bytes of each file, up to this share, and the rest."""
    cuts = {file: round(len(data) * share) for file, data in stems.items()}
    return (
        {file: data[: cuts[file]] for file, data in stems.items()},
        {file: data[cuts[file] :] for file, data in stems.items()},
    )


def test_the_song_plays_on_without_a_gap_when_the_job_finishes(
    song: Song, listener: Listener
) -> None:
    stems = counting_stems()
    song.add_preview(1, halves(stems, 0.45)[0])  # 9 s
    song.write_stems(stems)
    listener.load(song.live(), duration=SECONDS)
    listener.do("play()")
    listener.play_on(1)
    finished = song.finish_written(stems)
    listener.do(f"finish({{stems: {finished}, duration: {SECONDS}}})")
    listener.play_until("position > 11")
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    assert set(np.diff(numbers).ravel().tolist()) == {1}
    assert numbers.max() > 10 * RATE


def test_only_one_stem_asks_for_the_first_bytes_again_and_again(
    page: Page, song: Song, listener: Listener
) -> None:
    asked: Counter[str] = Counter()  # before there is anything

    def count(request: Request) -> None:
        if "/live/" in request.url and max(asked.values(), default=0) < 10:
            stem = request.url.rpartition("/")[2]
            asked[stem] += 1
            if asked[stem] == 10:
                song.add_preview(1, halves(counting_stems(), 0.45)[0])

    page.on("request", count)
    listener.load(song.live(), duration=SECONDS)
    listener.do("play()")
    listener.play_until("position > 1")
    listener.do("pause()")
    assert spread(numbers_of(sounding(listener.recorded()))) == {0}
    assert set(asked) == set(STEMS)
    assert [times for _, times in asked.most_common()] == [10, 1, 1, 1]
    assert listener.problems() == []


@pytest.mark.parametrize("format_", ["mp3", "flac"])
@pytest.mark.parametrize("gain", [1.0, 0.5], ids=["the same", "encoded again"])
def test_the_finished_file_continues_at_the_sample_where_its_preview_ended(
    song: Song, listener: Listener, format_: str, gain: float
) -> None:
    preview = noise_stems(format_, 320)
    final = {
        f"{name}.{format_}": encode(np.float32(gain) * noise(number, LENGTH), format=format_)
        for number, name in enumerate(STEMS)
    }
    song.add_preview(1, halves(preview, 0.25)[0])  # 5 s
    song.write_stems(final, scale=None if gain == 1 else gain)
    listener.load(song.live(), duration=SECONDS)
    listener.do("play()")
    listener.play_on(0.5)
    finished = song.finish_written(final)
    listener.do(f"finish({{stems: {finished}, duration: {SECONDS}}})")
    listener.play_until("position > 7")
    listener.do("pause()")
    excerpt = sounding(listener.recorded())
    for number, file in enumerate(preview):
        before, after = decoded(preview[file]), decoded(final[file])
        first = find(excerpt[number], before)
        played = excerpt[number, 0]
        stop = first + len(played)
        is_preview = np.abs(before[0, first:stop] - played) < 1e-3
        is_final = np.abs(after[0, first:stop] - played) < 1e-3
        joint = len(played) if gain == 1 else int(np.argmin(is_preview))
        assert is_preview[:joint].all()
        assert is_final[joint:].all()
        assert gain == 1 or 0 < joint < len(played)


def test_a_player_at_the_end_of_what_is_separated_waits_for_more(
    song: Song, listener: Listener
) -> None:
    first, rest = halves(counting_stems(), 0.15)  # 3 s
    song.add_preview(1, first)
    listener.load(song.live(), duration=SECONDS)
    listener.do("play()")
    listener.play_until("state === 'playing'")
    assert 2.9 < listener.do("available") < 3.1
    listener.play_until("state === 'buffering'")
    song.add_preview(2, halves(rest, 0.2)[0])
    listener.play_until("position > 4")
    assert listener.do("isPlaying") is True
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    assert spread(numbers) == {0}
    steps = np.diff(numbers[0][numbers[0] >= 0])
    assert set(steps.tolist()) == {1}  # it waited, but left nothing out


def test_a_far_place_is_decoded_without_what_lies_between(page: Page, song: Song) -> None:
    requests = page.evaluate("""async () => {
        const page = document.querySelector('script[src$="page.js"]').src;
        const { Blocks } = await import(page.replace("page.js", "player/blocks.js"));
        const requests = [];
        const decoding = { request: (...values) => requests.push(values), extend() {} };
        const blocks = new Blocks(decoding, ["bass"]);
        const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);
        for (const [from, to] of [[0, 50], [3, 53], [40, 90]]) blocks.require(range(from, to));
        return requests.map(([name, run, first, end]) => [name, first, end]);
    }""")
    assert requests == [["bass", 0, 50], ["bass", 40, 90]]


def test_a_loop_turns_at_the_exact_sample(song: Song, listener: Listener) -> None:
    listener.load(song.finish(counting_stems()))
    start, stop = 2 * RATE + 101, 2 * RATE + 20_011
    listener.do("seek(1.9)")
    listener.do(f"setLoop({{from: {start / RATE}, to: {stop / RATE}}})")
    listener.do("play()")
    for _ in range(6):
        listener.play_until(f"position > {(stop - 9000) / RATE}")
        listener.play_until(f"position < {(stop - 9000) / RATE}")
    listener.do("setLoop(null)")
    listener.play_until(f"position > {stop / RATE + 0.5}")
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    assert spread(numbers) == {0}
    turns = np.nonzero(np.diff(numbers[0]) != 1)[0]
    assert len(turns) >= 5
    assert {(int(numbers[0][at]), int(numbers[0][at + 1])) for at in turns} == {(stop - 1, start)}


def test_a_stem_that_is_missing_does_not_silence_the_others(
    song: Song, listener: Listener, job_writer: JobWriter
) -> None:
    stems = song.finish(counting_stems())
    job_writer.stems.remove(f"{song.job.key}/bass.wav")
    listener.load(stems)
    listener.do("play()")
    listener.play_until("position > 1")
    listener.do("pause()")
    numbers = numbers_of(sounding(listener.recorded()))
    assert set(np.diff(numbers[[0, 2, 3]]).ravel().tolist()) == {1}
    assert {problem["stem"] for problem in listener.problems()} == {"bass"}


def test_links_that_have_expired_are_renewed_while_the_song_plays(
    page: Page, song: Song, listener: Listener
) -> None:
    stems = song.finish(counting_stems())
    expired = [{**stem, "url": stem["url"].replace("Signature=", "Signature=0")} for stem in stems]
    page.evaluate("stems => { window.renewed = stems; window.renewals = 0; }", stems)
    listener.load(expired, refresh="() => { renewals += 1; return renewed; }")
    listener.do("play()")
    listener.play_until("position > 1")
    assert listener.problems() == []
    assert page.evaluate("renewals") >= 1


def test_volume_pan_mute_and_solo_are_those_of_the_stem(song: Song, listener: Listener) -> None:
    listener.load(song.finish(counting_stems()))
    listener.do("setVolume('drums', 0.5)")
    listener.do("setPan('bass', -1)")
    listener.do("setMuted('other', true)")
    listener.do("play()")
    listener.play_until("position > 1")
    assert listener.do("level('drums')")["peak"] > 0.01
    assert listener.do("level('other')") == {"peak": 0, "rms": 0}
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    drums = numbers_of(recorded * np.float32(2))[0]
    assert set(np.diff(drums).tolist()) == {1}
    assert np.abs(recorded[1, 1]).max() < 1e-6
    assert np.abs(recorded[2]).max() == 0
    listener.do("setSolo('vocals', true)")
    listener.do("play()")
    listener.play_on(0.5)
    listener.do("pause()")
    recorded = sounding(listener.recorded())
    assert [bool(np.abs(stem).max() > 0) for stem in recorded] == [False, False, False, True]


def test_the_mix_is_a_file_with_the_sum_of_what_is_heard(
    page: Page, song: Song, listener: Listener
) -> None:
    listener.load(song.finish(noise_stems("flac", 320)))
    listener.do("setVolume('drums', 0.5)")
    listener.do("setMuted('bass', true)")
    data = page.evaluate("""async () => {
        const tags = { title: "Zweites Stück", artist: "Björk & 久石譲" };
        const blob = await tested.renderMix({ from: 1.5, to: 11.25, ...tags });
        const reader = new FileReader();
        const read = new Promise((resolve) => { reader.onload = resolve; });
        reader.readAsDataURL(blob);
        await read;
        return reader.result.split(",")[1];
    }""")
    with soundfile.SoundFile(io.BytesIO(base64.b64decode(data))) as file:
        mixed, rate = file.read(dtype="float32"), file.samplerate
        assert (file.title, file.artist) == ("Zweites Stück (without bass)", "Björk & 久石譲")
    drums, _, other, vocals = (noise(number, LENGTH) for number in range(len(STEMS)))
    expected = (0.5 * drums + other + vocals)[:, round(1.5 * RATE) : round(11.25 * RATE)]
    assert (rate, mixed.T.shape) == (RATE, expected.shape)
    assert np.abs(mixed.T - expected).max() < 2e-4


def hour_of_noise() -> bytes:
    """An MP3 file of an hour: the same ten seconds again and again."""
    data = encode(noise(1, 10 * RATE), format="mp3", bitrate=128)
    header = data[:4]
    info = len(info_frame(header, 0, 0, 0))
    frames = data[info:] * 360
    return info_frame(header, count_frames(header, len(frames)), len(frames), 3600 * RATE) + frames


def memory(browser: Browser) -> int:
    """Return the private bytes of all processes that run pages."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    status = [
        Path(f"/proc/{process['id']}/status").read_text()
        for process in processes
        if process["type"] == "renderer"
    ]
    kilobytes = [
        int(line.split()[1])
        for text in status
        for line in text.splitlines()
        if line.startswith("RssAnon")
    ]
    return sum(kilobytes) * 1024


def test_an_hour_of_song_needs_little_memory(
    browser: Browser, page: Page, song: Song, listener: Listener
) -> None:
    (stem,) = song.finish({"drums.mp3": hour_of_noise()})
    collect = page.context.new_cdp_session(page)
    before = memory(browser)
    listener.load([{**stem, "name": name} for name in STEMS], is_recorded=False)
    assert listener.do("duration") >= 3600
    listener.do("play()")
    most = 0
    for moment in (0, 600, 1200, 1800, 2400, 3000, 3500):
        listener.do(f"seek({moment})")
        listener.play_on(1)
        listener.play_until("_timeline.ahead > 15 * 44100")
        collect.send("HeapProfiler.collectGarbage")
        most = max(most, memory(browser))
    assert most - before < 150 * 2**20


@pytest.mark.parametrize(("format_", "bitrate"), [("mp3", 320), ("mp3", 64), ("flac", 0)])
@pytest.mark.parametrize("decoder", ["AudioDecoder", "decodeAudioData"])
def test_a_seek_goes_to_the_exact_sample_in_every_format(
    page: Page,
    site: str,
    job_writer: JobWriter,
    listener: Listener,
    format_: str,
    bitrate: int,
    decoder: str,
) -> None:
    if decoder == "decodeAudioData":  # as on a site without TLS
        page.add_init_script("delete globalThis.AudioDecoder")
    stems = noise_stems(format_, bitrate or 320)
    listener.load(Song.running(page, site, job_writer).finish(stems))
    rate = listener.do("_song.rate")
    for target in (0, 15.5, 7.25):
        listener.recorded()
        listener.do(f"seek({target})")
        listener.do("play()")
        listener.play_on(0.7)
        listener.do("pause()")
        excerpt = sounding(listener.recorded())
        wholes = [decoded(data) for data in stems.values()]
        begins = {find(excerpt[number], whole) for number, whole in enumerate(wholes)}
        assert len(begins) == 1
        first = begins.pop()
        assert 0 < first - target * rate < 4096
        for number, whole in enumerate(wholes):
            played = whole[:, first : first + excerpt.shape[2]]
            assert np.abs(played - excerpt[number]).max() < 1e-3
