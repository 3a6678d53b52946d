"""Where the runs of a bake-off are executed."""
