import pytest

from functions.upload.past_jobs import PastJobs, seconds_between
from microdemucs.jobs import JobRecord, JobState
from microdemucs.work_estimate import WorkEstimate

ESTIMATE = WorkEstimate(passes=1, windows=8, network_seconds=62.4, output_bytes=1)


def job(**members: object) -> JobRecord:
    return JobRecord(id="j", bucket="songs", etag="e", **({"key": "a.mp3"} | members))  # type: ignore[arg-type]


def done(took: int, **members: object) -> JobRecord:
    """A job that has separated a song of 60 s in `took` seconds."""
    return job(
        **{
            "state": JobState.DONE,
            "model": "m",
            "size": 6000,
            "started": "2026-01-01T00:00:00.000Z",
            "finished": f"2026-01-01T00:00:{took:02}.000Z",
            "song": {"seconds": 60.0},
            "estimate": ESTIMATE,
        }
        | members
    )


def test_the_real_time_factor_is_the_median_of_past_jobs() -> None:
    assert PastJobs([done(6), done(12), done(30)]).real_time_factor() == 0.2


@pytest.mark.parametrize(
    "ignored",
    [
        {"state": JobState.FAILED},
        {"estimate": None},
        {"song": {"seconds": 3.0}},
        {"song": {}},
        {"started": ""},
        {"options": {"shifts": 5}},
        {"options": {"model": "other"}, "model": "other"},
    ],
    ids=["failed", "copied", "short", "of-unknown-length", "restored", "more-work", "other-model"],
)
def test_only_a_separation_with_the_same_options_counts(ignored: dict[str, object]) -> None:
    assert PastJobs([done(6), done(30, **ignored)]).real_time_factor() == 0.1


def test_without_past_jobs_nothing_is_known() -> None:
    past = PastJobs([])
    assert past.real_time_factor() is None
    assert past.seconds_of(job(size=6000)) is None


def test_the_default_model_is_that_of_the_latest_job_without_one() -> None:
    before = done(6, model="before")
    now = done(30, model="now")
    assert PastJobs([now, before]).real_time_factor() == 0.5


def test_the_latest_fifty_jobs_count() -> None:
    old = [done(6)] * 60
    new = [done(12)] * 50
    assert PastJobs([*new, *old]).real_time_factor() == 0.2


def test_a_jobs_time_follows_from_the_length_of_its_song() -> None:
    assert PastJobs([done(6)]).seconds_of(job(song={"seconds": 240.0})) == 24.0


def test_before_the_song_is_decoded_its_size_stands_for_its_length() -> None:
    past = PastJobs([done(6), done(6, key="b.WAV", size=60_000)])
    assert past.seconds_of(job(size=12_000)) == 12.0
    assert past.seconds_of(job(size=120_000, key="c.wav")) == 12.0
    assert past.seconds_of(job(size=12_000, key="c.flac")) is None


def test_a_job_with_other_options_is_compared_with_jobs_like_it() -> None:
    slow = {"options": {"shifts": 5, "format": "flac"}}
    past = PastJobs([done(6), done(30, **slow)])
    assert past.seconds_of(job(size=6000, options={"shifts": 5})) == 30.0
    assert past.seconds_of(job(size=6000, options={"model": "m"})) == 6.0
    assert past.seconds_of(job(size=6000, options={"overlap": 0.5})) is None


def test_times_that_run_backwards_are_no_time() -> None:
    assert seconds_between("2026-01-01T00:00:01.500Z", "2026-01-01T00:00:03.000Z") == 1.5
    assert seconds_between("2026-01-01T00:00:03.000Z", "2026-01-01T00:00:01.000Z") == 0.0
