import json
import uuid
from collections.abc import Callable

import pytest
import urllib3
from nats.aio.client import Client
from playwright.sync_api import Page, expect

from microdemucs.events import COMPLETED
from microdemucs.jobs import JobRecord, JobState
from microdemucs.messages import Attempt, DeliveryState
from microdemucs.problems import now
from testing.bridge_answers import dead_letters_answered
from testing.job_writer import JobWriter, new_job
from testing.network_files import network_file
from testing.objects import put_song
from testing.stack import Stack
from testing.waiting import wait_until
from tests.system.browser.accessibility import violations


def bury(stack: Stack, reason: str, count: int = 1) -> None:
    """Store so many dead letters."""

    async def publish(client: Client) -> None:
        headers = {"Dead-Reason": reason, "Dead-Subject": "minio.songs"}
        for _ in range(count):
            await client.jetstream().publish("dead.songs.j1", b'{"odd": true}', headers=headers)

    stack.on_bus("bridge", publish)


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


def webhook(site: str, stack: Stack) -> str:
    """Register a webhook of which one attempt failed; return its URL."""
    url = f"https://example.com/{uuid.uuid4().hex}"
    body = json.dumps({"url": url}).encode()
    headers = {"Content-Type": "application/json"}
    response = urllib3.request("POST", f"{site}/apiv1/webhooks", body=body, headers=headers)
    attempt = Attempt(
        delivery="msg_1",
        type=COMPLETED,
        job="j1",
        attempt=3,
        time=now(),
        state=DeliveryState.WAITING,
        status=503,
        reason="the receiver answered 503",
        next=now(),
    )

    async def publish(client: Client) -> None:
        await client.jetstream().publish(f"attempts.{response.json()['id']}", attempt.write())

    stack.on_bus("notify", publish)
    return url


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
