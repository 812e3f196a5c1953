-- name: put_worker
INSERT INTO workers (id, engine, pid, boot_id, state, steps, active, beat_mono, cache_hits, cache_misses)
VALUES (:id, :engine, :pid, :boot_id, :state, :steps, :active, :beat_mono, :cache_hits, :cache_misses)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, steps = excluded.steps, active = excluded.active,
    beat_mono = excluded.beat_mono, cache_hits = excluded.cache_hits, cache_misses = excluded.cache_misses;

-- name: workers
SELECT id, engine, pid, boot_id, state, steps, active, beat_mono, cache_hits, cache_misses, budget_bytes,
       (SELECT count(*) FROM jobs WHERE lease_worker = w.id) AS held,
       (SELECT max(coalesce(progress_mono, claimed_mono)) FROM jobs WHERE lease_worker = w.id) AS committed_mono
FROM workers w WHERE state <> 'gone' ORDER BY engine, id;

-- name: keep_counts
-- One row an engine, in the state 'gone', sums up what all its workers before have counted. Run before they are forgotten.
INSERT INTO workers (id, engine, pid, boot_id, state, steps, active, beat_mono, cache_hits, cache_misses)
SELECT 'gone:' || engine, engine, 0, '', 'gone', 0, 0, 0, sum(cache_hits), sum(cache_misses) FROM workers
WHERE state <> 'gone' AND (id = :id OR :id IS NULL) GROUP BY engine
ON CONFLICT (id) DO UPDATE SET cache_hits = cache_hits + excluded.cache_hits,
    cache_misses = cache_misses + excluded.cache_misses;

-- name: cache_counts
SELECT engine, sum(cache_hits) AS hits, sum(cache_misses) AS misses FROM workers GROUP BY engine;

-- name: set_budget
UPDATE workers SET budget_bytes = :budget_bytes WHERE id = :id;

-- name: forget_worker
DELETE FROM workers WHERE id = :id;

-- name: forget_workers
DELETE FROM workers WHERE state <> 'gone';
