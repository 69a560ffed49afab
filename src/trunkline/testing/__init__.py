"""What tests of programs that call tools need: servers that fail on command, and the truth about what they did."""
