# shellcheck shell=bash
# packages: nodejs npm
# statements: 2

typeorm() { npx tsx node_modules/typeorm/cli.js "$1" -d order.ts; }

migrate()
{
    psql -q -c 'CREATE EXTENSION IF NOT EXISTS flake' &&
        typeorm schema:sync && typeorm schema:log | tee schema.log && grep 'up to date' schema.log
}

insert() { npx tsx orders.ts; }
