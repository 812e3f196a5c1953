"""Where weights come from and go to: hub, checkpoints, adapters, random ones; and how they are known again."""
