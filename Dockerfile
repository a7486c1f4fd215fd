FROM python:3.11-slim

# Nothing here needs a compiler: every dependency has a wheel.
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --create-home --uid 1000 tvb && install -d -o tvb -g tvb /data

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY models models
COPY submit submit
COPY worker worker
COPY examples examples
# pip compiles what it installs; a worker imports TVB twice as fast for it.
RUN python -m pip install --compile --constraint constraints.txt '.[postgres]'

USER tvb
ENV TVB_BATCH_DATA_DIR=/data TVB_USER_HOME=/tmp
VOLUME /data
CMD ["tvb-batch", "worker"]
