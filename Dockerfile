# The pipeline with the CPU build of torch, for any machine that runs Linux containers (macOS and Windows too).
#
#   docker build --tag head-analysis .
#   docker run --name heads head-analysis                 # make repro on the default model and corpus
#   docker cp heads:/project/reports ./reports            # report.html and the tables
#   docker start --attach heads                           # again, with what is cached
#
# Own data: mount the folders with them, and params.yaml that names them; results can go to a mounted folder at once.
#
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD/params.yaml:/project/params.yaml" \
#       --volume "$PWD/data/raw:/project/data/raw" --volume "$PWD/reports:/project/reports" head-analysis
#
# Other targets of the Makefile: docker run --publish 127.0.0.1:5000:5000 ... head-analysis ui ADDRESS=0.0.0.0
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends fonts-noto-cjk git make \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*' \
    && useradd --create-home --uid 1000 analyst \
    && install --directory --owner analyst --group analyst /project

USER analyst
# A --user without an entry in /etc/passwd has neither a home nor a name (getpass): both are given here.
ENV HOME=/home/analyst USER=analyst PIP_NO_CACHE_DIR=1
WORKDIR /project

# The packages first: a layer that only a changed lock makes anew.
COPY --chown=analyst:analyst locks locks
RUN locks/install.sh python3 cpu

# With .git, which DVC and the reruns need. Everybody may write, for --user; make must not install again.
COPY --chown=analyst:analyst . .
RUN touch .venv/bin/.installed \
    && find "$HOME" /project -path /project/.venv -prune -o -exec chmod a+rwX {} +

ENTRYPOINT ["make"]
CMD ["repro"]
