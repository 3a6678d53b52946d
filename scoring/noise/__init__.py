"""How much of a result is noise: of repeats of the same model, and of the resources that a run was given."""
