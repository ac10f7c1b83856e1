"""How fast the system is on this machine, each figure beside the bare limit of the same run."""
