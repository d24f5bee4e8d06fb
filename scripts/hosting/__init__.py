"""A team's servers: PostgreSQL, MLflow on it, and the passwords that go with them."""
