# PostgreSQL with flake, from the official image:
#
#   docker build -t postgres-flake --build-arg PG_MAJOR=17 .
#   docker run -e POSTGRES_PASSWORD=... postgres-flake -c flake.node_id=1
#
# Then CREATE EXTENSION flake in each database.

ARG PG_MAJOR=17

FROM postgres:${PG_MAJOR} AS build
ARG PG_MAJOR
RUN apt-get update && \
    apt-get install -y --no-install-recommends make gcc libc6-dev libpq-dev \
        postgresql-server-dev-${PG_MAJOR}
COPY . /flake
RUN make -C /flake && make -C /flake install DESTDIR=/installed

FROM postgres:${PG_MAJOR}
COPY --from=build /installed/ /
