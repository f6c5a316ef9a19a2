# docker build -t greenmachine .
# docker run --rm -v "$PWD:/work" greenmachine                     # the main command
# docker run --rm -v "$PWD:/work" greenmachine proxies list
#
# With a GPU (and the NVIDIA container toolkit):
# docker build -t greenmachine:cuda --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 .
# docker run --rm --gpus all -v "$PWD:/work" greenmachine:cuda evolve --set capture.device=cuda
ARG BASE=python:3.11-slim
FROM ${BASE}

# Images of CUDA have no Python.
RUN command -v python3 >/dev/null || { apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*; }

RUN python3 -m venv /opt/greenmachine
ENV PATH=/opt/greenmachine/bin:$PATH

COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt /src && rm -rf /src

# What runs write lies in the folder that the user mounts; benchmarks, if any, in /data.
WORKDIR /work
ENV GREENMACHINE_DATA=/data
ENTRYPOINT ["greenmachine"]
CMD ["evolve"]
