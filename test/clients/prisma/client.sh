# shellcheck shell=bash
# packages: nodejs npm
# statements: 2

# What "prisma migrate dev" would write is applied by psql: Prisma applies and compares with an
# engine that it downloads when it is installed.
migrate()
{
    npx prisma generate &&
        npx prisma migrate diff --from-empty --to-schema-datamodel schema.prisma --script >orders.sql &&
        psql -q -v ON_ERROR_STOP=1 -c 'DROP TABLE IF EXISTS orders' \
            -c 'CREATE EXTENSION IF NOT EXISTS flake' -f orders.sql
}

insert() { npx tsx orders.ts; }
