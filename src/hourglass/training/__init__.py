"""How modules are trained: Trainer and callbacks, resumption, schedules, noise and penalties."""
