"""The Gymnasium environments: actions to controls, measurements to observations, rewards, failures, episodes.

`vector_env` holds the batch, `env` the batch of one. The only package that imports Gymnasium.
"""
