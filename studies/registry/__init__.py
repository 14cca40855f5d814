"""The registry: schema, database, workspace folder and audit trail."""
