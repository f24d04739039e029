"""The part "Take away" of the mixer: each button gives what it says."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Download, Page, expect

from microdemucs.jobs import JobRecord
from testing.encoded_stems import RATE, decode, encode, lag, make_samples, signal_to_noise
from testing.job_writer import STEMS, JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import wait_for_upload

LENGTH = 3 * RATE + 7
SAMPLES = {name: make_samples(seed, LENGTH) for seed, name in enumerate(STEMS)}
FILES = {f"{name}.flac": encode(samples, format="flac") for name, samples in SAMPLES.items()}
WHOLE = np.sum([*SAMPLES.values()], axis=0)


def open_song(page: Page, site: str, job_writer: JobWriter, song: Path) -> JobRecord:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    record = job_writer.finish(wait_for_upload(job_writer, song.name), FILES, seconds=LENGTH / RATE)
    expect(page.locator("#take-away")).to_be_visible()
    expect(page.locator("#duration")).to_have_text("0:03")
    return record


@pytest.fixture
def song_is_open(page: Page, site: str, job_writer: JobWriter, song: Path) -> JobRecord:
    """The page with a song that is done."""
    return open_song(page, site, job_writer, song)


def download(page: Page, button: str) -> tuple[Download, bytes]:
    with page.expect_download() as started:
        page.locator("#take-away").get_by_role("button", name=button).click()
    return started.value, started.value.path().read_bytes()


def test_the_zip_has_all_stems(page: Page, song_is_open: JobRecord, song: Path) -> None:
    saved, data = download(page, "All stems")
    assert saved.suggested_filename == f"{song.stem} - stems.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {info.filename.split(" - ")[-1] for info in archive.infolist()} == set(FILES)
        assert archive.testzip() is None


def test_the_zip_is_downloaded_with_a_token_too(
    page: Page, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    page.goto(serve(API_TOKENS="open-sesame", THREADS="16"))
    page.evaluate("localStorage.setItem('token', 'open-sesame')")
    open_song(page, page.url, job_writer, song)
    _, data = download(page, "All stems")
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


@pytest.mark.parametrize("kind", ["WAV", "MP3", "FLAC"])
def test_this_mix_is_what_is_heard(
    page: Page, song_is_open: JobRecord, song: Path, kind: str
) -> None:
    page.get_by_label("Volume of Drums").fill("0.5")
    page.get_by_label("Pan of Other").fill("-1")
    page.get_by_role("button", name="Mute Vocals").click()
    saved, data = download(page, kind)
    assert saved.suggested_filename == f"{song.stem} - mix.{kind.lower()}"
    mix, other = decode(data), SAMPLES["other"]
    expected = 0.5 * SAMPLES["drums"] + SAMPLES["bass"]
    expected[0] += other.sum(axis=0)
    assert mix.shape == (2, LENGTH)
    assert lag(mix, expected) == 0
    assert signal_to_noise(mix, expected) > 30


def test_solo_takes_one_stem_away(page: Page, song_is_open: JobRecord) -> None:
    page.get_by_role("button", name="Solo Bass").click()
    _, data = download(page, "FLAC")
    assert np.abs(decode(data) - SAMPLES["bass"]).max() < 2 / 32768


def test_the_file_for_djs_has_five_tracks(page: Page, song_is_open: JobRecord, song: Path) -> None:
    saved, data = download(page, "For DJs")
    assert saved.suggested_filename == f"{song.stem}.stem.mp4"
    assert lag(decode(data, 0), WHOLE) == 0
    assert lag(decode(data, 4), SAMPLES["vocals"]) == 0


def test_six_stems_have_a_file_for_djs(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    further = {"guitar.flac": FILES["bass.flac"], "piano.flac": FILES["bass.flac"]}
    job_writer.finish(wait_for_upload(job_writer, song.name), FILES | further)
    expect(page.get_by_role("button", name="For DJs")).to_be_visible()
    _, data = download(page, "For DJs")
    other = SAMPLES["other"] + 2 * SAMPLES["bass"]
    assert signal_to_noise(decode(data, 3)[:, :LENGTH], other) > 20


def test_other_stems_have_no_file_for_djs(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    files = {"vocals.flac": FILES["vocals.flac"], "no_vocals.flac": FILES["bass.flac"]}
    job_writer.finish(wait_for_upload(job_writer, song.name), files)
    expect(page.locator("#take-away")).to_be_visible()
    expect(page.get_by_role("button", name="For DJs")).to_be_hidden()


def test_what_fails_is_said_below_the_buttons(
    page: Page, song_is_open: JobRecord, job_writer: JobWriter
) -> None:
    job_writer.stems.remove(f"{song_is_open.key}/bass.flac")
    page.locator("#take-away").get_by_role("button", name="All stems").click()
    expect(page.locator("#taken")).to_have_text("Not all stems are on the server any more.")


def test_a_stem_that_is_missing_for_the_mix_is_named(
    page: Page, song_is_open: JobRecord, job_writer: JobWriter
) -> None:
    job_writer.stems.remove(f"{song_is_open.key}/bass.flac")
    page.locator("#take-away").get_by_role("button", name="WAV").click()
    expect(page.locator("#taken")).to_have_text(
        "Bass cannot be used: it is not on the server any more"
    )


def share(page: Page) -> str:
    page.get_by_role("button", name="Share").click()
    return page.get_by_label("Everybody with this link").input_value()


def test_another_song_does_not_show_the_link_of_the_first(
    page: Page, song_is_open: JobRecord, tmp_path: Path
) -> None:
    share(page)
    other = tmp_path / "another song.mp3"
    other.write_bytes(b"a song")
    page.locator("#files").set_input_files(other)
    expect(page.locator("#title")).to_have_text("another song")
    expect(page.locator("#taken")).to_be_empty()
    expect(page.locator("#take-away")).to_be_hidden()


def test_a_mix_has_the_songs_own_speed_and_the_page_says_so(
    page: Page, song_is_open: JobRecord
) -> None:
    page.get_by_label("Speed").fill("0.5")
    _, data = download(page, "MP3")
    assert decode(data).shape == (2, LENGTH)
    expect(page.locator("#taken")).to_have_text("Saved, at the original speed and pitch.")


def is_ours(line: ConsoleMessage) -> bool:
    """Whether it is an error, and not that a request was answered with 404: there are no peaks."""
    return line.type == "error" and not line.text.startswith("Failed to load resource")


def test_a_shared_song_plays_in_another_browser_without_a_token(
    page: Page, browser: Browser, serve: Callable[..., str], job_writer: JobWriter, song: Path
) -> None:
    page.goto(serve(API_TOKENS="open-sesame", THREADS="16"))
    page.evaluate("localStorage.setItem('token', 'open-sesame')")
    open_song(page, page.url, job_writer, song)
    link = share(page)
    with browser.new_context() as context:
        guest = context.new_page()
        errors: list[str] = []
        guest.on("console", lambda line: errors.append(line.text) if is_ours(line) else None)
        guest.on("pageerror", lambda error: errors.append(str(error)))
        guest.goto(link)
        expect(guest.locator("#title")).to_have_text(song.stem)
        expect(guest.locator("#duration")).to_have_text("0:03")
        guest.get_by_role("button", name="Play").click()
        wait_until(lambda: guest.locator("#time").inner_text() > "0:00.5")
        _, data = download(guest, "FLAC")
        assert signal_to_noise(decode(data), WHOLE) > 60
        _, data = download(guest, "All stems")
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
        for name in ("Share", "Remove", "Rename", "Retry"):
            expect(guest.get_by_role("button", name=name)).to_be_hidden()
        expect(guest.locator("#library")).to_have_count(0)
        assert errors == []


@pytest.mark.parametrize("fragment", ["", "#job=" + "0" * 32 + "&token=share_x.y", "#job=x"])
def test_a_link_that_is_not_valid_says_so(page: Page, site: str, fragment: str) -> None:
    page.goto(f"{site}/shared{fragment}")
    expect(page.locator("#page-problem")).to_contain_text("This link has ended")
    expect(page.locator("#player")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_and_everybody_can_use_it(
    page: Page, song_is_open: JobRecord, width: int, scheme: str, browser: Browser
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    link = share(page)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    assert Axe().run(page).response["violations"] == []
    page.goto(link)
    expect(page.locator("#take-away")).to_be_visible()
    assert page.evaluate(overflow) <= 0
    assert Axe().run(page).response["violations"] == []
