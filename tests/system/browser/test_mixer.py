"""The mixer of the page: its keys, its loop, and what it remembers."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from testing.waiting import wait_until
from tests.system.browser.songs import SECONDS, TONES, files, uploaded_key, wait_for_upload


@pytest.fixture
def mixer(page: Page, site: str, job_writer: JobWriter, song: Path) -> Page:
    """The page with a song that is done."""
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator("#duration")).to_have_text(f"0:0{SECONDS}")
    return page


def is_pressed(page: Page, name: str) -> str | None:
    return page.get_by_role("button", name=name).get_attribute("aria-pressed")


def loop_without_end(page: Page) -> None:
    """Loop the song, so that it stops only if something stops it."""
    page.get_by_role("button", name="Loop").click()
    assert is_pressed(page, "Loop") == "true"


def seconds(page: Page) -> float:
    return float(page.locator("#time").inner_text().removeprefix("0:"))


def test_the_space_bar_plays_and_pauses(mixer: Page) -> None:
    mixer.keyboard.press("Space")
    wait_until(lambda: seconds(mixer) > 0.3)
    mixer.keyboard.press("Space")
    expect(mixer.get_by_role("button", name="Play")).to_be_visible()


def test_digits_mute_and_with_shift_solo(mixer: Page) -> None:
    mixer.keyboard.press("2")
    assert is_pressed(mixer, "Mute Bass") == "true"
    mixer.keyboard.press("Shift+Digit4")
    assert is_pressed(mixer, "Solo Vocals") == "true"
    expect(mixer.locator(".stem.silent .stem-name")).to_have_text(["Drums", "Bass", "Other"])
    mixer.keyboard.press("Shift+Digit4")
    expect(mixer.locator(".stem.silent .stem-name")).to_have_text(["Bass"])


def test_each_digit_is_a_stem_in_their_order(mixer: Page) -> None:
    for digit, name in enumerate(("Drums", "Bass", "Other", "Vocals"), start=1):
        mixer.keyboard.press(f"Digit{digit}")
        assert is_pressed(mixer, f"Mute {name}") == "true"
        mixer.keyboard.press(f"Shift+Digit{digit}")
        assert is_pressed(mixer, f"Solo {name}") == "true"
    mixer.keyboard.press("Digit5")  # there are four
    expect(mixer.locator(".mute[aria-pressed=true]")).to_have_count(4)


def loop_of(page: Page) -> tuple[float, float]:
    """Where the loop begins and ends that the page shows, in seconds."""
    script = """() => {
        const style = getComputedStyle(document.getElementById("mixer"));
        return ["--loop-from", "--loop-to"].map((name) => Number(style.getPropertyValue(name)));
    }"""
    start, end = page.evaluate(script)
    return start * SECONDS, end * SECONDS


def test_the_right_arrow_moves_on_and_a_bracket_ends_the_loop_here(mixer: Page) -> None:
    mixer.locator(".wave").first.click()  # its middle
    wait_until(lambda: abs(seconds(mixer) - SECONDS / 2) < 0.2)
    mixer.keyboard.press("]")
    assert is_pressed(mixer, "Loop") == "true"
    assert loop_of(mixer) == pytest.approx((0, SECONDS / 2), abs=0.2)
    mixer.keyboard.press("ArrowRight")  # 5 seconds: to the end
    wait_until(lambda: seconds(mixer) == SECONDS)


def test_arrows_move_and_brackets_make_a_loop(mixer: Page) -> None:
    mixer.locator(".wave").first.click()  # its middle
    wait_until(lambda: abs(seconds(mixer) - SECONDS / 2) < 0.2)
    mixer.keyboard.press("[")
    assert is_pressed(mixer, "Loop") == "true"
    mixer.keyboard.press("l")
    assert is_pressed(mixer, "Loop") == "false"
    mixer.keyboard.press("ArrowLeft")
    wait_until(lambda: seconds(mixer) == 0)


def test_dragging_on_the_ruler_makes_a_loop_which_is_repeated(mixer: Page) -> None:
    box = mixer.locator("#ruler").bounding_box()
    assert box
    mixer.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 5)
    mixer.mouse.down()
    mixer.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 5, steps=4)
    mixer.mouse.up()
    assert is_pressed(mixer, "Loop") == "true"
    position = "getComputedStyle(document.getElementById('mixer')).getPropertyValue('--loop-to')"
    assert float(mixer.evaluate(position)) == pytest.approx(0.5, abs=0.02)
    mixer.keyboard.press("Space")
    wait_until(lambda: seconds(mixer) > 1.5)
    wait_until(lambda: seconds(mixer) < 1.5)


# Whether the ruler shows a loop at this share of its width, above its labels' line at the foot.
_HAS_LOOP_AT = """(share) => {
    const ruler = document.getElementById('ruler');
    const { width, height } = ruler;
    const pixel = ruler.getContext('2d').getImageData(width * share, height - 3, 1, 1).data;
    return pixel[3] > 0;
}"""


def test_a_loop_is_seen_while_it_is_dragged_and_the_song_plays(mixer: Page) -> None:
    box = mixer.locator("#ruler").bounding_box()
    assert box
    assert not mixer.evaluate(_HAS_LOOP_AT, 0.63)
    mixer.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 5)
    mixer.mouse.down()
    mixer.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 5, steps=4)
    mixer.keyboard.press("Space")
    wait_until(lambda: seconds(mixer) > 0.1)  # the mixer has drawn again
    assert mixer.evaluate(_HAS_LOOP_AT, 0.63)
    mixer.mouse.up()
    assert is_pressed(mixer, "Loop") == "true"


def test_a_touch_that_is_broken_off_makes_no_loop(mixer: Page) -> None:
    box = mixer.locator("#ruler").bounding_box()
    assert box
    touch = mixer.context.new_cdp_session(mixer)
    points = [{"x": box["x"] + box["width"] * share, "y": box["y"] + 5} for share in (0.3, 0.6)]
    for kind, at in (("touchStart", points[:1]), ("touchMove", points[1:]), ("touchCancel", [])):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    assert is_pressed(mixer, "Loop") == "false"
    for kind, at in (("touchStart", points[1:]), ("touchEnd", [])):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    wait_until(lambda: abs(seconds(mixer) - SECONDS * 0.6) < 0.2)
    assert is_pressed(mixer, "Loop") == "false"


def test_a_loop_that_would_have_no_length_is_not_made(mixer: Page) -> None:
    mixer.keyboard.press("]")
    assert is_pressed(mixer, "Loop") == "false"
    mixer.get_by_label("Position").fill(str(SECONDS))
    wait_until(lambda: seconds(mixer) == SECONDS)
    mixer.keyboard.press("[")
    assert is_pressed(mixer, "Loop") == "false"


def test_the_number_pad_moves_or_mutes_as_its_lock_says(mixer: Page) -> None:
    mixer.locator(".wave").first.click()  # its middle
    wait_until(lambda: abs(seconds(mixer) - SECONDS / 2) < 0.2)
    mixer.keyboard.press("Numpad4")  # without NumLock: the left arrow
    wait_until(lambda: seconds(mixer) == 0)
    assert is_pressed(mixer, "Mute Vocals") == "false"
    press = "event => document.body.dispatchEvent(new KeyboardEvent('keydown', event))"
    locked = {"code": "Numpad4", "modifierNumLock": True, "bubbles": True}
    mixer.evaluate(press, {**locked, "key": "4"})
    assert is_pressed(mixer, "Mute Vocals") == "true"
    mixer.evaluate(press, {**locked, "key": "ArrowLeft"})  # as Windows sends it with Shift
    assert is_pressed(mixer, "Solo Vocals") == "true"


def test_digits_do_nothing_after_a_song_that_has_failed_was_chosen(
    mixer: Page, job_writer: JobWriter, song: Path
) -> None:
    errors: list[str] = []
    mixer.on("pageerror", lambda error: errors.append(str(error)))
    mixer.locator("#files").set_input_files(files([f"no {song.stem}.mp3"]))
    job = wait_for_upload(job_writer, f"no {song.stem}.mp3")
    job_writer.write_record(job, state=JobState.FAILED, problem={"title": "No", "status": 422})
    expect(mixer.locator("#mixer")).to_be_hidden()
    mixer.keyboard.press("1")
    mixer.keyboard.press("?")
    expect(mixer.get_by_role("dialog", name="Keys")).to_be_visible()
    assert errors == []


def test_what_was_wrong_with_a_stem_is_not_said_once_it_plays(mixer: Page) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=404, headers={"Access-Control-Allow-Origin": "*"})

    mixer.route("**/bass.wav?*", refuse)
    mixer.reload()
    expect(mixer.locator("#player-problem")).to_contain_text("Bass cannot be played")
    mixer.unroute("**/bass.wav?*")
    mixer.get_by_role("button", name="Play").click()
    expect(mixer.locator("#player-problem")).to_be_empty()
    wait_until(lambda: heard(mixer)[1])


def test_a_player_that_could_not_be_loaded_says_so_and_is_loaded_at_the_next_press_of_play(
    mixer: Page,
) -> None:
    mixer.route("**/worker.js", lambda route: route.abort())
    mixer.reload()
    expect(mixer.locator("#player-problem")).to_contain_text("could not be loaded")
    mixer.unroute("**/worker.js")
    mixer.get_by_role("button", name="Play").click()
    wait_until(lambda: all(heard(mixer)))
    expect(mixer.locator("#player-problem")).to_be_empty()


def test_a_stem_is_downloaded_by_a_new_link(mixer: Page, song: Path) -> None:
    link = mixer.get_by_role("link", name="Download Drums")
    link.evaluate("link => { link.href = '/has-expired'; }")
    with mixer.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == f"{song.stem} - drums.wav"
    assert Path(download.value.path()).read_bytes() == TONES["drums.wav"]


def test_a_stem_that_was_deleted_is_not_downloaded_and_the_page_says_so(
    mixer: Page, job_writer: JobWriter, song: Path
) -> None:
    address = mixer.url
    job_writer.stems.remove(f"{uploaded_key(job_writer, song.name)}/bass.wav")
    mixer.get_by_role("link", name="Download Bass").click()
    expect(mixer.locator("#player-problem")).to_have_text("Bass is not on the server any more.")
    assert mixer.url == address


def test_the_mixer_of_a_song_is_as_it_was_left(mixer: Page) -> None:
    mixer.get_by_label("Volume of Drums").fill("0.5")
    mixer.get_by_label("Pan of Bass").fill("-0.5")
    mixer.get_by_role("button", name="Mute Vocals").click()
    mixer.reload()
    expect(mixer.get_by_label("Volume of Drums")).to_have_value("0.5")
    expect(mixer.get_by_label("Volume of Drums")).to_have_attribute("aria-valuetext", "-6.0 dB")
    expect(mixer.get_by_label("Pan of Bass")).to_have_attribute("aria-valuetext", "50 % left")
    assert is_pressed(mixer, "Mute Vocals") == "true"


def test_loop_and_solo_are_kept_for_each_song(mixer: Page, song: Path) -> None:
    mixer.locator(".wave").first.click()  # its middle
    wait_until(lambda: abs(seconds(mixer) - SECONDS / 2) < 0.2)
    mixer.keyboard.press("[")
    mixer.get_by_role("button", name="Solo Bass").click()
    loop = loop_of(mixer)
    mixer.locator("#files").set_input_files(files([f"other than {song.stem}.mp3"]))
    expect(mixer.locator("#title")).to_have_text(f"other than {song.stem}")
    assert is_pressed(mixer, "Loop") == "false"
    assert is_pressed(mixer, "Solo Bass") == "false"
    mixer.locator(".song .choose").last.click()
    for _ in range(2):
        expect(mixer.locator("#title")).to_have_text(song.stem)
        expect(mixer.locator("#duration")).to_have_text(f"0:0{SECONDS}")
        expect(mixer.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")
        assert is_pressed(mixer, "Solo Bass") == "true"
        wait_until(lambda: loop_of(mixer) == pytest.approx(loop, abs=0.01))
        mixer.reload()


def test_the_question_mark_shows_the_keys(mixer: Page) -> None:
    mixer.keyboard.press("?")
    expect(mixer.get_by_role("dialog", name="Keys")).to_be_visible()
    mixer.keyboard.press("Escape")
    expect(mixer.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_keys_that_are_typed_into_a_field_do_not_play(mixer: Page) -> None:
    mixer.get_by_label("Search songs").press_sequentially("1 l")
    assert is_pressed(mixer, "Mute Drums") == "false"
    expect(mixer.get_by_role("button", name="Play")).to_be_visible()


def test_only_one_song_plays(mixer: Page, job_writer: JobWriter) -> None:
    loop_without_end(mixer)
    mixer.keyboard.press("Space")
    wait_until(lambda: seconds(mixer) > 0.2)
    mixer.locator("#files").set_input_files(files(["another.mp3"]))
    job_writer.finish(wait_for_upload(job_writer, "another.mp3"), TONES)
    another = mixer.locator(".song", has_text="another")
    expect(another).to_have_attribute("data-state", "done")
    expect(mixer.get_by_role("button", name="Pause")).to_be_visible()  # it goes on
    another.locator(".choose").click()
    expect(mixer.get_by_role("button", name="Play")).to_be_visible()


def test_only_one_tab_plays(mixer: Page) -> None:
    loop_without_end(mixer)
    other = mixer.context.new_page()
    other.goto(mixer.url)
    expect(other.locator("#duration")).to_have_text(f"0:0{SECONDS}")
    for tab in (mixer, other):
        tab.get_by_role("button", name="Play").click()
        expect(tab.get_by_role("button", name="Pause")).to_be_visible()
    expect(mixer.get_by_role("button", name="Play")).to_be_visible()


def test_a_shared_song_does_not_play_beside_the_page(mixer: Page) -> None:
    mixer.get_by_role("button", name="Share").click()
    link = mixer.get_by_label("Everybody with this link").input_value()
    loop_without_end(mixer)
    mixer.get_by_role("button", name="Play").click()
    wait_until(lambda: seconds(mixer) > 0.2)
    shared = mixer.context.new_page()
    shared.goto(link)
    expect(shared.locator("#duration")).to_have_text(f"0:0{SECONDS}")
    loop_without_end(shared)
    expect(mixer.get_by_role("button", name="Pause")).to_be_visible()
    shared.get_by_role("button", name="Play").click()
    expect(mixer.get_by_role("button", name="Play")).to_be_visible()
    mixer.get_by_role("button", name="Play").click()
    expect(shared.get_by_role("button", name="Play")).to_be_visible()


def test_the_time_is_not_read_aloud(mixer: Page) -> None:
    live = "document.getElementById('time').closest('output, [aria-live], [role=status]')"
    assert mixer.evaluate(live) is None


def heard(page: Page) -> list[bool]:
    """Whether each stem's meter shows a sound."""
    script = (
        "[...document.querySelectorAll('.meter')].map(m => m.style.getPropertyValue('--level'))"
    )
    return [float(level or 0) > 0 for level in page.evaluate(script)]


