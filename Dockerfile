# The image of what runs on a cluster: podbench's base install and iperf3 for agents, mosquitto for the broker.
#
#   docker build -t podbench .
#   docker build --build-arg BASE_IMAGE=registry.example/python:3.13-slim -t podbench .
#   docker buildx build --platform linux/amd64,linux/arm64 -t podbench .
#
# BASE_IMAGE needs Python >= 3.11 with venv and pip, and apt-get. Both stages use it, so that the
# interpreter a virtual environment points to is the same one in both. All agents of a run use one image:
# iperf3's versions must not differ. One image for both, so that one is to be mirrored. It stays under 80 MB
# compressed: .github/workflows/release.yml refuses a larger one.
#
# By its digest: what is built tomorrow is what was looked at today. `docker buildx imagetools inspect
# python:3.13-slim-bookworm` prints the newest one.
ARG BASE_IMAGE=python:3.13-slim-bookworm@sha256:01f42367a0a94ad4bc17111776fd66e3500c1d87c15bbd6055b7371d39c124fb

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY scripts/pins-agent.txt scripts/pins-build.txt scripts/
COPY harness harness
COPY agents agents
COPY reports reports
# Every file that is installed is held to its hash. The wheel is built from the pinned backend; the environment gets
# neither pip nor the backend, nor NumPy's own tests, an eighth of it.
RUN python3 -m venv /build \
 && /build/bin/python -m pip install --no-cache-dir --require-hashes -r scripts/pins-build.txt \
 && /build/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python3 -m venv --without-pip /opt/podbench \
 && /build/bin/python -m pip --python /opt/podbench/bin/python install --no-cache-dir \
      --require-hashes --only-binary :all: -r scripts/pins-agent.txt \
 && /build/bin/python -m pip --python /opt/podbench/bin/python install --no-cache-dir --no-deps /wheels/*.whl \
 && find /opt/podbench/lib -path '*/numpy/*' -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE_IMAGE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iperf3 mosquitto \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/podbench /opt/podbench
# Bytecode was written while building; at run time the root file system may be read-only.
ENV PATH=/opt/podbench/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
# STAMP (RFC 8762), above the ports that need a capability; the broker's, where its command runs mosquitto.
EXPOSE 8620/udp 18883/tcp
ENTRYPOINT ["python", "-m", "podbench_agent"]
