# The daemon alone, as a user without privileges. The configuration is mounted, the state is a volume:
#
#   docker build -t nameserver .
#   docker run -p 53:53/udp -p 53:53/tcp -v ./conf:/etc/nameserver:ro -v nameserver:/var/lib/nameserver \
#       --read-only --tmpfs /run/nameserver:uid=10053,mode=0750 --cap-drop ALL --cap-add NET_BIND_SERVICE nameserver
#
# A secret file must belong to user 10053 (or root) and be readable by nobody else. /metrics listens on the container's
# own loopback unless `http` in the configuration says otherwise.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/
RUN python -m venv /opt/nameserver \
    && /opt/nameserver/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY nameserver nameserver
# What installs is not what runs: pip and setuptools stay behind.
RUN /opt/nameserver/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-build-isolation --no-index . \
    && /opt/nameserver/bin/python -m pip uninstall --yes --quiet setuptools pip \
    && /opt/nameserver/bin/python -m compileall -q /opt/nameserver/lib

FROM python:${PYTHON}-slim
COPY --from=build /opt/nameserver /opt/nameserver
RUN install -d -o 10053 -g 10053 -m 0700 /var/lib/nameserver \
    && install -d -o 10053 -g 10053 -m 0750 /run/nameserver
ENV PATH=/opt/nameserver/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER 10053:10053
VOLUME /var/lib/nameserver
EXPOSE 53/udp 53/tcp 853/tcp
STOPSIGNAL SIGTERM
# A DNS question to the daemon's own port: any answer says that it answers. For more, name a zone it must serve.
HEALTHCHECK --interval=30s --timeout=6s --start-period=60s --retries=3 \
    CMD ["nameserver", "ask", ".", "SOA", "@127.0.0.1", "--any"]
ENTRYPOINT ["nameserver"]
CMD ["run", "-c", "/etc/nameserver/nameserver.toml"]
