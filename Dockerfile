# Two stages: what builds stays behind. For a release pin the base by digest:
# --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/venv
COPY requirements.lock /src/
RUN /opt/venv/bin/pip install --require-hashes -r /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY app /src/app
COPY migrations /src/migrations
COPY resolver_policy /src/resolver_policy
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation /src \
    && /opt/venv/bin/pip uninstall --yes setuptools pip

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Pulih" \
      org.opencontainers.image.description="Blocking and DNS-normalisation control service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 pulih \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin pulih \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PULIH_DATA_DIR=/data \
    PULIH_HTTP_LISTEN=0.0.0.0:8000 \
    PULIH_DNS_LISTEN=0.0.0.0:5300
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8000/tcp 5300/tcp 5300/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["pulih", "healthcheck"]
ENTRYPOINT ["pulih"]
CMD ["serve", "--upgrade"]
