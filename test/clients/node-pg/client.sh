# shellcheck shell=bash
# packages: nodejs npm
# statements: 2

migrate() { psql -q -f ../orders.sql; }
insert() { node orders.mjs; }
