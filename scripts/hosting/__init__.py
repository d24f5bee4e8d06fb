"""The servers of a team: PostgreSQL, MLflow with its tables there, and their passwords."""
