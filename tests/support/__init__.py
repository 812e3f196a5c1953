"""What tests of several rooms share: a clock to turn by hand, jobs without scripts, small fakes."""
