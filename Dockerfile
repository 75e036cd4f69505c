# API, worker and norvalt in one image:
#   docker build -t norvalt .
#   docker run --env-file .env norvalt norvalt migrate
#   docker run --env-file .env -p 8000:8000 norvalt api
#   docker run --env-file .env norvalt worker
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin norvalt --bin api --bin worker

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 norvalt
COPY --from=build /src/target/release/norvalt /src/target/release/api /src/target/release/worker /usr/local/bin/
USER norvalt
EXPOSE 8000
# Both need their SIGTERM, so neither runs below a shell.
CMD ["api"]
