"""Words every room shares: errors, clock, units, records. Knows no other room."""
