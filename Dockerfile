FROM python:3.13-slim
COPY . /src
# The folders are made here so that new volumes on them belong to who writes to them.
RUN pip install --no-cache-dir '/src[rabbitmq]' && rm -rf /src \
    && mkdir /run/iec62746 /run/definitions && chown nobody /run/iec62746 /run/definitions
USER nobody
ENTRYPOINT ["iec62746"]
