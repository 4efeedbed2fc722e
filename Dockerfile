# syntax=docker/dockerfile:1
# GateMQ in a container: `docker build -t gatemq .`
#
#   docker run -p 443:443 -p 8883:8883 -v gatemq:/var/lib/gatemq \
#     -e GATEMQ_TLS__OWN_NAMES=mqtt.example.com -e GATEMQ_MQTT__ALLOW_ANONYMOUS=true gatemq
#
# Configuration is contrib/docker.toml; mount another one over /etc/gatemq/gatemq.toml, or set variables (README.md,
# "Configuration"). `docker kill -s HUP …` reloads it. Nobody is let in until it says so.

FROM rust:1.95-bookworm AS build
# Node builds the page; without it the binary has a simpler one.
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# What cargo and npm have fetched and built stays for the next time; the binary must leave with this layer.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/root/.npm \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/gatemq /gatemq
RUN mkdir /state

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="GateMQ" \
      org.opencontainers.image.description="An MQTT broker whose front door is HTTPS" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /gatemq /usr/bin/gatemq
COPY contrib/docker.toml /etc/gatemq/gatemq.toml
# Nobody in particular, and the same number in each version: volumes remember it.
COPY --from=build --chown=1883:1883 /state /var/lib/gatemq
USER 1883:1883
WORKDIR /var/lib/gatemq
VOLUME /var/lib/gatemq
# Docker lets everybody in a container bind ports below 1024. Where Kubernetes does not, listeners above: 8443, 8883.
EXPOSE 443 8883
# In order: clients are told, within `drain_timeout` (8 s; Docker kills after 10).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s \
    CMD ["gatemq", "status", "-c", "/etc/gatemq/gatemq.toml"]
ENTRYPOINT ["gatemq"]
CMD ["run", "-c", "/etc/gatemq/gatemq.toml"]
