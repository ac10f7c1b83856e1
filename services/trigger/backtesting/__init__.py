"""Back-tests as jobs: a moment over the recorded signals of its configuration, in a process of its own."""
