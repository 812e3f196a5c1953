-- name: next_event_number
UPDATE jobs SET events = events + 1 WHERE id = :job_id RETURNING events;

-- name: insert_event
INSERT INTO events (job_id, number, at, kind, data) VALUES (:job_id, :number, :at, :kind, :data);

-- name: events_after
SELECT job_id, number, at, kind, data FROM events WHERE job_id = :job_id AND number > :after ORDER BY number LIMIT :limit;

-- name: remarks
-- Not those of a passage that was taken back since.
SELECT e.data ->> 'passage' AS passage, e.data ->> 'message' AS message FROM events e
WHERE e.job_id = :job_id AND e.kind = :kind AND NOT EXISTS (
    SELECT 1 FROM events later WHERE later.job_id = e.job_id AND later.number > e.number
      AND (later.kind = 'recalled' AND later.data ->> 'passage' = e.data ->> 'passage'
           OR later.kind = 'again' AND later.data ->> 'passage' <= e.data ->> 'passage'))
ORDER BY passage, e.number;

-- name: idempotent_job
SELECT job_id, fingerprint FROM idempotency WHERE key = :key;

-- name: insert_idempotency
INSERT INTO idempotency (key, fingerprint, job_id) VALUES (:key, :fingerprint, :job_id);
