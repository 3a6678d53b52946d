# Two images from one file: `proxy` (the program) and `example` (the demo's agent, models and tools, for docker-compose.yml).
# Built without a network of its own beyond the package index: every package is pinned with hashes.

FROM python:3.12-slim-bookworm AS build
RUN python -m venv /opt/ironcage
ENV PATH=/opt/ironcage/bin:$PATH
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY trajectory ./trajectory
COPY policies ./policies
COPY proxy ./proxy
COPY replay ./replay
COPY scoring ./scoring
COPY ironcage ./ironcage
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm AS proxy
COPY --from=build /opt/ironcage /opt/ironcage
ENV PATH=/opt/ironcage/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --create-home --uid 10001 ironcage && install --directory --owner ironcage /data
USER ironcage
WORKDIR /data
VOLUME /data
EXPOSE 8800 8801 8802
ENTRYPOINT ["ironcage"]
CMD ["serve"]

FROM build AS example
COPY requirements-dev.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY examples /examples
RUN useradd --create-home --uid 10001 agent
USER agent
WORKDIR /examples/support_desk
