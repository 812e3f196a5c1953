-- name: next_event_number
UPDATE jobs SET events = events + 1 WHERE id = :job_id RETURNING events;

-- name: insert_event
INSERT INTO events (job_id, number, at, kind, data) VALUES (:job_id, :number, :at, :kind, :data);

-- name: events_after
SELECT job_id, number, at, kind, data FROM events WHERE job_id = :job_id AND number > :after ORDER BY number LIMIT :limit;

-- name: remarks
SELECT data ->> 'passage' AS passage, data ->> 'message' AS message FROM events
WHERE job_id = :job_id AND kind = :kind ORDER BY number;

-- name: idempotent_job
SELECT job_id, fingerprint FROM idempotency WHERE key = :key;

-- name: insert_idempotency
INSERT INTO idempotency (key, fingerprint, job_id) VALUES (:key, :fingerprint, :job_id);
