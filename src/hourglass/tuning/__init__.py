"""How a study searches the settings of one cell: its space, objectives, trials and workers."""
