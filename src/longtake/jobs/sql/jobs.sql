-- name: insert_job
INSERT INTO jobs (id, number, kind, priority, engine, state, spec, script, out_path, out_subtitles, created_at,
    passages_total, remaining_s)
VALUES (:id, (SELECT coalesce(max(number), 0) + 1 FROM jobs), :kind, :priority, :engine, 'queued', :spec, :script,
        :out_path, :out_subtitles, :created_at, :passages_total, :remaining_s);

-- name: job
SELECT id, number, kind, state, reason, error, spec, out_path, out_subtitles, delivered_at, created_at, started_at,
       ended_at, passages_total, passages_done, audio_samples, remaining_s, claimed_mono, claimed_samples, progress_mono, audio_file, audio_bytes,
       token, crashes, earlier_of, cut_token
FROM jobs WHERE id = :id;

-- name: jobs_before
SELECT id, number, kind, state, reason, error, spec, out_path, out_subtitles, delivered_at, created_at, started_at,
       ended_at, passages_total, passages_done, audio_samples, remaining_s, claimed_mono, claimed_samples, progress_mono, audio_file, audio_bytes,
       token, crashes, earlier_of, cut_token
FROM jobs WHERE number < :before AND kind = 'job' ORDER BY number DESC LIMIT :limit;

-- name: jobs_in_state
SELECT id FROM jobs WHERE state = :state ORDER BY number;

-- name: job_script
SELECT script FROM jobs WHERE id = :id;

-- name: queue_load
SELECT count(*) AS jobs, coalesce(sum(remaining_s), 0) AS audio_s FROM jobs
WHERE state IN ('queued', 'running', 'pausing', 'paused');

-- name: oldest_queued
SELECT engine, min(created_at) AS since FROM jobs WHERE state = 'queued' AND kind <> 'probe' GROUP BY engine;

-- name: last_progress
SELECT engine, min(coalesce(progress_mono, claimed_mono)) AS since FROM jobs
WHERE state = 'running' AND lease_boot = :boot GROUP BY engine;

-- name: count_by_state
SELECT engine, state, count(*) AS jobs FROM jobs GROUP BY engine, state;

-- name: place_in_queue
SELECT count(*) AS ahead FROM jobs AS other, jobs AS this
WHERE this.id = :id AND other.engine = this.engine AND other.state = 'queued'
  AND (other.priority > this.priority OR (other.priority = this.priority AND other.number < this.number));

-- name: next_queued
SELECT id, audio_samples, spoken_on FROM jobs WHERE engine = :engine AND state = 'queued' AND priority >= :priority
  AND (:only IS NULL OR id = :only) AND crashes <= :crashes
ORDER BY priority DESC, number LIMIT 1;

-- name: queued_for
SELECT id FROM jobs WHERE engine = :engine AND state = 'queued' AND (:only IS NULL OR id = :only);

-- name: claim_job
UPDATE jobs SET state = :state, reason = :reason, spoken_on = :place, token = token + 1,
    lease_worker = :worker, lease_boot = :boot, lease_until = :until, started_at = coalesce(started_at, :now),
    claimed_mono = :mono, claimed_samples = audio_samples, progress_mono = NULL
WHERE id = :id;

-- name: lapsed_leases
SELECT id FROM jobs WHERE lease_worker IS NOT NULL AND (lease_boot <> :boot OR lease_until < :mono);

-- name: leases_of
SELECT id FROM jobs WHERE lease_worker = :worker;

-- name: leases
SELECT id FROM jobs WHERE lease_worker IS NOT NULL;

-- name: renew_leases
UPDATE jobs SET lease_until = :until WHERE lease_worker = :worker;

-- name: owned
SELECT id, token, state FROM jobs WHERE lease_worker = :worker;

-- name: owner
SELECT state, lease_worker, token FROM jobs WHERE id = :id;

-- name: set_state
UPDATE jobs SET state = :state, reason = :reason WHERE id = :id;

-- name: set_reason
UPDATE jobs SET reason = :reason WHERE id = :id AND state = 'running';

-- name: queued_to_explain
SELECT id FROM jobs WHERE engine = :engine AND state = 'queued'
  AND CASE WHEN :is_over THEN reason LIKE :word ELSE reason IS NULL END LIMIT 500;

-- name: explain_queued
UPDATE jobs SET reason = :reason WHERE id = :id AND state = 'queued';

-- name: drop_lease
UPDATE jobs SET lease_worker = NULL, lease_boot = NULL, lease_until = NULL WHERE id = :id;

-- name: end_job
UPDATE jobs SET error = :error, ended_at = :now, audio_file = :audio_file, audio_bytes = :audio_bytes WHERE id = :id;

-- name: unend_job
UPDATE jobs SET error = NULL, ended_at = NULL, audio_file = NULL, audio_bytes = NULL, delivered_at = NULL WHERE id = :id;

-- name: set_delivered
UPDATE jobs SET delivered_at = :now WHERE id = :id;

-- name: reset_crashes
UPDATE jobs SET crashes = 0 WHERE id = :id;

-- name: count_crash
UPDATE jobs SET crashes = crashes + 1 WHERE id = :id RETURNING crashes;

-- name: add_progress
UPDATE jobs SET passages_done = passages_done + :passages, audio_samples = audio_samples + :samples,
    remaining_s = CASE WHEN passages_done + :passages = passages_total THEN 0 ELSE max(0, remaining_s - :estimated_s) END,
    progress_mono = :mono
WHERE id = :id;

-- name: forget_job
DELETE FROM jobs WHERE id = :id;

-- name: forgotten_transients
SELECT id FROM jobs WHERE kind <> 'job' AND state IN ('done', 'failed', 'cancelled') AND ended_at < :before;

-- name: deletable_jobs
-- An earlier version has the end of its job; but it was made later, and was needed until the new take had ended.
SELECT id, max(ended_at, coalesce((SELECT at FROM events WHERE job_id = this.id AND number = 1), 0),
               coalesce((SELECT newer.ended_at FROM jobs AS newer WHERE newer.id = this.earlier_of), 0)) AS kept_since
FROM jobs AS this
WHERE kind = 'job' AND state IN ('done', 'failed', 'cancelled') AND ended_at IS NOT NULL
  AND NOT (state = 'done' AND out_path IS NOT NULL AND delivered_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM jobs AS newer WHERE newer.id = this.earlier_of
                  AND newer.state NOT IN ('done', 'failed', 'cancelled'))
ORDER BY kept_since, number;

-- name: unfinished_transients
SELECT id FROM jobs WHERE kind <> 'job' AND state IN ('queued', 'paused');
