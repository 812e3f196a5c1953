ALTER TABLE workers ADD COLUMN budget_bytes INTEGER;  -- what its requests may hold; NULL: not measured yet
