"""One song on the page: uploaded, followed, played, and why it is not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from microdemucs.jobs import JobState
from microdemucs.paths import ROOT
from microdemucs.problems import now
from testing.job_writer import STEMS, JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import TONES, wait_for_upload

Picture = Callable[[str], Path]


def job_problems() -> list[str]:
    """The kinds of problems of a job that docs/http.md names."""
    text = (ROOT / "docs" / "http.md").read_text()
    [table] = re.findall(r"^Why a song could not be separated\..*?\n\n(.*?)\n\n", text, re.M | re.S)
    cells = re.findall(r"^\| (`.*?`) \|", table, re.M)
    return [*re.findall(r"`(.+?)`", " ".join(cells)), "given-up"]


def test_a_song_is_uploaded_and_followed_and_its_stems_play(
    page: Page, site: str, job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(site)
    picture("empty")
    page.locator("#files").set_input_files(song)
    row = page.locator("#songs .song")
    expect(row.locator(".name")).to_have_text(song.stem)

    job = wait_for_upload(job_writer, song.name)
    expect(row).to_have_attribute("data-state", "waiting")
    started = now()
    job = job_writer.write_record(
        job,
        state=JobState.RUNNING,
        phase="separating",
        progress=0.42,
        started=started,
        updated=started,
    )
    expect(row.locator(".row-state")).to_contain_text("Separating · 42%")
    expect(page.locator("#progress")).to_have_attribute("value", "0.42")
    expect(page).to_have_title(f"42% {song.stem} · Micro Demucs")
    picture("running")

    job = job_writer.write_record(job, model="htdemucs_tiny", warnings=["Quality is limited."])
    job_writer.finish(job, TONES)
    expect(row).to_have_attribute("data-state", "done")
    expect(page.locator("#warnings")).to_have_text("Quality is limited.")
    expect(row.locator(".cancel")).to_be_hidden()
    expect(page.locator(".stem-name")).to_have_text([name.capitalize() for name in STEMS])

    page.get_by_role("button", name="Loop").click()  # so that it still plays when Pause is clicked
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: page.locator("#time").inner_text() > "0:00.5")
    picture("playing")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download Drums").click()
    assert download.value.suggested_filename == f"{song.stem} - drums.wav"
    assert Path(download.value.path()).read_bytes() == TONES["drums.wav"]


def test_the_chosen_options_are_uploaded_with_the_song(
    page: Page, site: str, job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(site)
    page.get_by_role("radio", name="Karaoke").check()
    page.get_by_text("Advanced").click()
    page.get_by_label("Format").select_option("flac")
    expect(page.get_by_label("Bitrate")).to_be_hidden()
    page.get_by_label("Bits per sample").select_option("24")
    page.get_by_label("Quality").select_option("A little better, 2 times slower")
    picture("options")
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    assert job.options == {"two_stems": "vocals", "format": "flac", "bits": 24, "shifts": 2}
    page.reload()
    expect(page.get_by_role("radio", name="Karaoke")).to_be_checked()


def test_karaoke_begins_with_the_vocals_muted(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.get_by_role("radio", name="Karaoke").check()
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    job_writer.finish(job, {"vocals.wav": TONES["vocals.wav"], "no_vocals.wav": TONES["bass.wav"]})
    expect(page.get_by_role("button", name="Mute Vocals")).to_have_attribute("aria-pressed", "true")
    no_vocals = page.get_by_role("button", name="Mute No vocals")
    expect(no_vocals).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            {"title": "The file holds no audio", "detail": "it is a text", "status": 422},
            "The file holds no audio: it is a text",
        ),
        (
            {"type": "urn:micro-demucs:problem:not-audio", "title": "No audio", "status": 422},
            "This file has no sound that can be read. Try another copy, "
            "or convert it to MP3, WAV or FLAC.",
        ),
    ],
)
def test_the_page_shows_why_a_song_could_not_be_separated(
    page: Page,
    site: str,
    job_writer: JobWriter,
    song: Path,
    picture: Picture,
    problem: dict[str, object],
    text: str,
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    notes = ["A note on its stems."]
    job_writer.write_record(job, state=JobState.FAILED, problem=problem, warnings=notes)
    expect(page.locator("#problem")).to_have_text(text)
    expect(page.locator("#warnings")).to_be_hidden()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    picture("failed")


def test_the_page_asks_for_a_token_if_one_is_required_and_keeps_it(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path, picture: Picture
) -> None:
    page.goto(serve(API_TOKENS="open-sesame"))
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
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator(".song")).to_have_attribute("data-state", "done")
    expect(other.locator("#token-form")).to_be_hidden()


def test_the_page_polls_if_no_event_stream_is_available_also_after_a_broken_response(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    page.goto(serve(EVENT_STREAMS="0"))
    broken = {"content_type": "application/json", "body": '{"jobs": ['}
    page.route("**/apiv1/jobs?*", lambda route: route.fulfill(**broken), times=1)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (768, False), (1280, True)])
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
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#files").set_input_files(song)
    job = job_writer.write_record(wait_for_upload(job_writer, song.name), model="htdemucs_tiny")
    job_writer.finish(job, TONES)
    expect(page.locator(".stem")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture(f"{width}-{'dark' if dark else 'light'}")


def test_nothing_moves_while_a_page_with_songs_loads(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.set_viewport_size({"width": 412, "height": 823})
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator("#duration")).to_have_text("0:04")
    held: list[Route] = []
    page.route("**/page.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    wait_until(lambda: page.evaluate("performance.getEntriesByType('paint').length > 0"))
    held[0].continue_()
    expect(page.locator("#duration")).to_have_text("0:04")
    expect(page.locator("#limits")).to_contain_text("long")
    shift = page.evaluate("""() => new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) sum += entry.value;
        }).observe({ type: "layout-shift", buffered: true });
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
    })""")
    assert shift < 0.1  # as web.dev's "good"


def test_the_form_can_be_used_by_keyboard(page: Page, site: str) -> None:
    page.goto(site)
    page.locator("#files").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="All stems")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Format")).to_be_visible()


def test_an_empty_file_is_named_and_not_uploaded(page: Page, site: str, tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    page.goto(site)
    page.locator("#files").set_input_files(tmp_path / "empty.mp3")
    expect(page.locator("#page-problem")).to_have_text("“empty.mp3” is empty.")
    expect(page.locator("#songs .song")).to_have_count(0)


def test_a_file_that_is_no_song_is_named_and_not_uploaded(
    page: Page, site: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.mid"  # browsers call it audio/midi
    path.write_text("This is not a song.")
    page.goto(site)
    page.locator("#files").set_input_files(path)
    expect(page.locator("#page-problem")).to_contain_text("“notes.mid” is not a song")
    expect(page.locator("#page-problem")).to_contain_text("MP3, WAV")
    expect(page.locator("#songs .song")).to_have_count(0)


@pytest.mark.parametrize("name", ["song.aiff", "song.MP4", "song.wma"])
def test_songs_of_every_format_that_is_read_are_uploaded(
    page: Page, site: str, job_writer: JobWriter, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"a song")
    page.goto(site)
    page.locator("#files").set_input_files(tmp_path / name)
    assert wait_for_upload(job_writer, name).state == JobState.WAITING


def test_a_file_beyond_the_limit_is_named_and_not_uploaded(
    page: Page, serve: Callable[..., str], song: Path
) -> None:
    page.goto(serve(MAX_SONG_BYTES="1000"))
    page.locator("#files").set_input_files(song)
    expect(page.locator("#page-problem")).to_contain_text(f"“{song.name}” is too large")
    expect(page.locator("#songs .song")).to_have_count(0)


def test_nothing_on_the_page_is_written_for_developers(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    note = "htdemucs_tiny: limited quality: `make models MODEL=htdemucs` gets the full one"
    job_writer.finish(job_writer.write_record(job, warnings=[note]), TONES)
    expect(page.locator("#warnings")).to_contain_text("small model")
    for word in ("make models", "OpenAPI", "type audio/", "filename must"):
        expect(page.locator("body")).not_to_contain_text(word)


@pytest.mark.parametrize("kind", job_problems())
def test_why_a_song_failed_is_said_in_the_words_of_musicians(
    page: Page, site: str, job_writer: JobWriter, song: Path, kind: str
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = wait_for_upload(job_writer, song.name)
    problem = {
        "type": f"urn:micro-demucs:problem:{kind}",
        "title": "A title of the API",
        "detail": "run python -m minio_events",
    }
    job_writer.write_record(job, state=JobState.FAILED, problem=problem)
    expect(page.locator("#problem")).to_have_text(re.compile(r"\w"))
    for words in ("A title of the API", "python"):
        expect(page.locator("#problem")).not_to_contain_text(words)


def test_why_an_upload_is_refused_is_said_in_the_words_of_musicians(
    page: Page, site: str, song: Path
) -> None:
    problem = {
        "type": "urn:micro-demucs:problem:bad-value",
        "title": "The member `filename` is not accepted",
        "detail": "filename must be the name of a file",
        "member": "filename",
    }
    page.route("**/apiv1/uploads", lambda route: route.fulfill(status=422, json=problem))
    page.goto(site)
    page.locator("#files").set_input_files(song)
    expect(page.locator("#problem")).to_contain_text("Give it a short name")
    expect(page.locator("#problem")).not_to_contain_text("filename")


def test_a_stem_that_is_gone_is_named(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    headers = {"Access-Control-Allow-Origin": "*"}
    page.route("**/drums.wav?*", lambda route: route.fulfill(status=404, headers=headers))
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#player-problem")).to_have_text(
        "Drums cannot be played: it is not on the server any more"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "Songs and their stems stay on this server until you delete them."),
        (
            {"SONGS_RETENTION_DAYS": "7", "STEMS_RETENTION_DAYS": "30"},
            "Songs are deleted after 7 days, their stems after 30 days.",
        ),
    ],
)
def test_the_page_says_how_long_songs_are_kept(
    page: Page, serve: Callable[..., str], song: Path, settings: dict[str, str], text: str
) -> None:
    page.goto(serve(**settings))
    expect(page.get_by_text(text)).to_be_visible()
    page.locator("#files").set_input_files(song)
    expect(page.locator("#songs .song")).to_have_count(1)
    expect(page.get_by_text(text)).to_be_visible()
