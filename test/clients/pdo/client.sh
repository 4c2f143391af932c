# shellcheck shell=bash
# packages: php-cli php-pgsql
# statements: 2

migrate() { psql -q -f ../orders.sql; }
insert() { php orders.php; }
