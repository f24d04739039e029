"""Many songs and tabs: nothing waits for a connection, and nothing that was dropped is lost."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Dialog, Page, Request, expect

from microdemucs.jobs import JobState
from testing.job_writer import JobWriter
from tests.system.browser.songs import TONES, files, wait_for_upload

DROP = """([selector, names]) => {
    const data = new DataTransfer();
    for (const name of names) data.items.add(new File(["a song"], name, {type: "audio/mpeg"}));
    const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
    document.querySelector(selector).dispatchEvent(event);
    return event.defaultPrevented;
}"""


def add_waiting(page: Page, job_writer: JobWriter, names: list[str]) -> None:
    """Add songs, and write their job records as the bridge does."""
    page.locator("#files").set_input_files(files(names))
    for name in names:
        wait_for_upload(job_writer, name)


def hold_uploads(page: Page) -> None:
    """Let no upload to the store end."""
    page.route("**/songs", lambda route: None)


def test_the_21st_song_is_uploaded_and_a_second_tab_opens_while_20_wait(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    add_waiting(page, job_writer, [f"waiting {n}.mp3" for n in range(20)])
    expect(page.locator('.song[data-state="waiting"]')).to_have_count(20)
    page.locator("#files").set_input_files(files(["one more.mp3"]))
    wait_for_upload(job_writer, "one more.mp3")
    other = page.context.new_page()
    other.goto(site)
    expect(other.locator('.song[data-state="waiting"]')).to_have_count(21)
    page.get_by_role("button", name="Cancel one more").click()
    for tab in (page, other):
        expect(tab.locator('.song[data-state="cancelled"]')).to_have_count(1)


def test_all_tabs_share_one_event_stream(page: Page, site: str, job_writer: JobWriter) -> None:
    streams: set[Request] = set()
    context = page.context
    context.on("request", lambda one: streams.add(one) if "/apiv1/events" in one.url else None)
    context.on("requestfailed", lambda one: streams.discard(one))
    context.on("requestfinished", lambda one: streams.discard(one))
    page.goto(site)
    other = context.new_page()
    other.goto(site)
    names = [f"shared {n}.mp3" for n in range(3)]
    page.locator("#files").set_input_files(files(names))
    for n, name in enumerate(names, start=1):
        job = wait_for_upload(job_writer, name)
        job_writer.write_record(job, state=JobState.RUNNING, phase="separating", progress=n / 10)
    for tab in (page, other):
        for n in range(1, 4):
            expect(tab.locator("#songs")).to_contain_text(f"Separating · {n}0%")
    assert len(streams) == 1


def test_if_the_tab_with_the_stream_is_closed_another_one_follows_the_songs(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    other = page.context.new_page()
    other.goto(site)
    page.locator("#files").set_input_files(files(["handed over.mp3"]))
    job = wait_for_upload(job_writer, "handed over.mp3")
    expect(other.locator(".song")).to_have_attribute("data-state", "waiting")
    page.close()
    job_writer.finish(job, TONES)
    expect(other.locator(".song")).to_have_attribute("data-state", "done")


def test_a_new_tab_finds_the_songs_of_a_closed_one(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(files(["first.mp3", "second.mp3"]))
    expect(page.locator(".song .name")).to_have_text(["first", "second"])
    wait_for_upload(job_writer, "first.mp3")
    job = wait_for_upload(job_writer, "second.mp3")
    expect(page.locator('.song[data-state="waiting"]')).to_have_count(2)
    page.close()
    job_writer.finish(job, TONES)
    tab = page.context.new_page()
    tab.goto(site)
    expect(tab.locator(".song .name")).to_have_text(["first", "second"])
    expect(tab.locator(".song").nth(1)).to_have_attribute("data-state", "done")


def test_the_address_of_a_song_opens_it_in_another_browser(
    page: Page, site: str, job_writer: JobWriter, song: Path, browser: Browser
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    assert "#song=" in page.url
    stranger = browser.new_context()
    tab = stranger.new_page()
    tab.goto(page.url)
    expect(tab.locator("#title")).to_have_text(song.stem)
    expect(tab.locator(".stem")).to_have_count(4)
    stranger.close()


def test_a_drop_beside_the_box_adds_the_songs(page: Page, site: str, job_writer: JobWriter) -> None:
    page.goto(site)
    assert page.evaluate(DROP, ["footer", ["beside one.mp3", "beside two.mp3"]])
    expect(page.locator(".song .name")).to_have_text(["beside one", "beside two"])
    assert wait_for_upload(job_writer, "beside two.mp3").state == JobState.WAITING


def test_closing_the_page_during_an_upload_asks_first(page: Page, site: str) -> None:
    hold_uploads(page)
    page.goto(site)
    page.locator("h1").click()  # browsers ask only on pages that were touched
    page.locator("#files").set_input_files(files(["unfinished.mp3"]))
    expect(page.locator(".song")).to_have_attribute("data-state", "uploading")
    asked: list[Dialog] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog)
        dialog.accept()

    page.on("dialog", accept)
    page.reload()
    assert [dialog.type for dialog in asked] == ["beforeunload"]


def test_an_interrupted_upload_is_listed_and_its_file_can_be_chosen_again(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    hold_uploads(page)
    page.goto(site)
    names = ["interrupted one.mp3", "interrupted two.mp3", "interrupted three.mp3"]
    page.locator("#files").set_input_files(files(names))
    expect(page.locator('.song[data-state="uploading"]')).to_have_count(2)  # at a time
    page.close()
    tab = page.context.new_page()
    tab.goto(site)
    expect(tab.locator('.song[data-state="interrupted"]')).to_have_count(3)
    expect(tab.locator("#problem")).to_contain_text("Choose the file again")
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Choose the file again").click()
    chooser.value.set_files(files([names[0]]))
    assert wait_for_upload(job_writer, names[0]).state == JobState.WAITING
    expect(tab.locator('.song[data-state="interrupted"]')).to_have_count(2)


def keep_songs(page: Page, *songs: Mapping[str, object]) -> None:
    """Put these songs among those that the browser remembers."""
    page.evaluate(
        """(songs) => {
            for (const [order, song] of songs.entries()) {
                const id = String(order).padStart(32, "0");
                const entry = { id, job: "", added: Date.now() - 5000, order, document: null };
                const text = JSON.stringify({ ...entry, options: {}, preset: "all", ...song });
                localStorage.setItem(`song:${id}`, text);
            }
        }""",
        songs,
    )


def test_without_locks_another_tab_does_not_take_an_upload_for_interrupted(
    page: Page, site: str
) -> None:
    page.context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    page.goto(site)
    keep_songs(page, {"name": "lost.mp3", "state": "uploading", "tab": "a tab that was closed"})
    hold_uploads(page)
    page.locator("#files").set_input_files(files(["on its way.mp3"]))
    expect(page.locator(".row-state")).to_contain_text("Uploading")
    second = page.context.new_page()
    second.goto(site)
    rows = second.locator("#songs .song")
    expect(rows.filter(has_text="lost")).to_have_attribute("data-state", "interrupted")
    expect(rows.filter(has_text="on its way")).to_have_attribute("data-state", "uploading")


def test_more_than_a_hundred_songs_that_wait_are_followed(page: Page, site: str) -> None:
    page.goto(site)
    songs = [{"name": f"{n}.mp3", "state": "waiting", "job": f"{n:032x}"} for n in range(150)]
    keep_songs(page, *songs)
    with page.expect_request("**/apiv1/events?*") as events:
        page.reload()
    [ids] = parse_qs(urlsplit(events.value.url).query)["jobs"]
    assert set(ids.split(",")) == {song["job"] for song in songs}
    response = events.value.response()
    assert response
    assert response.status == 200


def test_a_page_that_loads_opens_its_event_stream_once(page: Page, site: str) -> None:
    page.goto(site)
    keep_songs(page, {"name": "waiting.mp3", "state": "waiting", "job": "0" * 32})
    streams: list[Request] = []
    page.on("request", lambda one: streams.append(one) if "/apiv1/events" in one.url else None)
    page.clock.install()
    with page.expect_response("**/apiv1/events?*"):
        page.reload()
    page.clock.run_for(1000)
    with page.expect_response("**/robots.txt"):  # requests are reported in their order
        page.evaluate("fetch('/robots.txt')")
    assert len(streams) == 1


def test_the_ids_of_the_songs_that_are_followed_fit_in_the_address(page: Page, site: str) -> None:
    page.goto(site)
    songs = [{"name": f"{n}.mp3", "state": "waiting", "job": f"{n:064x}"} for n in range(250)]
    keep_songs(page, *songs)
    with page.expect_response("**/apiv1/events?*") as events:
        page.reload()
    assert events.value.status == 200


def test_a_song_that_is_dropped_during_a_search_is_seen(page: Page, site: str) -> None:
    hold_uploads(page)
    page.goto(site)
    page.locator("#files").set_input_files(files(["Über.mp3"]))
    page.get_by_label("Search songs").fill("nothing like it")
    expect(page.locator("#no-match")).to_be_visible()
    page.locator("#files").set_input_files(files(["Another.mp3"]))
    expect(page.locator("#songs .song:visible")).to_have_count(2)
    expect(page.locator("#no-match")).to_be_hidden()
    expect(page.get_by_label("Search songs")).to_have_value("")


def test_a_search_whose_last_song_is_removed_says_that_there_is_none(page: Page, site: str) -> None:
    hold_uploads(page)
    page.goto(site)
    page.locator("#files").set_input_files(files(["One.mp3", "Two.mp3"]))
    page.get_by_label("Search songs").fill("one")
    expect(page.locator("#songs .song:visible")).to_have_count(1)
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Take it off this list").click()
    expect(page.locator("#no-match")).to_be_visible()


def test_a_failed_upload_is_tried_again_without_choosing_the_file_again(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    page.route("**/songs", lambda route: route.abort(), times=1)
    page.locator("#files").set_input_files(files(["broken off.mp3"]))
    expect(page.locator("#problem")).to_contain_text("Check your connection, then press Retry")
    page.get_by_role("button", name="Retry").click()
    assert wait_for_upload(job_writer, "broken off.mp3").state == JobState.WAITING
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#problem")).to_be_empty()


def test_songs_are_found_by_their_names(page: Page, site: str) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(files(["Über den Wolken.mp3", "So What.mp3"]))
    page.get_by_label("Search songs").fill("uber")
    expect(page.locator(".song:visible .name")).to_have_text(["Über den Wolken"])
    page.get_by_label("Search songs").fill("xyz")
    expect(page.locator("#no-match")).to_be_visible()


def test_a_song_can_be_renamed_in_this_browser(page: Page, site: str) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(files(["track01.mp3"]))
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="Name of this song").fill("Naima")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.locator("#title")).to_have_text("Naima")
    expect(page.locator("#cover")).to_have_attribute("data-letter", "N")
    page.reload()
    expect(page.locator(".song .name")).to_have_text("Naima")


def test_a_song_taken_off_the_list_stays_on_the_server(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(files(["listed.mp3"]))
    job = wait_for_upload(job_writer, "listed.mp3")
    page.get_by_role("button", name="Remove…").click()
    page.get_by_role("button", name="Take it off this list").click()
    expect(page.locator(".song")).to_have_count(0)
    page.reload()
    expect(page.locator(".song")).to_have_count(0)
    assert job_writer.songs.stat(job.key)


def test_a_song_can_be_deleted_with_its_stems(
    page: Page, site: str, job_writer: JobWriter, song: Path
) -> None:
    page.goto(site)
    page.locator("#files").set_input_files(song)
    job = job_writer.finish(wait_for_upload(job_writer, song.name), TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done")
    page.get_by_role("button", name="Remove…").click()
    with page.expect_request(lambda request: request.method == "DELETE") as request:
        page.get_by_role("button", name="Delete the song and its stems").click()
    assert request.value.url.endswith("?song=true")
    expect(page.locator(".song")).to_have_count(0)
    assert [*job_writer.stems.list(f"{job.key}/")] == []


def test_a_server_that_cannot_be_reached_is_said_and_found_again(
    page: Page, serve: Callable[..., str], job_writer: JobWriter
) -> None:
    page.goto(serve(THREADS="8"))
    page.locator("#files").set_input_files(files(["offline.mp3"]))
    job = wait_for_upload(job_writer, "offline.mp3")
    expect(page.locator(".song")).to_have_attribute("data-state", "waiting")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible(timeout=20_000)
    page.context.set_offline(False)
    job_writer.finish(job, TONES)
    expect(page.locator(".song")).to_have_attribute("data-state", "done", timeout=20_000)
    expect(page.locator("#connection")).to_be_hidden()


def test_a_server_that_is_back_is_noticed_though_no_song_waits_any_more(
    page: Page, site: str, job_writer: JobWriter
) -> None:
    page.goto(site)
    add_waiting(page, job_writer, ["left alone.mp3"])
    page.route("**/apiv1/**", lambda route: route.abort())
    page.reload()
    expect(page.locator("#connection")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Take it off this list").click()
    expect(page.locator("#songs .song")).to_have_count(0)
    page.unroute("**/apiv1/**")
    expect(page.locator("#connection")).to_be_hidden()
