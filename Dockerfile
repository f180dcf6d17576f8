# The base needs Node 24, npm and /bin/sh, no more: another one is given by --build-arg BASE_IMAGE=…
ARG BASE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Install scripts are not run: nothing that the build or the program needs has one.
RUN npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN node_modules/.bin/tsc -p tsconfig.build.json
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error \
  && find node_modules -type f \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' \) -exec rm {} +

FROM ${BASE_IMAGE}
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
USER 65532:65532
EXPOSE 8081 8443
# Measured to save memory at a cost that does not show: docs/adr/0007-memory-of-the-controller.md.
ENTRYPOINT ["node", "--max-semi-space-size=4", "--optimize-for-size", "--no-opt", "--no-maglev", "dist/main.js"]
