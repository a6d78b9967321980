# Two stages: dependencies and package go into a virtual environment, and only that is kept.
# CPU or CUDA is decided by the torch wheel alone: its CUDA build brings the CUDA libraries with it.
#   docker build -t transfermask .
#   docker build -t transfermask --build-arg TORCH_INDEX=<the wheel index of a CUDA or CPU build> .
FROM python:3.11-slim-bookworm AS build

# An index beside the default one, where the wanted torch build lies; empty: the default index alone.
ARG TORCH_INDEX=""

RUN python -m venv /opt/transfermask
ENV PATH=/opt/transfermask/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /src
# torch first: it is large, and changes less often than the sources.
COPY constraints.txt ./
RUN pip install --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE ./
COPY search ./search
COPY models ./models
COPY service ./service
COPY transfermask ./transfermask
# With what specs of transformers' architectures and of parquet files need.
RUN pip install --constraint constraints.txt '.[transformers,parquet]'

FROM python:3.11-slim-bookworm

RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin transfermask \
    && mkdir /data \
    && chown 10001:10001 /data

COPY --from=build /opt/transfermask /opt/transfermask

# The container's network is closed from outside; which port is opened, and to whom, is the operator's to say
# (compose.yaml: to this machine only).  That is what ALLOW_INSECURE_HOST acknowledges.
ENV PATH=/opt/transfermask/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    TRANSFERMASK_DATA_DIR=/data \
    TRANSFERMASK_HOST=0.0.0.0 \
    TRANSFERMASK_PORT=8000 \
    TRANSFERMASK_ALLOW_INSECURE_HOST=true \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"TRANSFERMASK_PORT\"]}/readyz', timeout=4)"]

ENTRYPOINT ["transfermask"]
CMD ["serve"]
