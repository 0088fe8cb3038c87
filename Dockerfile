# One image for web, worker, beat and commands; the servers beside it are in docker-compose.yml.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /venv
COPY requirements.txt /tmp/
# PostgreSQL and Redis are containers of their own here: without the embedded ones the image is 80 MB smaller
RUN sed '/^# embedded/,$d' /tmp/requirements.txt > /tmp/run.txt \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/run.txt

FROM python:3.11-slim-bookworm
# What the rsync transport calls
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends rsync openssh-client && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin exportsite \
 && install -d -o exportsite -g exportsite -m 0750 /data /store
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY exportsite exportsite
COPY cells cells
COPY exports exports
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DATA=/data EXPORTS_STORE=/store ENV_FILE=/dev/null
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# The same as exportsite/management/commands/up.py: tests/house/test_compose.py compares them
CMD ["granian", "--interface", "wsgi", "exportsite.wsgi:application", "--host", "0.0.0.0", "--port", "8000", "--workers", "1", "--blocking-threads", "64", "--no-access-log", "--log-level", "error"]
