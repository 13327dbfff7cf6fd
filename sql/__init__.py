"""SQL: migrations, declared tables and views, named queries."""
