# shellcheck shell=bash
# packages: nodejs npm
# statements: 2

migrate()
{
    psql -q -c 'CREATE EXTENSION IF NOT EXISTS flake' &&
        npx drizzle-kit generate && npx drizzle-kit migrate &&
        npx drizzle-kit push </dev/null | tee push.log && grep 'No changes detected' push.log
}

insert() { npx tsx orders.ts; }
