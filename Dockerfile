# One image for workers, migrations and the command line. By default it runs `tvb-batch worker`.
FROM python:3.11-slim AS build

# Write bytecode now: importing TVB takes twice as long without it, and containers do not write it later.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/tvb-batch
ENV PATH=/opt/tvb-batch/bin:$PATH
WORKDIR /src

# Dependencies before the program, so that a change of the program does not download TVB again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *p['optional-dependencies']['postgres'], sep='\n')" > requirements.txt \
 && pip install --compile -c constraints.txt -r requirements.txt

COPY LICENSE README.md ./
COPY tvb_batch tvb_batch
COPY models models
COPY submit submit
COPY worker worker
COPY examples examples
RUN pip install --compile --no-deps .


FROM python:3.11-slim

# Any user of the container may write compiled kernels; a volume keeps these permissions.
RUN useradd --uid 1000 --create-home tvb && install -d -o tvb -g tvb /data && install -d -m 1777 /cache
COPY --from=build /opt/tvb-batch /opt/tvb-batch

# TVB, Numba and Matplotlib write into HOME; the container may run as any user, on a read-only root.
ENV PATH=/opt/tvb-batch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp TVB_USER_HOME=/tmp \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
    TVB_BATCH_DATA_DIR=/data TVB_BATCH_CACHE_DIR=/cache
USER tvb
VOLUME /data
WORKDIR /data
ENTRYPOINT ["tvb-batch"]
CMD ["worker", "--concurrency", "1"]
