"""`gan-env bench` and `gan-env verify`: a plan of groups, a folder of rows, and whoever runs them."""
