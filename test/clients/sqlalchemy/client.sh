# shellcheck shell=bash
# packages: python3-sqlalchemy python3-psycopg2 python3-alembic
# statements: 2

migrate() { python3 migrate.py; }
insert() { python3 orders.py; }