def test_the_speed_changes_under_the_policy_of_the_page(mixer: Page) -> None:
    requested: list[str] = []
    mixer.on("request", lambda request: requested.append(request.url))
    loop_without_end(mixer)
    mixer.get_by_role("button", name="Play").click()
    wait_until(lambda: any(heard(mixer)))
    mixer.get_by_role("button", name="Pause").click()
    wait_until(lambda: not any(heard(mixer)))
    assert not [url for url in requested if "vendor" in url]
    mixer.keyboard.press("Home")
    mixer.get_by_label("Speed").fill("0.5")
    expect(mixer.get_by_label("Speed")).to_have_attribute("aria-valuetext", "50 %")
    mixer.get_by_role("button", name="Play").click()
    wait_until(lambda: all(heard(mixer)))
    assert [url for url in requested if url.endswith("SignalsmithStretch.mjs")]
    expect(mixer.locator("#player-problem")).to_be_empty()


def test_keys_change_speed_and_pitch_which_are_kept_with_the_song(mixer: Page) -> None:
    for key in ("-", "-", "+", ".", ".", ".", ","):
        mixer.keyboard.press(key)
    for _ in range(2):
        expect(mixer.get_by_label("Speed")).to_have_value("0.95")
        expect(mixer.get_by_label("Speed")).to_have_attribute("aria-valuetext", "95 %")
        expect(mixer.get_by_label("Pitch")).to_have_value("2")
        expect(mixer.get_by_label("Pitch")).to_have_attribute(
            "aria-valuetext", "2 semitones higher"
        )
        mixer.reload()
    mixer.get_by_role("button", name="As recorded").click()
    expect(mixer.get_by_label("Speed")).to_have_value("1")
    expect(mixer.get_by_label("Pitch")).to_have_value("0")
