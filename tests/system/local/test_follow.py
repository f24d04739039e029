"""`make logs`: what every part says, readable, of one job where asked."""

import os
import subprocess
import sys

from local.follow import readable
from microdemucs.paths import ROOT
from testing.songs import mp3
from testing.stack import running_stack
from testing.waiting import wait_until


def test_a_line_is_time_part_event_and_the_rest():
    said = {"time": "2026-11-23T01:02:03.004Z", "level": "info", "function": "separate"}
    said |= {"event": "done", "job": "j1", "timings": {"decoding": 0.1}}
    line = readable(said, colour=False)
    assert line == '01:02:03.004  separate      done  job=j1 timings={"decoding": 0.1}'


def test_an_error_is_red_on_a_terminal_only():
    said = {"time": "", "level": "error", "function": "notify", "event": "crashed"}
    assert readable(said, colour=True).startswith("\033[31m")
    assert "\033" not in readable(said, colour=False)


def test_it_follows_all_parts_and_one_job_where_asked(tmp_path):
    with running_stack(tmp_path / "stack", "bridge", "intake", "separate") as stack:
        stack.environment.save()
        with (tmp_path / "said").open("w") as into:
            following = subprocess.Popen(
                [sys.executable, "-m", "local.follow", "--job", "wanted"],
                cwd=ROOT,
                env=os.environ | {"MICRO_DEMUCS_STATE": str(stack.environment.folder)},
                stdout=into,
                stderr=subprocess.PIPE,
                text=True,
            )
        try:
            assert "following" in following.stderr.readline()
            for key in ("other.mp3", "wanted.mp3"):
                stack.put_song(key, mp3(2.0))
                stack.wait_for_manifest(key)
            said = wait_until(
                lambda: "delivered" in (t := (tmp_path / "said").read_text()) and t, 30
            )
            assert "separate      started" in said
            assert "other.mp3" not in said
        finally:
            following.kill()
            following.communicate()
