"""`gan-env diagnose`: reads logs of losses (`loss_logs`) and names what they show (`diagnose`)."""
