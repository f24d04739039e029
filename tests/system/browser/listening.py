"""Let the page's player play stems of known samples, and record what each of them sounds like."""

import base64
import io
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from playwright.sync_api import Page, Route

from microdemucs.jobs import JobRecord, JobState, preview_key
from microdemucs.options import CONTENT_TYPES
from testing.job_writer import STEMS, JobWriter, new_job
from testing.waiting import wait_until

Samples = NDArray[np.float32]
"""[2, samples] of a stem, or [stems, 2, samples]."""
Numbers = NDArray[np.int64]
"""[stems, samples]: which sample of the song each stem plays; -1: none, or a faded one."""

RATE = 44100
FADED = 2048  # samples after a start that may be faded in
_SILENCE = 1e-6  # -120 dB; a fade comes near 0 long before it is 0
_BLOCK = 4096  # samples, as in recorder.js
_STEP = 8  # more than there are stems
_RECORDER = Path(__file__).with_name("recorder.js")

_LOAD = """async ([folder, song, recorderScript]) => {
    const { Player } = await import(`${folder}/player/player.js`);
    const player = window.tested = new Player(); // `player` is an element of the page
    window.problems = [];
    player.addEventListener("problem", (event) => problems.push(event.detail));
    if (song.refresh) song.refresh = new Function(`return ${song.refresh}`)();
    await player.load(song);
    await new Promise((resolve) => {
        player.addEventListener("change", () => player._song.rate && resolve());
        player.addEventListener("problem", resolve);
    });
    player._openContext();
    if (!recorderScript) return;
    const script = new Blob([recorderScript], { type: "text/javascript" });
    await player._context.audioWorklet.addModule(URL.createObjectURL(script));
    const outputs = [...player._mixer.outputs.values()];
    const recorder = new AudioWorkletNode(player._context, "recorder", {
        numberOfInputs: outputs.length, channelCount: 2, channelCountMode: "explicit",
    });
    outputs.forEach((output, index) => output.connect(recorder, 0, index));
    recorder.connect(player._context.destination);
    window.blocks = [];
    recorder.port.onmessage = (event) => blocks.push(event.data);
}"""

_TAKE = """async () => {
    const reader = new FileReader();
    const read = new Promise((resolve) => { reader.onload = resolve; });
    reader.readAsDataURL(new Blob(blocks.splice(0).flat()));
    await read;
    return reader.result.split(",")[1] ?? "";
}"""

_HAS_SENT_ALL = """() => tested.isPlaying || !blocks.length
    || blocks.at(-1).every((samples) => samples.every((sample) => sample === 0))"""


