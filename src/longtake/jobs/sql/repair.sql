-- name: all_jobs
SELECT id FROM jobs ORDER BY number;

-- name: count_events
UPDATE jobs SET events = (SELECT count(*) FROM events WHERE job_id = :id) WHERE id = :id;

-- name: forget_stretches
DELETE FROM stretches WHERE job_id = :id;

-- name: forget_spoken
UPDATE passages SET is_spoken = 0, marks = NULL WHERE job_id = :id;

-- name: forget_progress
UPDATE jobs SET passages_done = 0, audio_samples = 0, claimed_samples = 0, progress_mono = NULL,
    remaining_s = (SELECT coalesce(sum(estimated_s), 0) FROM passages WHERE job_id = :id)
WHERE id = :id;
