"""Review: the patch, its risks, the reviewer's verdict and rework."""
