"""`python -m orchestrator.cli`, which is the command `sonogrid`."""

import sys

from orchestrator.cli.main import main

sys.exit(main())
