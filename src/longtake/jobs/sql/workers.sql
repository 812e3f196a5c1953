-- name: put_worker
INSERT INTO workers (id, engine, pid, boot_id, state, steps, active, beat_mono)
VALUES (:id, :engine, :pid, :boot_id, :state, :steps, :active, :beat_mono)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, steps = excluded.steps, active = excluded.active,
    beat_mono = excluded.beat_mono;

-- name: workers
SELECT id, engine, pid, boot_id, state, steps, active, beat_mono, budget_bytes,
       (SELECT count(*) FROM jobs WHERE lease_worker = w.id) AS held,
       (SELECT max(coalesce(progress_mono, claimed_mono)) FROM jobs WHERE lease_worker = w.id) AS committed_mono
FROM workers w ORDER BY engine, id;

-- name: set_budget
UPDATE workers SET budget_bytes = :budget_bytes WHERE id = :id;

-- name: forget_worker
DELETE FROM workers WHERE id = :id;

-- name: forget_workers
DELETE FROM workers;
