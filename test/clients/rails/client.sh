# shellcheck shell=bash
# packages: ruby-activerecord ruby-pg
# statements: 2

migrate() { ruby migrate.rb; }
insert() { ruby insert.rb; }
