# syntax=docker/dockerfile:1
# A small image: Debian's C library, the binary and the shipped policies.
#
#   docker build -t life-agent .
#   docker run -e API_KEY=... -p 10000:10000 -v life-agent:/data --read-only life-agent
#
# cargo-chef builds the dependencies in a separate layer, which a change of our sources does not invalidate.
# A cache mount would need a builder that keeps it between builds; hosted builders keep layers only.

# This image has the C compiler that SQLite and the TLS library need.
FROM rust:1.95-slim-trixie AS chef
RUN cargo install cargo-chef --version =0.1.78 --locked
WORKDIR /src

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /src/recipe.json recipe.json
RUN cargo chef cook --release --locked --package life-agent-server --bin life-agent
COPY . .
RUN cargo build --release --locked --package life-agent-server --bin life-agent

FROM debian:trixie-slim
# Verifies the certificates of model providers and OPA servers.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/life-agent /usr/local/bin/life-agent
WORKDIR /app
COPY LICENSE ./
COPY policy/ policy/
COPY policies/ policies/
COPY plans/README.md plans/
# An empty volume takes the owner of this folder.
RUN install -d -o 10001 -g 10001 /data
ENV HOST=0.0.0.0 \
    PORT=10000 \
    DB_PATH=/data/agent.db \
    PLANS_DIR=/data/plans \
    WORKSPACE_DIR=/app \
    LOG_FILE=-
VOLUME /data
EXPOSE 10000
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=8s --start-period=30s --retries=3 CMD ["life-agent", "healthcheck"]
ENTRYPOINT ["life-agent"]
