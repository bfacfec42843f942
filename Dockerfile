# The two product images, for those who have a container engine:
#
#   docker build --target mesh-operator -t quay.io/mesh-operator/mesh-operator:0.1.0 .
#   docker build --target proxyv2       -t quay.io/mesh-operator/proxyv2:0.1.0 .
#
# `make images` builds the same without one. Both copy the same list of files (e2e/images/contents.go); a test compares them.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -buildvcs=false -ldflags "-s -w" -o /out/ ./cmd/mesh-operator ./cmd/mesh-agent

FROM envoyproxy/envoy:v1.40.0 AS envoy

FROM debian:bookworm-slim AS debian
RUN apt-get update \
 && apt-get install -y --no-install-recommends --allow-downgrades libc6=2.36-9+deb12u14 ca-certificates=20250419~deb12u2

FROM scratch AS mesh-operator
LABEL org.opencontainers.image.title="mesh-operator: operator and control plane"
ENV PATH=/usr/local/bin:/usr/bin:/bin
COPY e2e/images/files/passwd /etc/passwd
COPY --from=build /out/mesh-operator /usr/local/bin/mesh-operator
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/mesh-operator"]

FROM scratch AS proxyv2
LABEL org.opencontainers.image.title="mesh-operator: Envoy and its agent"
ENV PATH=/usr/local/bin:/usr/bin:/bin
COPY --from=debian /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=debian /lib64/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2
COPY --from=debian /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libc.so.6
COPY --from=debian /lib/x86_64-linux-gnu/libdl.so.2 /lib/x86_64-linux-gnu/libdl.so.2
COPY --from=debian /lib/x86_64-linux-gnu/libm.so.6 /lib/x86_64-linux-gnu/libm.so.6
COPY --from=debian /lib/x86_64-linux-gnu/libpthread.so.0 /lib/x86_64-linux-gnu/libpthread.so.0
COPY --from=debian /lib/x86_64-linux-gnu/librt.so.1 /lib/x86_64-linux-gnu/librt.so.1
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY e2e/images/files/passwd /etc/passwd
COPY --from=build /out/mesh-agent /usr/local/bin/mesh-agent
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/mesh-agent"]
