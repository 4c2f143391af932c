# shellcheck shell=bash
# packages: python3-psycopg
# statements: 3

migrate() { psql -q -f ../orders.sql; }
insert() { python3 orders.py; }
