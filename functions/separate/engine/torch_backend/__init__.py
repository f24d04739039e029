"""Networks on torch: those that OpenVINO does not run, and pickles of weights."""
