"""Stable-Baselines3: its VecEnv over our batch (`vec_env`), its state without pickle (`state`), its actor (`actor`)."""
