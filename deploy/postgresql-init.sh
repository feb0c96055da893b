#!/bin/sh
# Makes callhook's user, who owns a schema in a database of its own and has no other right. PostgreSQL's image runs it once, when its
# volume is empty.
set -eu
export CALLHOOK_PASSWORD_FILE
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\set password `cat "$CALLHOOK_PASSWORD_FILE"`
CREATE USER callhook PASSWORD :'password';
CREATE DATABASE callhook ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE callhook FROM PUBLIC;
GRANT CONNECT ON DATABASE callhook TO callhook;
\connect callhook
CREATE SCHEMA callhook AUTHORIZATION callhook;
SQL
