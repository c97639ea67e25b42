"""PostgreSQL: the server's supervisor, migrations, roles, scopes, and one repository per aggregate."""
