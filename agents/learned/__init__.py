"""Controllers that learn: FSCO (a DDPG agent) and AutoLoss; `sb3` joins them to Stable-Baselines3."""
