import io
import math
import struct
import uuid
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microdemucs.jobs import JobRecord, JobState
from microdemucs.problems import now
from testing.job_writer import STEMS, JobWriter, new_job
from testing.waiting import wait_until

Picture = Callable[[str], Path]

SECONDS, RATE = 4, 8000


def tone(hertz: float) -> bytes:
    """A WAV file with a tone of SECONDS."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        samples = (9000 * math.sin(2 * math.pi * hertz * n / RATE) for n in range(SECONDS * RATE))
        file.writeframes(b"".join(struct.pack("<h", int(value)) for value in samples))
    return buffer.getvalue()


TONES = {f"{name}.wav": tone(110 * n) for n, name in enumerate(STEMS, start=1)}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / f"Größer als du {uuid.uuid4().hex[:4]}.wav"  # no other test has this name
    path.write_bytes(tone(440))
    return path


def wait_for_upload(job_writer: JobWriter, name: str) -> JobRecord:
    """Wait for the song of this name, then write its job record as the bridge does."""
    keys: list[str] = []

    def is_stored() -> bool:
        stored = [str(item.object_name) for item in job_writer.songs.list("form/")]
        keys[:] = [key for key in stored if key.endswith(f"/{name}")]
        return bool(keys)

    wait_until(is_stored)
    metadata = job_writer.songs.stat(keys[-1]).metadata or {}
    options = {
        key.lower().removeprefix("x-amz-meta-"): value
        for key, value in metadata.items()
        if key.lower().startswith("x-amz-meta-")
    }
    return job_writer.write_record(new_job(keys[-1], **options))


def test_a_song_is_uploaded_and_followed_and_its_stems_play_together(
    page: Page, site: str, job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(site)
    picture("empty")
    page.locator("#files").set_input_files(song)
    card = page.locator("#songs .song")
    expect(card.locator(".name")).to_have_text(song.name)

    job = wait_for_upload(job_writer, song.name)
    expect(card).to_have_attribute("data-state", "waiting")
    started = now()
    job = job_writer.write_record(
        job,
        state=JobState.RUNNING,
        phase="separating",
        progress=0.42,
        started=started,
        updated=started,
    )
    expect(card.locator(".state")).to_contain_text("Separating · 42%")
    expect(card.locator("progress")).to_have_attribute("value", "0.42")
    picture("running")

    job = job_writer.write_record(job, model="htdemucs_tiny", warnings=["Quality is limited."])
    job_writer.finish(job, TONES)
    expect(card).to_have_attribute("data-state", "done")
    expect(card.locator(".warnings")).to_have_text("Quality is limited.")
    expect(card.locator(".cancel")).to_be_hidden()
    expect(card.locator(".stem-name")).to_have_text(list(STEMS))

    card.get_by_role("button", name="Play").click()
    positions = "players => players.map(player => player.currentTime)"
    wait_until(lambda: min(card.locator("audio").evaluate_all(positions)) > 0.5)
    times = card.locator("audio").evaluate_all(positions)
    assert max(times) - min(times) < 0.2
    picture("playing")
    card.get_by_role("button", name="Pause").click()
    assert card.locator("audio").evaluate_all("players => players.every(player => player.paused)")

    muted = (
        "players => players.filter(player => player.muted)"
        ".map(player => player.closest('.stem').dataset.stem)"
    )
    card.get_by_role("button", name="Solo bass").click()
    assert card.locator("audio").evaluate_all(muted) == ["drums", "other", "vocals"]
    card.get_by_role("button", name="Mute bass").click()
    assert len(card.locator("audio").evaluate_all(muted)) == 4
    card.get_by_role("button", name="Solo bass").click()
    assert card.locator("audio").evaluate_all(muted) == ["bass"]

    with page.expect_download() as download:
        card.get_by_role("link", name="Download drums").click()
    assert download.value.suggested_filename == f"{song.stem} - drums.wav"
    assert Path(download.value.path()).read_bytes() == TONES["drums.wav"]


def test_the_chosen_options_are_uploaded_with_the_song(
    page: Page, site: str, job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(site)
    page.get_by_text("Options for new songs").click()
    page.get_by_label("Format").select_option("flac")
    expect(page.get_by_label("Bitrate")).to_be_hidden()
    page.get_by_label("Bits per sample").select_option("24")
    page.get_by_label("Stems").select_option("vocals")
    page.get_by_label("Model").fill("htdemucs_ft")
    picture("options")
    page.locator("#files").set_input_files(song)
    assert wait_for_upload(job_writer, song.name).options == {
        "model": "htdemucs_ft",
        "two_stems": "vocals",
        "format": "flac",
        "bits": 24,
    }


def test_several_songs_can_be_dropped_and_are_shown_again_after_a_reload(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    drop = """names => {
        const data = new DataTransfer();
        for (const name of names) data.items.add(new File(["a song"], name, {type: "audio/mpeg"}));
        document.getElementById("drop")
            .dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
    }"""
    page.evaluate(drop, ["one.mp3", "two.mp3"])
    expect(page.locator(".song .name")).to_have_text(["two.mp3", "one.mp3"])
    for name in ("one.mp3", "two.mp3"):
        job_writer.finish(wait_for_upload(job_writer, name), TONES)
    expect(page.locator('.song[data-state="done"]')).to_have_count(2)
    page.reload()
    expect(page.locator('.song[data-state="done"]')).to_have_count(2)


def test_the_page_shows_why_a_song_could_not_be_separated(
    page: Page, site: str, job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    problem = {"title": "The file holds no audio", "detail": "it is a text", "status": 422}
    job_writer.write_record(job, state=JobState.FAILED, problem=problem)
    expect(page.locator(".song .problem")).to_have_text("The file holds no audio: it is a text")
    expect(page.locator(".song progress")).to_be_hidden()
    picture("failed")


def test_the_cancel_button_cancels_the_job(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = job_writer.write_record(wait_for_upload(job_writer, song.name), state=JobState.RUNNING)
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: job_writer.bus.get("cancels", job.id))
    job_writer.write_record(job, state=JobState.CANCELLED)
    expect(page.locator(".song .state")).to_have_text("Cancelled")


def test_the_page_shows_the_apis_reason_for_a_file_that_is_no_song(
    page: Page, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("This is not a song.")
    page.goto(site)
    page.locator("#files").set_input_files(path)
    expect(page.locator(".song .problem")).to_contain_text(".mp3")


def test_the_page_asks_for_a_token_if_one_is_required_and_keeps_it(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(serve(API_TOKENS="open-sesame"))
    expect(page.locator("#token-form")).to_be_hidden()
    page.locator("#files").set_input_files(song)
    page.get_by_label("Enter your access token").fill("wrong")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#token-problem")).to_have_text(
        "This token is not valid. Check it and try again."
    )
    picture("token")
    page.get_by_label("Enter your access token").fill("open-sesame")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#token-form")).to_be_hidden()
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")


def test_the_page_polls_if_no_event_stream_is_available(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    page.goto(serve(EVENT_STREAMS="0"))
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, True)])
def test_the_page_fits_a_phone_and_a_dark_screen(
    page: Page,
    site: str,
    job_writer: JobWriter,
    song: Path,
    picture: Picture,
    width: int,
    dark: bool,
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = job_writer.write_record(wait_for_upload(job_writer, song.name), model="htdemucs_tiny")
    job_writer.finish(job, TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(f"{width}-{'dark' if dark else 'light'}")


def test_the_form_can_be_used_by_keyboard(page: Page, site: str) -> None:
    page.goto(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Format")).to_be_visible()


def test_an_empty_file_is_named_and_not_uploaded(page: Page, site: str, tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    page.goto(site)
    page.locator("#files").set_input_files(tmp_path / "empty.mp3")
    expect(page.locator("#page-problem")).to_have_text("“empty.mp3” is empty.")
    expect(page.locator("#songs .song")).to_have_count(0)


def test_a_file_beyond_the_limit_is_named_and_not_uploaded(
    page: Page, serve: Callable[..., str], song: Path
) -> None:
    page.goto(serve(MAX_SONG_BYTES="1000"))
    page.locator("#files").set_input_files(song)
    expect(page.locator("#page-problem")).to_contain_text(f"“{song.name}” is too large")
    expect(page.locator("#songs .song")).to_have_count(0)
