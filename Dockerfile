# One image for all processes; the command chooses which.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends git gnupg openssh-client && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home tidegate && mkdir -p /srv/tidegate/state && chown tidegate: /srv/tidegate/state
WORKDIR /opt/tidegate
COPY requirements/run.txt requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .
USER tidegate
ENV TIDEGATE_STATE_DIR=/srv/tidegate/state TIDEGATE_CONFIG=/srv/tidegate/config/tidegate.toml PYTHONUNBUFFERED=1
