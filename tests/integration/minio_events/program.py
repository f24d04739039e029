"""Run the command `python -m minio_events` in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence

from microdemucs.paths import ROOT
from testing.stack import Stack


def start_program(
    stack: Stack, user: str, words: Sequence[str], **settings: str
) -> "subprocess.Popen[str]":
    """Start the program that `words` name, connected as `user`, with these settings."""
    return subprocess.Popen(
        [sys.executable, "-m", "minio_events", *words],
        cwd=ROOT,
        env=os.environ | stack.environment.for_component(user) | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_program(
    stack: Stack, user: str, words: Sequence[str], **settings: str
) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    with start_program(stack, user, words, **settings) as process:
        try:
            output, errors = process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def failure_line(completed: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line on stderr with which a program has failed."""
    assert completed.returncode == 1, completed
    [line] = completed.stderr.splitlines()
    return line
