# shellcheck shell=bash
# packages: default-jdk-headless libpostgresql-jdbc-java
# statements: 2

migrate() { psql -q -f ../orders.sql; }
insert() { java -cp /usr/share/java/postgresql.jar Orders.java; }
