"""The operator's page if responses arrive in another order than that of their requests."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import urllib3
from playwright.sync_api import Locator, Page, Route, expect

from microdemucs.jobs import JobRecord, JobState
from testing.job_writer import JobWriter, new_job
from testing.stack import Stack
from testing.waiting import wait_until
from tests.system.browser.operator_data import bury, webhook


@contextmanager
def held_back(
    page: Page, url: str, send: Callable[[Route], None] = Route.continue_
) -> Iterator[None]:
    """Send the first request to `url` that the block makes only after the block."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route(url, hold)
    yield
    [late] = held
    with page.expect_event("requestfinished", lambda request: request == late.request):
        send(late)
    # The page has read the late response when it has read another one.
    page.evaluate("fetch('/healthz').then((response) => response.text())")
    page.unroute(url)


def failed_job(site: str, job_writer: JobWriter) -> JobRecord:
    """Write a job that has failed; return it when the function knows it."""
    job = job_writer.write_record(new_job(f"{uuid.uuid4().hex}.mp3"), state=JobState.FAILED)
    wait_until(lambda: urllib3.request("GET", f"{site}/apiv1/jobs/{job.id}").status == 200)
    return job


def show_jobs(page: Page, prefix: str) -> None:
    page.get_by_label("Key begins with").fill(prefix)
    page.get_by_role("button", name="Show", exact=True).click()


def show_attempts(page: Page, url: str) -> None:
    row = page.locator("#webhook-rows tr", has_text=url)
    row.get_by_role("button", name="Attempts").click()


def open_with_one_job(page: Page, site: str) -> Locator:
    """Open the page as if only one job were listed at once; return the rows of jobs."""

    def answer_one(route: Route) -> None:
        route.continue_(url=f"{route.request.url}&limit=1")

    page.route("**/apiv1/jobs?state=&prefix=", answer_one)
    page.goto(f"{site}/admin")
    rows = page.locator("#job-rows tr")
    expect(rows).to_have_count(1)
    return rows


def test_jobs_asked_for_before_do_not_replace_those_asked_for_now(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    job = failed_job(site, job_writer)
    rows = page.locator("#job-rows tr")
    with held_back(page, "**/apiv1/jobs?state=&prefix="):
        page.goto(f"{site}/admin")
        show_jobs(page, uuid.uuid4().hex)
        expect(page.locator("#no-job")).to_be_visible()
    expect(page.locator("#no-job")).to_be_visible()
    show_jobs(page, job.key)
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(job.key)


def test_older_jobs_are_not_added_to_jobs_of_another_filter(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    jobs = [failed_job(site, job_writer) for _ in range(2)]
    rows = open_with_one_job(page, site)
    with held_back(page, "**/apiv1/jobs?*cursor=*"):
        page.get_by_role("button", name="Older jobs").click()
        show_jobs(page, jobs[0].key)
        expect(rows).to_contain_text(jobs[0].key)
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(jobs[0].key)


def test_older_jobs_are_those_of_the_filter_that_is_shown(
    site: str, page: Page, job_writer: JobWriter
) -> None:
    for _ in range(2):
        failed_job(site, job_writer)
    rows = open_with_one_job(page, site)
    page.get_by_label("Key begins with").fill(uuid.uuid4().hex)  # not yet shown
    page.get_by_role("button", name="Older jobs").click()
    expect(rows.nth(1)).to_be_visible()


def test_a_dead_letter_asked_for_before_does_not_replace_another(
    site: str, page: Page, stack: Stack
) -> None:
    reasons = [uuid.uuid4().hex for _ in range(2)]
    for reason in reasons:
        bury(stack, reason)

    def answer_other(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"message": {"other": True}})

    page.goto(f"{site}/admin")
    letter = page.locator("#letter")
    buttons = [
        page.locator("#letter-rows tr", has_text=reason).get_by_role("button", name="Show")
        for reason in reasons
    ]
    expect(buttons[1]).to_be_visible()
    with held_back(page, "**/apiv1/admin/dead-letters/*", answer_other):
        buttons[0].click()
        buttons[1].click()
        expect(letter).to_contain_text('"odd": true')
    expect(letter).to_contain_text('"odd": true')


def test_attempts_asked_for_before_do_not_replace_those_of_another_webhook(
    site: str, page: Page, stack: Stack
) -> None:
    urls = [webhook(site, stack) for _ in range(2)]
    page.goto(f"{site}/admin")
    title = page.locator("#attempts-title")
    with held_back(page, "**/apiv1/webhooks/*/attempts"):
        show_attempts(page, urls[0])
        show_attempts(page, urls[1])
        expect(title).to_contain_text(urls[1])
    expect(title).to_contain_text(urls[1])


def test_a_problem_of_an_earlier_request_is_not_shown(site: str, page: Page, stack: Stack) -> None:
    urls = [webhook(site, stack) for _ in range(2)]
    page.goto(f"{site}/admin")

    def fail(route: Route) -> None:
        route.fulfill(status=503, json={"title": "The bus is away"})

    with held_back(page, "**/apiv1/webhooks/*/attempts", fail):
        show_attempts(page, urls[0])
        show_attempts(page, urls[1])
        expect(page.locator("#attempts-title")).to_contain_text(urls[1])
    expect(page.locator("#admin-problem")).to_be_empty()
