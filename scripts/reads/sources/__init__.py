"""Where reads come from: which source is asked when, how a run is brought from it, and the proof of what came."""
