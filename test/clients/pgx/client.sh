# shellcheck shell=bash
# packages: golang-go golang-github-jackc-pgx-v4-dev
# statements: 1

migrate() { psql -q -f ../orders.sql; }
insert() { GO111MODULE=off GOPATH=/usr/share/gocode go run orders.go; }
