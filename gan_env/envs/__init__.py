"""The Gymnasium environments: action codecs, observations, rewards, failures, episodes.

`vector_env` defines the batch, `env` the batch of one. The only package that imports Gymnasium.
"""
