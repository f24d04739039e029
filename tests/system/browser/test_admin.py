import uuid
from collections.abc import Callable

import pytest
import urllib3
from playwright.sync_api import Locator, Page, Request, Route, expect

from microdemucs.jobs import JobRecord, JobState
from microdemucs.problems import now
from testing.bridge_answers import dead_letters_answered
from testing.job_writer import JobWriter, new_job
from testing.network_files import network_file
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from tests.system.browser.accessibility import violations
from tests.system.browser.operator_data import bury, webhook


def test_the_operator_sees_health_queue_jobs_and_retries_one(
    site: str, page: Page, stack: Stack, job_writer: JobWriter
) -> None:
    name = f"{uuid.uuid4().hex}.mp3"
    song = put_song(stack.store, f"admin/{name}", b"music")
    problem = {"type": "urn:micro-demucs:problem:corrupt", "title": "The song is damaged"}
    members = {"state": JobState.FAILED, "finished": now(), "problem": problem}
    failed = job_writer.write_record(JobRecord.of(song), **members)
    wait_until(lambda: urllib3.request("GET", f"{site}/apiv1/jobs/{failed.id}").status == 200)
    page.goto(f"{site}/admin")
    expect(page.locator("#health")).to_contain_text("up, NATS 2.")
    page.get_by_label("Key begins with").fill("admin/")
    page.get_by_role("button", name="Show", exact=True).click()
    row = page.locator("#job-rows tr", has_text=name)
    expect(row).to_contain_text("The song is damaged")
    row.get_by_role("button", name="Retry").click()
    expect(page.locator("#job-rows tr", has_text=name)).to_contain_text("waiting")
    expect(page.locator("#queue-rows tr", has_text=name)).to_be_visible()
    expect(page.locator("#admin-problem")).to_have_text("")


def test_the_operator_is_asked_for_a_token(serve: Callable[..., str], page: Page) -> None:
    page.goto(f"{serve(API_TOKENS='operator-token', THREADS='16')}/admin")
    page.get_by_label("Enter an access token").fill("operator-token")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#health")).to_contain_text("up, NATS 2.")


def test_the_operator_reads_a_dead_letter(site: str, page: Page, stack: Stack) -> None:
    reason = uuid.uuid4().hex
    bury(stack, reason)
    page.goto(f"{site}/admin")
    row = page.locator("#letter-rows tr", has_text=reason)
    row.get_by_role("button", name="Show").click()
    expect(page.locator("#letter")).to_contain_text('"odd": true')


def test_the_operator_drops_a_dead_letter_and_replays_another(
    site: str, page: Page, stack: Stack
) -> None:
    reason = uuid.uuid4().hex
    bury(stack, reason, 2)
    page.on("dialog", lambda dialog: dialog.accept())
    with dead_letters_answered(stack):
        page.goto(f"{site}/admin")
        rows = page.locator("#letter-rows tr", has_text=reason)
        expect(rows).to_have_count(2)
        rows.first.get_by_role("button", name="Drop").click()
        expect(rows).to_have_count(1)
        rows.first.get_by_role("button", name="Replay").click()
        expect(rows).to_have_count(0)
    expect(page.locator("#admin-problem")).to_have_text("")


def test_an_action_that_fails_says_why_until_the_next_one(
    site: str, page: Page, stack: Stack
) -> None:
    reason = uuid.uuid4().hex
    bury(stack, reason)
    refreshes: list[Request] = []

    def note(request: Request) -> None:
        if "limit=500" in request.url:
            refreshes.append(request)

    page.on("requestfinished", note)
    page.clock.install()
    page.goto(f"{site}/admin")
    letter = page.locator("#letter-rows tr", has_text=reason)
    letter.get_by_role("button", name="Replay").click()
    problem = page.locator("#admin-problem")
    expect(problem).to_contain_text("The bridge does not answer")
    before = len(refreshes)

    def is_refreshed() -> bool:
        page.clock.run_for(5000)
        return len(refreshes) >= before + 3  # the first may have begun before

    wait_until(is_refreshed)
    expect(problem).to_contain_text("The bridge does not answer")
    letter.get_by_role("button", name="Show").click()
    expect(page.locator("#letter")).to_contain_text('"odd": true')
    expect(problem).to_be_empty()


