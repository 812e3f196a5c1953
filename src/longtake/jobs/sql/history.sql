-- name: ended_since
-- All columns are in the index: scripts, which lie between them in a row, are not read.
SELECT id, engine, state, created_at, started_at, ended_at, audio_samples FROM jobs
WHERE kind = 'job' AND ended_at IS NOT NULL AND earlier_of IS NULL AND ended_at >= :since AND ended_at < :until
ORDER BY ended_at DESC LIMIT :limit;

-- name: unended
SELECT id, engine, state, created_at, started_at, NULL AS ended_at, audio_samples FROM jobs
WHERE state IN ('queued', 'running', 'pausing', 'paused', 'cancelling') AND kind = 'job' ORDER BY number DESC LIMIT :limit;

-- name: error_code
SELECT error ->> 'code' AS code FROM jobs WHERE id = :id;

-- name: state_changes
SELECT at, data ->> 'to' AS state, data ->> 'reason' AS reason FROM events
WHERE job_id = :id AND kind = 'state' AND at >= :since ORDER BY number LIMIT :limit;
