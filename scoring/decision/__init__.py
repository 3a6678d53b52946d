"""From a scorecard to advice for one situation: a candidate with reasons, or that the runs cannot carry one."""