def counting(stem: int, length: int) -> NDArray[np.int16]:
    """Return [2, length] samples that tell their number, and whose stem they are."""
    number = np.arange(length)
    return np.stack([number % 65536 - 32768, number // 65536 * _STEP + stem + 1]).astype(np.int16)


def numbers_of(recorded: Samples) -> Numbers:
    """Return which of the `counting` samples were recorded of each stem."""
    values = recorded.astype(np.float64) * 32768
    left, right = np.rint(values[:, 0]), np.rint(values[:, 1])
    stems = np.arange(len(recorded))[:, None]
    is_exact = np.abs(values - np.rint(values)).max(axis=1) < 0.01
    is_exact &= (right > 0) & ((right - 1) % _STEP == stems)
    numbers = (right - 1 - stems) / _STEP * 65536 + left + 32768
    return np.where(is_exact, numbers, -1).astype(np.int64)


def noise(seed: int, length: int) -> Samples:
    """Return [2, length] samples that are like none at another place."""
    generator = np.random.default_rng(seed)
    return (0.1 * generator.standard_normal((2, length))).astype(np.float32)


def wav(samples: NDArray[np.int16]) -> bytes:
    """Return a WAV file of exactly these samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, RATE, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def decode(data: bytes) -> Samples:
    """Return the samples of a file, [2, samples], at its own rate, as FFmpeg decodes it."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    joined: NDArray[Any] = np.concatenate(frames, axis=1)
    is_integer = joined.dtype == np.int16
    floats = joined.astype(np.float32) / np.float32(32768 if is_integer else 1)
    return floats.reshape(-1, 2).T if len(floats) == 1 else floats  # interleaved, or not


def find(excerpt: Samples, whole: Samples) -> int:
    """Return where in a stem, [2, samples], the recorded excerpt begins."""
    probe = excerpt[0, :8192]
    size = 1 << (whole.shape[1] + len(probe)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(whole[0], size) * np.conj(np.fft.rfft(probe, size)), size)
    return int(np.argmax(likeness[: whole.shape[1]]))


@dataclass(frozen=True, slots=True)
class Song:
    """A job whose stems a test writes, and its address."""

    writer: JobWriter
    site: str
    page: Page
    job: JobRecord

    @staticmethod
    def running(page: Page, site: str, writer: JobWriter) -> "Song":
        """Begin a job that is being separated, and open the site's page."""
        if page.context.browser and page.context.browser.browser_type.name == "firefox":
            page.route(f"{site}/", _without_policy)  # it cannot bypass it
        page.goto(site)
        record = writer.write_record(new_job(f"{uuid.uuid4()}.mp3"), state=JobState.RUNNING)
        return Song(writer, site, page, record)

    def add_preview(self, number: int, pieces: Mapping[str, bytes]) -> None:
        """Store preview chunk `number` of each stem, given by file name."""
        for file, data in pieces.items():
            key = preview_key(self.job.key, file, number)
            self.writer.stems.write(key, data, CONTENT_TYPES[file.rpartition(".")[2]])

    def finish(
        self, stems: Mapping[str, bytes], scale: float | None = None
    ) -> list[dict[str, Any]]:
        """Write the finished stems, and return what the player takes of them.

        With `scale` they were encoded again, by so much quieter.
        """
        self.write_stems(stems, scale)
        return self.finish_written(stems)

    def write_stems(self, stems: Mapping[str, bytes], scale: float | None = None) -> None:
        """Write the finished stems, but not yet that the job is done."""
        options = self.job.options
        self.writer.write_stems(self.job.key, stems, job=self.job.id, options=options, scale=scale)

    def finish_written(self, stems: Iterable[str]) -> list[dict[str, Any]]:
        """Let the job be done, with these written stems; return what the player takes of them."""
        self.writer.write_record(self.job, state=JobState.DONE, stems=list(stems))
        path = f"{self.site}/apiv1/jobs/{self.job.id}"
        wait_until(lambda: self.page.request.get(path).json().get("state") == "done")
        job = self.page.request.get(path).json()
        return [{"name": stem["name"], "url": stem["download"]} for stem in job["stems"]]

    def live(self) -> list[dict[str, Any]]:
        """Return what the player takes of stems that are being separated."""
        path = f"/apiv1/jobs/{self.job.id}"
        wait_until(lambda: self.page.request.get(f"{self.site}{path}").ok)
        return [{"name": name, "live": f"{path}/live/{name}"} for name in STEMS]


def _without_policy(route: Route) -> None:
    response = route.fetch()
    policy = "content-security-policy"
    headers = {name: value for name, value in response.headers.items() if name != policy}
    route.fulfill(response=response, headers=headers)


class Listener:
    """The player on a page, and what it sounds like since it was asked last."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def load(self, stems: list[dict[str, Any]], *, is_recorded: bool = True, **song: Any) -> None:
        """Load the song, and record it from now on."""
        script = "document.querySelector('script[src$=\"page.js\"]').src.replace('/page.js', '')"
        folder = self._page.evaluate(script)
        song = {"id": "song", "stems": stems, **song}
        self._page.evaluate(_LOAD, [folder, song, _RECORDER.read_text() if is_recorded else ""])

    def do(self, call: str) -> Any:
        """Call the player: do("seek(3)"), do("position")."""
        return self._page.evaluate(f"tested.{call}")

    def do_late(self, call: str) -> Any:
        """Call the player after other work of the page, during which its clock stands still."""
        work = "const end = performance.now() + 60; while (performance.now() < end) {}"
        return self._page.evaluate(f"() => {{ {work} return tested.{call}; }}")

    def play_until(self, condition: str) -> None:
        """Wait until the condition on the player is true: "position > 3"."""
        self._page.wait_for_function(f"() => tested.{condition}")

    def play_on(self, seconds: float) -> None:
        """Let the player play for so long from where it is."""
        self._page.wait_for_function("() => tested.state === 'playing'")
        self.play_until(f"position > {self.do('position') + seconds}")

    def pause_seek_and_mute(self, length_s: float, *, playing_s: float, muted_s: float) -> None:
        """Start, pause 10 times, seek 13 times and mute 20 times, within so long a song.

        It plays for `playing_s` after each start and seek, and for `muted_s` while muted.
        """
        self.do("play()")
        self.play_on(0.3)
        for _ in range(10):
            self.do("pause()")
            self.do("play()")
            self.play_on(playing_s)
        for number in range(12):
            self.do(f"seek({(number * 7.77) % (length_s - 2)})")
            self.play_on(playing_s)
        self.do("seek(1)")  # so that the song lasts longer than the mutes
        self.play_on(playing_s)
        for number in range(20):
            name = STEMS[number % len(STEMS)]
            self.do(f"setMuted('{name}', true)")
            self.play_on(muted_s)
            self.do(f"setMuted('{name}', false)")

    def problems(self) -> list[dict[str, str]]:
        """Return the details of its problem events."""
        details: list[dict[str, str]] = self._page.evaluate("problems")
        return details

    def recorded(self) -> Samples:
        """Return what each stem sounded like since the last call, silence included.

        The recorder sends whole blocks, so a paused player is waited for until one is silent:
        otherwise its last sound would belong to the next call.
        """
        self._page.wait_for_function(_HAS_SENT_ALL)
        data = base64.b64decode(self._page.evaluate(_TAKE))
        blocks = np.frombuffer(data, np.float32).reshape(-1, len(STEMS), 2, _BLOCK)
        return blocks.transpose(1, 2, 0, 3).reshape(len(STEMS), 2, -1)


def sounding(recorded: Samples) -> Samples:
    """Return what is between the first and the last sound, without its faded ends."""
    loud = np.nonzero(np.abs(recorded).max(axis=(0, 1)) > _SILENCE)[0]
    return recorded[:, :, loud[0] + FADED : loud[-1] - FADED]
