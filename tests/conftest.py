"""Settings of the whole suite: no network, seeded examples, no time limit on one example."""

import os

import hypothesis

# Read by the hub's client when it is imported, so set before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

hypothesis.settings.register_profile(
    "sfal",
    deadline=None,
    max_examples=int(os.environ.get("SFAL_MAX_EXAMPLES", "50")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("sfal")
