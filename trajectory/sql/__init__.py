"""The store on SQLite and PostgreSQL. The only place that knows SQLAlchemy and Alembic."""
