#!/bin/sh
# Run once by the image of PostgreSQL, when it has made an empty data folder: a database for buzon, and a user who owns it
# and may do nothing else on this server. The secret in DATABASE_PASSWORD_FILE is that user's.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$DATABASE_PASSWORD_FILE"`
CREATE ROLE buzon WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE buzon OWNER buzon;
REVOKE ALL ON DATABASE buzon FROM PUBLIC;
\connect buzon
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
SQL
