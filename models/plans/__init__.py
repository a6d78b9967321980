"""How evaluations are computed: the plan, and choosing it by measurement."""
