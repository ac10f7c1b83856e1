# One image for every service; the command says which: `serve config`, `serve ingestion`, `serve trigger`
# (or its two programs alone: `serve trigger-rest`, `serve trigger-worker`), or `up` for all of them in one container.
FROM python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    MOMENTS_DATA=/data \
    MOMENTS_HOST=0.0.0.0

RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin moments \
 && mkdir /data \
 && chown moments /data

WORKDIR /app

# The dependencies change seldom: a layer of their own.
COPY requirements.lock .
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-input --require-hashes -r requirements.lock

COPY contracts contracts
COPY shared shared
COPY services services
COPY examples examples
RUN python -m compileall -q contracts shared services examples

USER moments
VOLUME /data
EXPOSE 8081 8082 8083

# Ready means: /readyz of the service named in MOMENTS_SERVICE says so; without a name, of all three.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=12 \
    CMD ["python", "-m", "services.cli", "healthy"]

ENTRYPOINT ["python", "-m", "services.cli"]
CMD ["up"]
