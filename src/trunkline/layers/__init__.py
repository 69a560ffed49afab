"""The layers of the stacks: one file, one layer; none knows another. Their order is in `trunkline.stack`."""
