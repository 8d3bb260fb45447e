"""`python -m gan_env.cli` is `gan-env`."""

import sys

from gan_env.cli import main

sys.exit(main())
