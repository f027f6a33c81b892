#!/bin/sh
# Make the role that the application uses; it owns nothing, so the audit log is append-only for it.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$TIDEGATE_APP_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE tidegate_app LOGIN PASSWORD :'password';
SQL
