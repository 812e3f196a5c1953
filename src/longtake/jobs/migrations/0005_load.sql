-- With what is left to speak in it, the queue's load is read from the index alone: at each submit it was read from
-- every row that is not done.
DROP INDEX jobs_state;
CREATE INDEX jobs_load ON jobs (state, remaining_s);
