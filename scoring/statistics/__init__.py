"""Intervals, errors and tests for success rates and means. Exact where an exact formula exists.

Too little data gives None, which means unknown; it never gives 0. Clusters are tasks: trials of one task are not
independent, and treating them so makes every interval too narrow (1.5 times on the tau-bench airline runs).

What is named here needs numpy not at all and scipy only for Student's t. Methods that draw or bet (`resampling`,
`permutation`, `sequential`) load numpy and are imported from their own files.
"""

from scoring.statistics.corrections import holm as holm
from scoring.statistics.equivalence import Equivalence as Equivalence
from scoring.statistics.equivalence import equivalent_means as equivalent_means
from scoring.statistics.equivalence import equivalent_pairs as equivalent_pairs
from scoring.statistics.equivalence import p_worse_means as p_worse_means
from scoring.statistics.equivalence import p_worse_pairs as p_worse_pairs
from scoring.statistics.errors import clustered_se as clustered_se
from scoring.statistics.errors import design_effect as design_effect
from scoring.statistics.errors import effective_n as effective_n
from scoring.statistics.errors import icc1 as icc1
from scoring.statistics.errors import naive_se as naive_se
from scoring.statistics.intervals import CONFIDENCE as CONFIDENCE
from scoring.statistics.intervals import Interval as Interval
from scoring.statistics.intervals import t_interval as t_interval
from scoring.statistics.paired import PairedDifference as PairedDifference
from scoring.statistics.paired import correlation as correlation
from scoring.statistics.paired import mcnemar_exact as mcnemar_exact
from scoring.statistics.paired import paired_difference as paired_difference
from scoring.statistics.power import Spread as Spread
from scoring.statistics.power import detectable_difference as detectable_difference
from scoring.statistics.power import detectable_in_pairs as detectable_in_pairs
from scoring.statistics.power import spread_of_rates as spread_of_rates
from scoring.statistics.power import tasks_needed as tasks_needed
from scoring.statistics.rates import pass_at_k as pass_at_k
from scoring.statistics.rates import pass_hat_k as pass_hat_k
from scoring.statistics.rates import wilson as wilson
from scoring.statistics.unpaired import UnpairedDifference as UnpairedDifference
from scoring.statistics.unpaired import fisher_exact as fisher_exact
from scoring.statistics.unpaired import unpaired_difference as unpaired_difference
from scoring.statistics.within import WithinSlope as WithinSlope
from scoring.statistics.within import within_slope as within_slope
