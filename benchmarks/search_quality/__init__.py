"""How good the searches are: problems with a known optimum, peers at equal budgets, replayed tables of real tasks."""
