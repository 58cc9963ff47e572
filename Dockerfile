# syntax=docker/dockerfile:1
# The static binary of scripts/dist and nothing else. It runs as a user without a name and writes only to /data, so its root can be
# read-only; docs/deploy.md has the command.

FROM rust:1.95-bookworm AS build
RUN apt-get update --quiet && apt-get install --yes --no-install-recommends musl-tools make
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    scripts/dist && mkdir /empty

FROM scratch
COPY --from=build /src/dist/buzon-x86_64-unknown-linux-musl /buzon
# A new volume gets its owner from this folder.
COPY --from=build --chown=65532:65532 --chmod=0700 /empty /data
ENV BUZON_DATA_DIR=/data
ENV BUZON_LISTEN=0.0.0.0:8080
ENV BUZON_API_LISTEN=0.0.0.0:8081
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080 8081
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/buzon", "healthcheck"]
ENTRYPOINT ["/buzon"]
CMD ["serve"]
