CREATE EXTENSION IF NOT EXISTS flake;

CREATE TABLE IF NOT EXISTS orders (
    id   bigint PRIMARY KEY DEFAULT flake_next_id(),
    item text NOT NULL
);
