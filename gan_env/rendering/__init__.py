"""Pictures of a training: histories and sample plots (`draw`), whole pictures (`painter`), a window (`window`)."""
