"""A trained actor as plain layers (`policy`), and the file that holds a controller (`policy_files`); no pickle."""
