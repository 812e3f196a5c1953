-- What a look back needs of ended jobs, without their scripts. Nothing writes to it while a job is spoken.
CREATE INDEX jobs_ended ON jobs (ended_at, engine, state, created_at, started_at, audio_samples, id)
    WHERE kind = 'job' AND ended_at IS NOT NULL AND earlier_of IS NULL;
