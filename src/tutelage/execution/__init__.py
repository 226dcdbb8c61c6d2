"""Many runs: queued, claimed, trained side by side, estimated."""
