"""What `trunkline top` is made of: lines from a view, a terminal to put them on, and the feed that brings views."""
