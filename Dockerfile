# Sightline for CPUs, x64 and arm64: see docs/deploy.md. Dockerfile.gpu is for NVIDIA GPUs.
ARG DEBIAN_IMAGE=docker.io/library/debian:bookworm-20260824-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
ARG NODE_IMAGE=docker.io/library/node:22.23.3-bookworm-slim@sha256:43ac6c60b8f89723f746e8a92ce91abd5017e627ce1ddfe4238355d3a30b772c

FROM ${NODE_IMAGE} AS build
WORKDIR /opt/sightline
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY models models
COPY pipelines pipelines
COPY src src
COPY web web
COPY workers workers
RUN npm run build && chmod 0755 workers/sightline.mjs

# A static ffmpeg takes 80 MB; that of Debian, with the libraries of desktops and GPUs, 490 MB.
FROM ${NODE_IMAGE} AS ffmpeg
# Versions are not pinned: Debian keeps only the newest build of a package, so a pinned one could not be installed later.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-pip \
 && rm -rf /var/lib/apt/lists/*
COPY workers/requirements/ffmpeg.txt /opt/
RUN python3 -m pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes --target /opt/wheel -r /opt/ffmpeg.txt \
 && install -m 0755 /opt/wheel/imageio_ffmpeg/binaries/ffmpeg-linux-* /usr/local/bin/ffmpeg

# Runtime packages without files that the image does not need: ffmpeg of 2018, ONNX Runtime for other systems (245 MB), source maps
# (65 MB), types and reports (26 MB).
FROM ${NODE_IMAGE} AS packages
WORKDIR /opt/sightline
COPY package.json package-lock.json .npmrc ./
# A package that is otherwise fetched when it is first needed: the image has no npm.
COPY workers/requirements/onnxruntime-node workers/requirements/onnxruntime-node
RUN npm ci --omit=dev \
 && npm ci --ignore-scripts --prefix workers/requirements/onnxruntime-node \
 && rm -r node_modules/@ffmpeg-installer \
 && find workers/requirements/onnxruntime-node/node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 -type d \
    ! -path "*/linux/$(node -p process.arch)" -exec rm -r {} + \
 && rm -r node_modules/@types node_modules/fluent-ffmpeg/coverage node_modules/fluent-ffmpeg/doc \
 && find node_modules workers \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
COPY models models
COPY pipelines pipelines
COPY web web
COPY --from=build /opt/sightline/workers/sightline.mjs workers/
COPY --from=build /opt/sightline/dist dist
COPY --from=ffmpeg /usr/local/bin/ffmpeg /usr/local/bin/ffmpeg
# The default detector and the demonstration clip, so that the first start needs no network. Running it is also a test.
ENV SIGHTLINE_CACHE_DIR=/var/cache/sightline
RUN node workers/sightline.mjs models pull centernet \
 && node workers/sightline.mjs models compile centernet --engine onnx --input-size 480x256 \
 && node workers/sightline.mjs bench --engine onnx --seconds 1 \
 && mv /var/cache/sightline/weights/centernet weights

FROM ${DEBIAN_IMAGE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && groupadd --gid 10001 sightline \
 && useradd --uid 10001 --gid sightline --no-create-home --home-dir /var/cache/sightline sightline \
 && install -d -o sightline -g sightline /data /data/results \
 && ln -s /opt/sightline/workers/sightline.mjs /usr/local/bin/sightline
COPY --from=packages /usr/local/bin/node /usr/local/bin/ffmpeg /usr/local/bin/
COPY --from=packages /opt/sightline /opt/sightline
COPY --from=packages --chown=10001:10001 /var/cache/sightline /var/cache/sightline
COPY LICENSE /opt/sightline/

ENV NODE_ENV=production \
    SIGHTLINE_MODEL_PATH=/opt/sightline/weights \
    SIGHTLINE_CACHE_DIR=/var/cache/sightline \
    FFMPEG_PATH=/usr/local/bin/ffmpeg \
    MALLOC_ARENA_MAX=2

USER 10001:10001
WORKDIR /data
# Fails the build instead of the first start if a library does not load on this base image.
RUN sightline doctor

EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m --retries=3 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

# tini reaps orphaned processes of ffmpeg. Sightline stops in an orderly way on SIGTERM.
ENTRYPOINT ["/usr/bin/tini", "--", "sightline"]
# An address other than 127.0.0.1 needs SIGHTLINE_TOKEN; without it the start fails with an error.
CMD ["run", "/opt/sightline/pipelines/live-detect.yaml", "--host", "0.0.0.0"]
