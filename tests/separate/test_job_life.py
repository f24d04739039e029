"""One job from its event to its mark, on a real store and a real bus."""

import io

import pytest
import soundfile
import sounds
from minio import Minio

from functions.separate.job import Job
from functions.separate.life import Tools, live
from microdemucs.bus import JOBS
from microdemucs.events import ObjectCreated
from microdemucs.jobs import JobRecord, job_id
from microdemucs.store import read_json

SONG = sounds.file(sounds.music(5))


@pytest.fixture
def put(root: Minio, request: pytest.FixtureRequest):
    """Put a song under the test's own name, and give the job that its event asks for."""

    def put(data: bytes = SONG, key: str = "song.wav", **metadata: str) -> Job:
        key = f"{request.node.name}/{key}"
        metadata = {name.replace("_", "-"): value for name, value in metadata.items()}
        answer = root.put_object("songs", key, io.BytesIO(data), len(data), metadata=metadata)
        there = root.stat_object("songs", key)
        time = there.last_modified.isoformat()
        song = ObjectCreated("songs", key, len(data), answer.etag, time=time, metadata=metadata)
        return Job(job_id(song), song, "0" * 31 + "1", metadata.get("callback", ""))

    return put


def test_a_song_becomes_stems_and_a_manifest(put, tools: Tools, root: Minio):
    job = put()
    live(job, tools)
    manifest = read_json(root, "stems", f"{job.song.key}/manifest.json")
    assert [stem["name"] for stem in manifest["stems"]] == ["drums", "bass", "other", "vocals"]
    for stem in manifest["stems"]:
        data = root.get_object("stems", stem["key"]).read()
        assert len(data) == stem["size"]
        assert soundfile.info(io.BytesIO(data)).frames / 44_100 == pytest.approx(5, abs=0.1)
    record = JobRecord.read(tools.bus.get(JOBS, job.id).value)
    assert (record.state, record.progress) == ("done", 1.0)
