"""Pictures of a training: what they are made of (`draw`), the scene (`painter`), a window on a screen (`window`)."""
