"""The page that `compare` writes: the leaderboard, and a section for each cell."""
