#!/bin/sh
# The image of PostgreSQL runs this once, when it has created an empty data folder. It creates a database for buzon, and a user who
# owns it and may do nothing else on this server. DATABASE_PASSWORD_FILE holds that user's password.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$DATABASE_PASSWORD_FILE"`
CREATE ROLE buzon WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE buzon OWNER buzon;
REVOKE ALL ON DATABASE buzon FROM PUBLIC;
\connect buzon
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
SQL
