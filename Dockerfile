# A reader as a service. Build it beside pyproject.toml, mount a checkpoint, give it a key:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu -t qa-lightning .
#   docker run -p 8000:8000 -e QA_LIGHTNING_API_KEY=... -v ./runs/mine:/checkpoint:ro qa-lightning
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL=
ENV PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

RUN useradd --create-home --uid 10001 reader

WORKDIR /srv
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m pip install --no-cache-dir --constraint constraints.txt ".[serve,documents]"
RUN qa-lightning serve --help

USER reader
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ready', timeout=3)"
ENTRYPOINT ["qa-lightning", "serve", "--host", "0.0.0.0"]
CMD ["--checkpoint", "/checkpoint"]
