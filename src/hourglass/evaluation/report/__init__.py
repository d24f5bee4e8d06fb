"""The report of `compare`: the leaderboard, the study table, DVC plots and the HTML page."""
