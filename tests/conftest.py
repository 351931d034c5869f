"""What every test shares: one thread per process, no network, and reproducible Hypothesis runs in CI."""

import os

from hypothesis import settings

# Set before anything imports torch, and inherited by every process a test starts. The planner's tests
# thereby run without torch installed, and without paying for its import.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

# No deadline: the machines that run this share their cores, so one slow example says nothing.
settings.register_profile("local", deadline=None)
settings.register_profile("blockcascade-ci", settings.get_profile("ci"), derandomize=True, deadline=None)
settings.load_profile("blockcascade-ci" if os.environ.get("CI") else "local")