def test_a_table_that_cannot_be_read_leaves_the_others(site: str, page: Page, stack: Stack) -> None:
    url = webhook(site, stack)
    busy = {"title": "The bus is away", "type": "urn:micro-demucs:problem:bus-away"}
    letters = "**/apiv1/admin/dead-letters?*"
    page.route(letters, lambda route: route.fulfill(status=503, json=busy))
    page.goto(f"{site}/admin")
    row = page.locator("#webhook-rows tr", has_text=url)
    expect(row).to_be_visible()
    expect(page.locator("#refresh-problem")).to_have_text("Dead letters: The bus is away")
    page.unroute(letters)
    row.get_by_role("button", name="Switch off").click()
    expect(page.locator("#refresh-problem")).to_be_empty()


def press(button: Locator) -> None:
    """Press the button by the keyboard."""
    button.focus()
    button.press("Enter")


def test_after_an_action_the_keyboard_goes_on_where_it_was(
    site: str, page: Page, stack: Stack
) -> None:
    reason, url = uuid.uuid4().hex, webhook(site, stack)
    bury(stack, reason, 2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{site}/admin")
    letters = page.locator("#letter-rows tr", has_text=reason)
    press(letters.first.get_by_role("button", name="Replay"))
    expect(page.locator("#admin-problem")).to_contain_text("The bridge does not answer")
    expect(letters.first.get_by_role("button", name="Replay")).to_be_focused()
    with dead_letters_answered(stack):
        press(letters.first.get_by_role("button", name="Drop"))
        expect(letters).to_have_count(1)
    expect(page.get_by_role("group", name="Dead letters")).to_be_focused()
    row = page.locator("#webhook-rows tr", has_text=url)
    press(row.get_by_role("button", name="Switch off"))
    expect(row).to_contain_text("Switch on")
    expect(row).to_be_focused()
    page.keyboard.press("Tab")
    expect(row.get_by_role("button", name="Attempts")).to_be_focused()


def unfinished(site: str, job_writer: JobWriter, name: str, **members: object) -> JobRecord:
    """Write a job that waits; return it when the function knows it."""
    job = job_writer.write_record(new_job(name), **members)
    wait_until(lambda: urllib3.request("GET", f"{site}/apiv1/jobs/{job.id}").status == 200)
    return job


def test_the_queue_has_the_songs_that_wait_longest_too(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    name = uuid.uuid4().hex
    for number in range(3):
        unfinished(site, job_writer, f"{name}/{number}.mp3")

    def answer_two(route: Route) -> None:
        route.continue_(url=route.request.url.replace("limit=500", "limit=2"))

    page.route("**/apiv1/jobs?state=running*", answer_two)
    page.goto(f"{site}/admin")
    rows = page.locator("#queue-rows tr", has_text=name)
    expect(rows).to_have_count(3)
    for number in range(3):
        expect(rows.nth(number)).to_contain_text(f"{name}/{number}.mp3")


def test_a_long_queue_is_shown_from_its_head(site: str, page: Page) -> None:
    job = {"state": "waiting", "progress": 0, "phase": "", "submitter": "", "seconds_left": None}
    jobs = [job | {"id": str(n), "key": f"{n}.mp3", "position": n} for n in range(502, 0, -1)]
    answer = {"jobs": jobs, "next": None}
    page.route("**/apiv1/jobs?state=running*", lambda route: route.fulfill(json=answer))
    page.goto(f"{site}/admin")
    rows = page.locator("#queue-rows tr")
    expect(rows).to_have_count(500)
    expect(rows.first).to_contain_text("1.mp3")
    expect(page.locator("#queue-rest")).to_have_text("2 more wait.")


def test_the_operator_cancels_a_song_in_the_queue(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    job = unfinished(site, job_writer, f"{uuid.uuid4().hex}.mp3")
    page.goto(f"{site}/admin")
    row = page.locator("#queue-rows tr", has_text=job.key)
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(0)
    wait_until(lambda: job_writer.bus.get("cancels", job.id))


def test_the_operator_removes_the_stems_of_a_song(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    name = f"{uuid.uuid4().hex}.mp3"
    job = unfinished(site, job_writer, name)
    job_writer.finish(job, {"drums.mp3": b"drums"})
    url = f"{site}/apiv1/jobs/{job.id}"
    wait_until(lambda: urllib3.request("GET", url).json()["state"] == JobState.DONE)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{site}/admin")
    page.get_by_label("Key begins with").fill(name)
    page.get_by_role("button", name="Show", exact=True).click()
    row = page.locator("#job-rows tr", has_text=name)
    row.get_by_role("button", name="Remove stems").click()
    expect(row).to_contain_text("done, removed")
    expect(row.get_by_role("button", name="Retry")).to_be_visible()
    assert job_writer.stems.read(f"{name}/drums.mp3") is None


def test_the_operator_switches_a_webhook_off_and_on_and_deletes_it(
    site: str, page: Page, stack: Stack
) -> None:
    url = webhook(site, stack)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"{site}/admin")
    row = page.locator("#webhook-rows tr", has_text=url)
    state = row.locator("td").nth(2)
    expect(state).to_have_text("on")
    row.get_by_role("button", name="Switch off").click()
    expect(state).to_have_text("off")
    row.get_by_role("button", name="Switch on").click()
    expect(state).to_have_text("on")
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert url not in urllib3.request("GET", f"{site}/apiv1/webhooks").data.decode()


def test_the_operator_reads_later_dead_letters(site: str, page: Page, stack: Stack) -> None:
    reason = uuid.uuid4().hex
    bury(stack, reason, 2)

    def end_at_the_first(route: Route) -> None:
        """Answer what the function answers, as if a page ended after the first of these letters."""
        letters = route.fetch().json()["dead_letters"]
        last = next(n for n, letter in enumerate(letters) if letter["reason"] == reason)
        next_ = letters[last]["number"]
        route.fulfill(json={"dead_letters": letters[: last + 1], "next": next_})

    page.route("**/apiv1/admin/dead-letters?after=0", end_at_the_first)
    page.goto(f"{site}/admin")
    rows = page.locator("#letter-rows tr", has_text=reason)
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Later ones").click()
    expect(rows).to_have_count(2)
    expect(page.get_by_role("button", name="Later ones")).to_be_hidden()


def test_the_operator_sees_the_version_and_the_disk(site: str, page: Page) -> None:
    health = urllib3.request("GET", f"{site}/apiv1/admin/health").json()
    page.goto(f"{site}/admin")
    fact = page.locator("#health div")
    expect(fact.filter(has_text="Version")).to_contain_text(health["version"])
    expect(fact.filter(has_text="Bus")).to_contain_text(health["bus"]["version"])
    total = f"of {health['disk']['total_bytes'] / 1e9:.1f} GB"
    expect(fact.filter(has_text="Free disk")).to_contain_text(total)


def test_the_operator_sees_the_last_attempts_of_a_webhook(
    site: str, page: Page, stack: Stack
) -> None:
    url = webhook(site, stack)
    page.goto(f"{site}/admin")
    row = page.locator("#webhook-rows tr", has_text=url)
    row.get_by_role("button", name="Attempts").click()
    expect(page.locator("#attempts-title")).to_contain_text(url)
    expect(page.locator("#attempt-rows tr")).to_contain_text("the receiver answered 503")


def test_the_operator_sees_the_models(
    site: str, page: Page, publish_models: Callable[..., None]
) -> None:
    page.goto(f"{site}/admin")
    expect(page.locator("#models-incomplete")).to_be_visible()
    publish_models(mine=network_file())
    page.reload()
    expect(page.locator("#model-rows tr")).to_have_count(2)
    expect(page.locator("#model-rows tr", has_text="htdemucs_tiny")).to_contain_text("(default)")
    mine = page.locator("#model-rows tr", has_text="mine")
    expect(mine).to_contain_text("drums, bass, other, vocals")
    expect(mine).to_contain_text("bucket")
    expect(page.locator("#models-incomplete")).to_be_hidden()


def test_an_empty_table_says_so(site: str, page: Page, job_writer: JobWriter) -> None:
    job = job_writer.write_record(new_job(f"{uuid.uuid4().hex}.mp3"), state=JobState.FAILED)
    wait_until(lambda: urllib3.request("GET", f"{site}/apiv1/jobs/{job.id}").status == 200)
    page.goto(f"{site}/admin")
    for prefix, is_empty in ((uuid.uuid4().hex, True), (job.key, False)):
        page.get_by_label("Key begins with").fill(prefix)
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.get_by_text("There is no such job.")).to_be_visible(visible=is_empty)
        expect(page.locator("#job-rows")).to_be_visible(visible=not is_empty)


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_axe_finds_nothing_on_the_operators_page(
    page: Page, site: str, stack: Stack, width: int, dark: bool
) -> None:
    reason, url = uuid.uuid4().hex, webhook(site, stack)
    bury(stack, reason)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.goto(f"{site}/admin")
    letter = page.locator("#letter-rows tr", has_text=reason)
    expect(letter).to_be_visible()
    found = {"tables": violations(page)}
    letter.get_by_role("button", name="Show").click()
    expect(page.locator("#letter")).to_be_visible()
    found["letter"] = violations(page)
    page.locator("#webhook-rows tr", has_text=url).get_by_role("button", name="Attempts").click()
    expect(page.locator("#attempt-rows tr")).to_be_visible()
    found["attempts"] = violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert {state: lines for state, lines in found.items() if lines} == {}
