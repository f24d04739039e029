"""Mixes of stems, encoded in a child process: decoding and encoding is FFmpeg's, by PyAV."""
