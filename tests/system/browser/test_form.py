import io
import math
import struct
import uuid
import wave
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from microdemucs.jobs import JobRecord, JobState
from microdemucs.problems import now
from testing.waiting import wait_until
from tests.integration.upload.separated import STEMS, a_job

SECONDS, RATE = 4, 8000


def tone(hertz: float) -> bytes:
    """A wav file of SECONDS."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        loud = (9000 * math.sin(2 * math.pi * hertz * n / RATE) for n in range(SECONDS * RATE))
        file.writeframes(b"".join(struct.pack("<h", int(value)) for value in loud))
    return out.getvalue()


TONES = {f"{name}.wav": tone(110 * n) for n, name in enumerate(STEMS, start=1)}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / f"Größer als du {uuid.uuid4().hex[:4]}.wav"  # unlike that of other tests
    path.write_bytes(tone(440))
    return path


def arrived(separation, name: str) -> JobRecord:
    """The job of the song of this name, as the bridge makes it when the song is in the store."""
    found = []

    def has_come() -> bool:
        listed = separation.store.list_objects("songs", prefix="form/", recursive=True)
        found[:] = [one.object_name for one in listed if one.object_name.endswith(f"/{name}")]
        return bool(found)

    wait_until(has_come)
    metadata = separation.store.stat_object("songs", found[-1]).metadata
    options = {
        key.lower().removeprefix("x-amz-meta-"): value
        for key, value in metadata.items()
        if key.lower().startswith("x-amz-meta-")
    }
    return separation.tells(a_job(found[-1], **options))


def test_a_song_goes_up_is_followed_and_its_stems_play_together(
    page: Page, site, separation, song, picture
):
    page.goto(site)
    picture("empty")
    page.locator("#files").set_input_files(song)
    card = page.locator("#songs .song")
    expect(card.locator(".name")).to_have_text(song.name)

    job = arrived(separation, song.name)
    expect(card).to_have_attribute("data-state", "waiting")
    started = now()
    job = separation.tells(
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

    job = separation.tells(job, model="htdemucs_tiny", warnings=["Quality is limited."])
    separation.separates(job, TONES)
    expect(card).to_have_attribute("data-state", "done")
    expect(card.locator(".warnings")).to_have_text("Quality is limited.")
    expect(card.locator(".cancel")).to_be_hidden()
    expect(card.locator(".stem-name")).to_have_text(list(STEMS))

    card.get_by_role("button", name="Play").click()
    sounds = "sounds => sounds.map(sound => sound.currentTime)"
    wait_until(lambda: min(card.locator("audio").evaluate_all(sounds)) > 0.5)
    times = card.locator("audio").evaluate_all(sounds)
    assert max(times) - min(times) < 0.2
    picture("playing")
    card.get_by_role("button", name="Pause").click()
    assert card.locator("audio").evaluate_all("all => all.every(sound => sound.paused)")

    muted = "all => all.filter(s => s.muted).map(s => s.closest('.stem').dataset.stem)"
    card.get_by_role("button", name="Only bass").click()
    assert card.locator("audio").evaluate_all(muted) == ["drums", "other", "vocals"]
    card.get_by_role("button", name="Mute bass").click()
    assert len(card.locator("audio").evaluate_all(muted)) == 4
    card.get_by_role("button", name="Only bass").click()
    assert card.locator("audio").evaluate_all(muted) == ["bass"]

    with page.expect_download() as download:
        card.get_by_role("link", name="Download drums").click()
    assert download.value.suggested_filename == f"{song.stem} - drums.wav"
    assert Path(download.value.path()).read_bytes() == TONES["drums.wav"]


def test_the_options_go_with_the_song(page: Page, site, separation, song, picture):
    page.goto(site)
    page.get_by_text("Options for the next songs").click()
    page.get_by_label("Format").select_option("flac")
    expect(page.get_by_label("Bitrate")).to_be_hidden()
    page.get_by_label("Bits per sample").select_option("24")
    page.get_by_label("Stems").select_option("vocals")
    page.get_by_label("Model").fill("htdemucs_ft")
    picture("options")
    page.locator("#files").set_input_files(song)
    assert arrived(separation, song.name).options == {
        "model": "htdemucs_ft",
        "two_stems": "vocals",
        "format": "flac",
        "bits": 24,
    }


def test_several_songs_are_dropped_at_once_and_found_again_after_a_reload(
    page: Page, site, separation
):
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
        separation.separates(arrived(separation, name), TONES)
    expect(page.locator('.song[data-state="done"]')).to_have_count(2)
    page.reload()
    expect(page.locator('.song[data-state="done"]')).to_have_count(2)


def test_a_song_that_cannot_be_separated_says_why(page: Page, site, separation, song, picture):
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = arrived(separation, song.name)
    problem = {"title": "The file holds no audio", "detail": "it is a text", "status": 422}
    separation.tells(job, state=JobState.FAILED, problem=problem)
    expect(page.locator(".song .problem")).to_have_text("The file holds no audio: it is a text")
    expect(page.locator(".song progress")).to_be_hidden()
    picture("failed")


def test_a_job_is_cancelled_by_its_button(page: Page, site, separation, song):
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = separation.tells(arrived(separation, song.name), state=JobState.RUNNING)
    expect(page.locator(".song")).to_have_attribute("data-state", "running")
    page.get_by_role("button", name="Cancel").click()
    wait_until(lambda: separation.bus.get("cancels", job.id))
    separation.tells(job, state=JobState.CANCELLED)
    expect(page.locator(".song .state")).to_have_text("Cancelled")


def test_a_file_that_is_no_song_is_refused_with_the_apis_words(page: Page, site, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no song")
    page.goto(site)
    page.locator("#files").set_input_files(path)
    expect(page.locator(".song .problem")).to_contain_text(".mp3")


def test_a_token_is_asked_for_where_one_is_needed_and_kept(
    page: Page, serve, separation, song, picture
):
    page.goto(serve(API_TOKENS="open-sesame"))
    expect(page.locator("#token-form")).to_be_hidden()
    page.locator("#files").set_input_files(song)
    page.get_by_label("asks for a token").fill("wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#token-problem")).to_have_text("This token is not known.")
    picture("token")
    page.get_by_label("asks for a token").fill("open-sesame")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#token-form")).to_be_hidden()
    separation.separates(arrived(separation, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")


def test_without_a_place_among_the_listeners_the_page_asks_now_and_then(
    page: Page, serve, separation, song
):
    page.goto(serve(EVENT_STREAMS="0"))
    page.locator("#files").set_input_files(song)
    separation.separates(arrived(separation, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, True)])
def test_nothing_is_cut_off_on_a_phone_or_in_the_dark(
    page: Page, site, separation, song, picture, width, dark
):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = separation.tells(arrived(separation, song.name), model="htdemucs_tiny")
    separation.separates(job, TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    picture(f"{width}-{'dark' if dark else 'light'}")


def test_the_form_is_reached_and_left_by_keyboard(page: Page, site):
    page.goto(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Format")).to_be_visible()
