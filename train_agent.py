"""Train an agent and judge it: the same as `gan-env train`, whose options it takes."""

import sys

from gan_env.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
