# The program alone, in an image without a shell. Build: docker build -t lakehook .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make git && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --bin lakehook --features otlp && strip target/dist/lakehook \
    && install -d -m 0700 /empty/data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/lakehook /lakehook
# Owned by the user of the image, so that a new volume is too.
COPY --from=build --chown=nonroot:nonroot /empty/data /data
# A mounted file replaces it.
COPY deploy/image/lakehook.toml /etc/lakehook/lakehook.toml
USER nonroot
WORKDIR /data
# Both logs hold what was acknowledged: the volume must outlive the container.
VOLUME /data
# LAKEHOOK_VOLUME names where logs have been before: a start that would leave rows behind there is refused.
ENV LAKEHOOK_CONFIG=/etc/lakehook/lakehook.toml \
    LAKEHOOK_VOLUME=/data
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/lakehook", "health"]
ENTRYPOINT ["/lakehook"]
CMD ["serve"]
