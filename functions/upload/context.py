"""What every route works with: the settings, the store's buckets, the bus, the view of jobs."""

from dataclasses import dataclass

import flask

from functions.upload.bucket_of_models import BucketOfModels
from functions.upload.encoding.encoders import Encoders
from functions.upload.jobs_view import JobsView
from functions.upload.queue_forecast import QueueForecast
from functions.upload.settings import Settings
from functions.upload.share_links import ShareLinks
from functions.upload.streams import Streams
from functions.upload.upload_space import UploadSpace
from microdemucs import logs, store
from microdemucs.bucket import Bucket
from microdemucs.bus import JOBS, Bus
from microdemucs.webhook_registry import WebhookRegistry
from microdemucs.work_limit import WorkLimit


@dataclass(frozen=True, slots=True)
class Context:
    """The dependencies of this process.

    `public_songs` and `public_stems` are the same buckets as `songs` and `stems`, at the address
    that browsers reach: they presign URLs and forms. `streams` limits the open event streams and
    previews, `upload_space` the disk space of songs that arrive, `work_limit` the work of a job.
    """

    settings: Settings
    songs: Bucket
    stems: Bucket
    public_songs: Bucket
    public_stems: Bucket
    bus: Bus
    jobs: JobsView
    queue: QueueForecast
    webhooks: WebhookRegistry
    models: BucketOfModels
    upload_space: UploadSpace
    work_limit: WorkLimit
    streams: Streams
    share_links: ShareLinks
    encoders: Encoders


def context() -> Context:
    """Return the context of the app that handles this request. Raises BadSetting."""
    ctx: Context = flask.current_app.extensions["context"]()
    return ctx


def build_context() -> Context:
    """Build this process's dependencies from its settings. Raises BadSetting."""
    settings = Settings()
    bus = Bus(settings.bus, "upload")
    logs.start("upload", bus)
    jobs = JobsView()
    bus.watch(JOBS, jobs.apply, jobs.loaded)
    client = store.connect(settings.store)
    public_client = store.connect(settings.store, public=True)
    upload_space = UploadSpace(settings.upload_space)
    return Context(
        settings=settings,
        songs=Bucket(client, settings.store.songs),
        stems=Bucket(client, settings.store.stems),
        public_songs=Bucket(public_client, settings.store.songs),
        public_stems=Bucket(public_client, settings.store.stems),
        bus=bus,
        jobs=jobs,
        queue=QueueForecast(jobs),
        webhooks=WebhookRegistry(bus),
        models=BucketOfModels(Bucket(client, settings.store.models)),
        upload_space=upload_space,
        work_limit=WorkLimit(settings.work.max_seconds, settings.work.max_output_bytes),
        streams=Streams(settings.event_streams),
        share_links=ShareLinks.of(settings),
        encoders=Encoders(settings.mixes, upload_space),
    )
