ALTER TABLE jobs ADD COLUMN earlier_of TEXT;   -- this is the earlier version of a job that is spoken again from some point
ALTER TABLE jobs ADD COLUMN cut_token INTEGER NOT NULL DEFAULT 0;  -- files of this token and before hold another take
ALTER TABLE jobs ADD COLUMN spoken_on TEXT;    -- engine, model, device and dtype of the latest claim
ALTER TABLE passages ADD COLUMN seed INTEGER;  -- instead of the job's: it is spoken again, and shall come out otherwise
ALTER TABLE workers ADD COLUMN cache_hits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN cache_misses INTEGER NOT NULL DEFAULT 0;
