"""The jobs behind `gan-env train`: train an agent on many short runs, keep its state, judge it, export it."""
