"""The report of stage `compare`: leaderboard, study table, DVC plots and HTML page."""
